"""Run a plan: make every cell that its folder lacks, then what the plan lists under `then`."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import yaml

from elusive.augment.arms import UNTRAINED
from elusive.augment.training_text import TrainingTextFolder
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.folders import write_atomically
from elusive.common.large.devices import ONE, Devices
from elusive.common.lm.adapters import check_adapter_base, read_adapter_config
from elusive.common.lm.loading import load_model
from elusive.common.lm.references import hash_model_weights
from elusive.common.process.progress import open_bar
from elusive.evaluate.cells.cell import Cell, count_steps, select_questions
from elusive.evaluate.cells.cell_folder import CellResult, load_cell
from elusive.evaluate.cells.make_cell import is_without_model, make_cell
from elusive.evaluate.checks.contamination import warn_about_population
from elusive.evaluate.checks.inputs import check_cell_inputs, check_plan_inputs
from elusive.evaluate.checks.plan import check_arms, check_run_folder
from elusive.evaluate.compare.power import count_questions, render_design
from elusive.evaluate.config import NEXT_TOKEN, CellSettings
from elusive.evaluate.engines.engine import LOCAL, Engine
from elusive.evaluate.engines.failures import Failure, print_warning
from elusive.evaluate.follow_ups import make_follow_ups
from elusive.evaluate.jobs import list_jobs
from elusive.evaluate.plans import PLAN, Plan
from elusive.evaluate.run_folder import RunFolder
from elusive.evaluate.sweep import list_tuned_jobs
from elusive.evaluate.tables.columns import build_arrow_table
from elusive.evaluate.tables.table import build_tables


def evaluate_cell(
    dataset: Path,
    train: Path | None,
    model: str,
    seed: int,
    label: str | None,
    settings: CellSettings,
    out: Path,
    known: Path | None = None,
    adapter: Path | None = None,
    devices: Devices = ONE,
) -> bool:
    """Train and score one cell into `out`; return False if `out` already holds it.

    Without a training text, score a finished adapter, or the model before training. `devices` are
    what the model computes with.

    Raises:
        InputError: a folder, the model or a setting is wrong.
    """
    check_cell_inputs(dataset, train, model, settings, out, known, adapter)
    asked = load_dataset_folder(dataset)
    select_questions(asked, settings.answering)
    if warning := warn_about_population(asked, model):
        print_warning(warning)
    name, steps, text = "adapter" if adapter else UNTRAINED, 0, None
    if train:
        text = TrainingTextFolder(train)
        text.verify()
        objective = settings.training.objective
        name = text.config.method if objective == NEXT_TOKEN else objective
        steps = count_steps(text.summary.num_texts, settings.training)
    known_folder = load_dataset_folder(known) if known else None
    cell = Cell(label or name, text, model, seed, settings, known_folder, adapter)
    if adapter:
        read_adapter_config(adapter)
    loaded = None
    if not is_without_model(train, settings):
        if adapter:
            check_adapter_base(adapter, model, hash_model_weights(model))
        if devices.processes == 1:
            quantization = settings.training.quantization
            loaded = load_model(model, quantization=quantization, devices=devices)
    with open_bar("training", "step", steps, disable=not steps) as bar:
        return make_cell(cell, asked, loaded, out, bar.update, devices.processes)


@dataclass(frozen=True)
class RunResult:
    """Outcome of running a plan."""

    folders: list[Path]
    """Of the plan's finished cells."""
    failures: list[Failure]
    follow_ups: list[Path] = field(default_factory=list)
    """Folders of what the plan lists under `then`."""

    @property
    def cells(self) -> list[CellResult]:
        """The finished cells, with their answers, metrics and costs."""
        return [load_cell(folder) for folder in self.folders]

    def build_table(self, baseline: str | None = None, metric: str = "em") -> pa.Table:
        """Build a table of the arms that have all their seeds: a row per benchmark and arm."""
        parts = [
            build_arrow_table(table).add_column(0, "benchmark", pa.array([name] * len(table.rows)))
            for name, table in build_tables(self.cells, baseline, metric).items()
        ]
        return pa.concat_tables(parts, promote_options="permissive")


def run_plan(
    plan: Plan,
    out: Path,
    jobs: int | None = None,
    engine: Engine = LOCAL,
    part: Plan | None = None,
) -> RunResult:
    """Make every cell of a plan that `out` lacks.

    Finished cells survive an interruption; damaged ones are made again. A cell that fails is
    recorded in `out/failed`, and the run continues with the others. Several processes on one or
    more machines can share a folder: a lock ensures that each cell is made once.

    Args:
        plan: what to run.
        out: folder of the run.
        jobs: number of processes; those of the engine if None, which is 1 on this machine.
        engine: where the cells are made.
        part: the arms and seeds to run now, from `select_part`; all of them if None.

    Raises:
        InputError: the plan, its dataset, its model or its resources are wrong; finished cells are
            kept.
        OSError: the disk is full.
    """
    engine = replace(engine, jobs=jobs or engine.jobs)
    part = part or plan
    engine.check(part, out)
    check_plan_inputs(part)
    check_run_folder(plan, out)
    check_arms(part)
    if not (out / PLAN).exists():
        _write_plan(plan, out)
    run = RunFolder(part, out)
    run.check(with_model=engine.is_local)
    # Only a plan that can run replaces that of an older run, which pages and figures read.
    _write_plan(plan, out)
    todo = list_tuned_jobs(run, engine)
    if any(run.find_finished(job) is None for job in todo):
        for line in [*_render_designs(run), *_list_warnings(run)]:
            print_warning(line)
    engine.make_all(run, todo)
    folders = [folder for job in todo if (folder := run.find_finished(job))]
    failures = [failure for job in todo if (failure := run.find_failure(job))]
    return RunResult(folders, failures, make_follow_ups(run, plan) if folders else [])


def _render_designs(run: RunFolder) -> list[str]:
    """Render what the design can show, one line per dataset."""
    num_arms = len({job.label for job in list_jobs(run.plan)})
    lines = []
    for name, dataset in run.datasets.items():
        questions = select_questions(dataset, run.plan.answering)
        counts = count_questions(question.entity for question in questions)
        line = render_design(counts, num_arms, len(run.plan.seeds), dataset.entities)
        lines.append(f"{name}: {line}" if len(run.datasets) > 1 else line)
    return lines


def _list_warnings(run: RunFolder) -> list[str]:
    """List which models have read about which people before."""
    pairs = [(dataset, model) for dataset in run.datasets.values() for model in run.plan.trained]
    return [line for pair in pairs if (line := warn_about_population(*pair))]


def _write_plan(plan: Plan, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(plan.model_dump(mode="json"), sort_keys=False)
    write_atomically(out / PLAN, text)
