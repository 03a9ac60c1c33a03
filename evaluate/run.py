"""Running a plan: every cell that its folder does not hold yet, and what follows from them."""

import multiprocessing
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import yaml
from tqdm import tqdm

from elusive.augment.augment import read_summary
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.errors import InputError
from elusive.common.folders import checked_manifest, write_atomically
from elusive.common.lm.loading import load_model
from elusive.evaluate.cells.cell import Cell, CellResult, asked_questions, load_cell, num_steps
from elusive.evaluate.cells.make_cell import needs_no_model, run_cell
from elusive.evaluate.compare.power import design_line
from elusive.evaluate.compare.table import tables
from elusive.evaluate.compare.table_columns import flat_table
from elusive.evaluate.config import UNTRAINED, RunSettings
from elusive.evaluate.follow_ups import make_afterwards
from elusive.evaluate.jobs import MADE_BY, Failure, Job, Run, failure_of, plan_jobs
from elusive.evaluate.plans import PLAN, Plan, load_plan
from elusive.evaluate.sweep import chosen_jobs

SECONDS_BETWEEN_LOOKS = 0.5


def run_one(
    dataset: Path,
    train: Path | None,
    model: str,
    seed: int,
    label: str | None,
    settings: RunSettings,
    out: Path,
    known: Path | None = None,
    adapter: Path | None = None,
) -> bool:
    """Train and score one cell into `out`; False if `out` holds it already.

    Without a training text, a finished adapter is scored, or the model before training.

    Raises:
        InputError: a folder, the model or a setting is wrong.
    """
    if train and adapter:
        raise InputError("train and adapter: give the text to train on, or a finished adapter")
    loaded_dataset = load_dataset_folder(dataset)
    asked_questions(loaded_dataset, settings.answering)
    method, steps = "adapter" if adapter else UNTRAINED, 0
    if train:
        method = checked_manifest(train, "training-text", MADE_BY).parameters["method"]
        steps = num_steps(read_summary(train).num_texts, settings.training)
    known_folder = load_dataset_folder(known) if known else None
    cell = Cell(label or method, train, model, seed, settings, known_folder, adapter)
    loaded = None
    if not needs_no_model(train, settings):
        loaded = load_model(model, quantization=settings.training.quantization)
    with tqdm(total=steps, desc="training", unit="step", disable=not steps) as bar:
        return run_cell(cell, loaded_dataset, loaded, out, bar.update)


@dataclass(frozen=True)
class RunResult:
    """What a run led to."""

    folders: list[Path]
    """Of all finished cells of the plan."""
    failures: list[Failure]
    made: list[Path] = field(default_factory=list)
    """Folders of what the plan lists under `then`."""

    @property
    def cells(self) -> list[CellResult]:
        """All finished cells, with their answers, metrics and costs."""
        return [load_cell(folder) for folder in self.folders]

    def table(self, baseline: str | None = None, metric: str = "em") -> pa.Table:
        """One row per benchmark and arm that has all its seeds, one number per column."""
        found = tables(self.cells, baseline, metric)
        parts = [
            flat_table(each).add_column(0, "benchmark", pa.array([name] * len(each.rows)))
            for name, each in found.items()
        ]
        return pa.concat_tables(parts, promote_options="permissive")


def run_plan(plan: Plan, out: Path, jobs: int = 1) -> RunResult:
    """Run every cell of a plan that `out` does not hold yet.

    Finished cells survive an interruption, and damaged ones are made again. A cell that fails is
    recorded in `out/failed`, and the others go on. Several runs may share one folder, on one
    machine or more: each cell is locked while it is made, and made once.

    Args:
        plan: what to run.
        out: folder of the run.
        jobs: processes that run cells side by side.

    Raises:
        InputError: the plan, its dataset or its model is wrong; nothing already made is lost.
        OSError: the disk is full.
    """
    _claim(plan, out)
    run = Run(plan, out)
    run.check()
    todo = chosen_jobs(run)
    if any(run.finished_folder(job) is None for job in todo):
        for line in _designs(run):
            tqdm.write(f"elusive: {line}", file=sys.stderr)
    if jobs > 1:
        _run_side_by_side(run, todo, jobs)
    else:
        _run_in_turn(run, todo)
    folders = [folder for job in todo if (folder := run.finished_folder(job))]
    failures = [failure for job in todo if (failure := run.failure(job))]
    return RunResult(folders, failures, make_afterwards(run) if folders else [])


def _designs(run: Run) -> list[str]:
    """What the grid can show on each dataset."""
    arms = len({job.label for job in plan_jobs(run.plan)})
    lines = []
    for name, dataset in run.datasets.items():
        asked = asked_questions(dataset, run.plan.answering)
        people = len({question.entity for question in asked})
        line = design_line(people, round(len(asked) / people), arms, len(run.plan.seeds))
        lines.append(f"{name}: {line}" if len(run.datasets) > 1 else line)
    return lines


def _run_in_turn(run: Run, todo: list[Job]) -> None:
    """Make all cells; those that another run is at are looked at again in the end."""
    with tqdm(total=len(todo), desc="cells", unit="cell") as cells:
        left = []
        for job in todo:
            if not make_with_bar(run, job, wait=False):
                left.append(job)
            else:
                cells.update()
        for job in left:
            make_with_bar(run, job, wait=True)
            cells.update()


def make_with_bar(run: Run, job: Job, wait: bool = True) -> bool:
    """Make a cell with a bar of its steps, if it has to be trained; False as `Run.make`."""
    steps = 0 if run.finished_folder(job) else run.steps(job)
    bar = tqdm(total=steps, desc=job.name, unit="step", leave=False, position=1, disable=not steps)
    with bar:
        return run.make(job, bar.update, wait)


def _run_side_by_side(run: Run, todo: list[Job], jobs: int) -> None:
    """Make all cells in several processes, each taking whatever no other one is at."""
    for job in tqdm(todo, desc="training texts", unit="text"):
        try:
            run.prepare(job)
        except InputError as error:
            run.record(failure_of(job, error))
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_work, args=(run.plan, run.out, todo, number, jobs), daemon=True)
        for number in range(jobs)
    ]
    for worker in workers:
        worker.start()
    with tqdm(total=len(todo), desc="cells", unit="cell") as bar:
        while any(worker.is_alive() for worker in workers):
            time.sleep(SECONDS_BETWEEN_LOOKS)
            bar.update(sum(run.finished_folder(job) is not None for job in todo) - bar.n)
    died = sorted({worker.exitcode for worker in workers if worker.exitcode})
    for job in todo:
        if not run.finished_folder(job) and not run.failure(job):
            codes = ", ".join(map(str, died)) or "0"
            reason = f"its process ended with code {codes}; -9 is often a lack of memory"
            run.record(Failure(job.name, reason, ""))


def _work(plan: Plan, out: Path, todo: list[Job], number: int, jobs: int) -> None:
    """What one process of several does: every cell that no other one has taken."""
    run = Run(plan, out)
    first = number * len(todo) // jobs
    for job in todo[first:] + todo[:first]:
        run.make(job, wait=False)


def _claim(plan: Plan, out: Path) -> None:
    """Keep the resolved plan in `out`, unless that is the folder of something else.

    Arms, seeds, settings, models and datasets may be added to a run; a dataset's name keeps its
    meaning.
    """
    path = out / PLAN
    if path.exists() and any(out.glob("cells/[!.]*")):
        before = load_plan(path).sources
        for name, source in plan.sources.items():
            if before.get(name, source) != source:
                raise InputError(
                    f"{out} holds a run on another dataset of the name {name!r} "
                    f"({before[name]}): choose another --out, or another name under datasets"
                )
    elif not path.exists() and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} holds other files: choose another --out or empty it")
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(path, yaml.safe_dump(plan.model_dump(mode="json"), sort_keys=False))
