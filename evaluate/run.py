"""A grid of cells: every arm x every seed of a plan, only what is missing."""

import json
import multiprocessing
import os
import shutil
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import torch
import yaml
from filelock import FileLock, Timeout
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from elusive.augment.augment import augment_dataset, augment_parameters, read_summary
from elusive.augment.config import AugmentConfig
from elusive.augment.methods import Scorers
from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.common.dataset import DatasetFolder, load_dataset_folder
from elusive.common.errors import InputError
from elusive.common.folders import checked_manifest, full_disk, parameters_hash, write_atomically
from elusive.common.models import LoadedModel, load_model, tokenizer_of
from elusive.evaluate.cell import (
    Cell,
    CellResult,
    asked_questions,
    cell_folder,
    load_cell,
    num_steps,
)
from elusive.evaluate.cell_run import needs_no_model, parameters_of, run_cell
from elusive.evaluate.config import UNTRAINED, ArmConfig, Plan, RunSettings
from elusive.evaluate.plans import PLAN, load_plan
from elusive.evaluate.power import design_line
from elusive.evaluate.prompts import sample_replay, split_shots
from elusive.evaluate.table import complete_arms, flat_table, results
from elusive.evaluate.training import OnStep

MADE_BY = "elusive augment DATASET --method NAME --out DIR"
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
class Failure:
    """A cell that could not be finished."""

    cell: str
    error: str
    """In one line."""
    details: str
    """Where it was raised."""


@dataclass(frozen=True)
class RunResult:
    """What a run led to."""

    folders: list[Path]
    """Of all finished cells of the plan."""
    failures: list[Failure]

    @property
    def cells(self) -> list[CellResult]:
        """All finished cells, with their answers, metrics and costs."""
        return [load_cell(folder) for folder in self.folders]

    def table(self, baseline: str | None = None, metric: str = "em") -> pa.Table:
        """One row per arm that has all its seeds, one number per column, as `elusive table`."""
        return flat_table(results(complete_arms(self.cells), baseline, metric))


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
    todo = run.jobs()
    if any(run.finished_folder(job) is None for job in todo):
        tqdm.write(f"elusive: {_design(run)}", file=sys.stderr)
    if jobs > 1:
        _run_side_by_side(run, todo, jobs)
    else:
        _run_in_turn(run, todo)
    return RunResult(
        [folder for job in todo if (folder := run.finished_folder(job))],
        [failure for job in todo if (failure := run.failure(job))],
    )


@dataclass(frozen=True)
class Job:
    """A cell to be made: an arm, or none for the model before training, and a seed."""

    arm: ArmConfig | None
    seed: int

    @property
    def label(self) -> str:
        """Name of the arm in tables."""
        return self.arm.name if self.arm else UNTRAINED

    @property
    def name(self) -> str:
        """Name of the cell within its run."""
        return f"{self.label}-seed{self.seed}"


class Run:
    """A plan in its folder: what its cells share, and where they go."""

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan, self.out = plan, out
        self.models = _Models(plan.training.quantization)
        self.dataset = _dataset(plan.dataset, out / "dataset")
        self.known = _dataset(plan.known, out / "known") if plan.known else None

    def check(self) -> None:
        """Raise InputError for what would make all cells fail."""
        asked_questions(self.dataset, self.plan.answering)
        for seed in self.plan.seeds:
            _, rest = split_shots(self.dataset.shots, self.plan.answering.num_shots, seed)
            sample_replay(rest, self.plan.training.format_replay, seed)
        self.models.load(self.plan.model)

    def jobs(self) -> list[Job]:
        """All cells, one seed of all arms after another."""
        arms = [*([None] if self.plan.untrained else []), *self.plan.arms]
        return [Job(arm, seed) for seed in self.plan.seeds for arm in arms]

    def steps(self, job: Job) -> int:
        """Optimizer steps that a cell takes."""
        if job.arm is None:
            return 0
        texts = len(self.dataset.training_documents()) * (1 + job.arm.copies)
        return num_steps(texts, self.plan.training)

    def text_folder(self, job: Job) -> Path | None:
        """Where the training text of a cell goes; None for the model before training."""
        if job.arm is None:
            return None
        key = parameters_hash(augment_parameters(self.dataset, _augment(job)))[:8]
        return self.out / "train" / f"{job.name}-{key}"

    def cell(self, job: Job) -> Cell:
        """The cell of a job."""
        shared = RunSettings(training=self.plan.training, answering=self.plan.answering)
        folder = self.text_folder(job)
        return Cell(job.label, folder, self.plan.model, job.seed, shared, self.known)

    def folder(self, job: Job) -> Path:
        """Where a cell goes; its training text must be there."""
        loaded = self.models.load(self.plan.model)
        return cell_folder(self.out, parameters_of(self.cell(job), self.dataset, loaded))

    def finished_folder(self, job: Job) -> Path | None:
        """The folder of a cell, if that is finished."""
        try:
            text = self.text_folder(job)
        except InputError:  # such as a model that is not there: making the cell says so
            return None
        if text and not text.exists():
            return None
        folder = self.folder(job)
        return folder if folder.exists() else None

    def prepare(self, job: Job) -> None:
        """Make the training text of a cell unless it is there and whole."""
        folder = self.text_folder(job)
        if folder is None:
            return
        with self.lock(folder.name):
            if folder.exists() and (problem := _problem(folder, "training-text")):
                _warn(f"{folder} is damaged ({problem}): it is made again")
                shutil.rmtree(folder)
            _clear_leftovers(folder)
            scorers = Scorers(_augment(job), self.models.load, self.models.tokenizer)
            augment_dataset(self.dataset, _augment(job), folder, scorers=scorers)

    def make(self, job: Job, on_step: OnStep, wait: bool) -> bool:
        """Make a cell unless it is there and whole; False if another run is at it.

        Raises:
            OSError: the disk is full.
        """
        try:
            self.prepare(job)
            folder = self.folder(job)
            with self.lock(folder.name, wait):
                if folder.exists() and (problem := _problem(folder, "cell")):
                    _warn(f"{folder} is damaged ({problem}): it is made again")
                    shutil.rmtree(folder)
                if not folder.exists():
                    _clear_leftovers(folder)
                    loaded = self.models.load(self.plan.model)
                    run_cell(self.cell(job), self.dataset, loaded, folder, on_step)
        except Timeout:
            return False
        except Exception as error:
            if full := full_disk(error):
                raise full from None
            self.record(Failure(job.name, _one_line(error), traceback.format_exc()))
        else:
            self._record_path(job.name).unlink(missing_ok=True)
        return True

    @contextmanager
    def lock(self, name: str, wait: bool = True) -> Iterator[None]:
        """Hold what is being made; the system frees it when this process ends, however it does.

        Raises:
            Timeout: another process holds it, and this one shall not wait.
        """
        folder = self.out / "locks"
        folder.mkdir(exist_ok=True)
        with FileLock(folder / f"{name}.lock", timeout=-1 if wait else 0):
            yield

    def record(self, failure: Failure) -> None:
        """Keep a failure, and say so."""
        path = self._record_path(failure.cell)
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, json.dumps(asdict(failure), indent=2) + "\n")
        _warn(f"{failure.cell} failed: {failure.error}")

    def failure(self, job: Job) -> Failure | None:
        """The failure of a cell, if it failed."""
        path = self._record_path(job.name)
        return Failure(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    def _record_path(self, name: str) -> Path:
        return self.out / "failed" / f"{name}.json"


def _design(run: Run) -> str:
    """What this grid can show."""
    asked = asked_questions(run.dataset, run.plan.answering)
    people = len({question.entity for question in asked})
    arms = len({job.label for job in run.jobs()})
    return design_line(people, round(len(asked) / people), arms, len(run.plan.seeds))


def _augment(job: Job) -> AugmentConfig:
    """How the training text of a cell is made."""
    assert job.arm is not None
    settings = job.arm.model_dump(exclude={"label"}) | {"seed": job.arm.seed + job.seed}
    return AugmentConfig.model_validate(settings)


def _run_in_turn(run: Run, todo: list[Job]) -> None:
    """Make all cells; those that another run is at are looked at again in the end."""
    with tqdm(total=len(todo), desc="cells", unit="cell") as cells:
        left = []
        for job in todo:
            if not _make(run, job, wait=False):
                left.append(job)
            else:
                cells.update()
        for job in left:
            _make(run, job, wait=True)
            cells.update()


def _make(run: Run, job: Job, wait: bool) -> bool:
    """Make a cell with a bar of its steps, if it has to be trained."""
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
            run.record(Failure(job.name, _one_line(error), traceback.format_exc()))
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_work, args=(run.plan, run.out, number, jobs), daemon=True)
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


def _work(plan: Plan, out: Path, number: int, jobs: int) -> None:
    """What one process of several does: every cell that no other one has taken."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // jobs))
    run = Run(plan, out)
    todo = run.jobs()
    first = number * len(todo) // jobs
    for job in todo[first:] + todo[:first]:
        run.make(job, lambda: None, wait=False)


def _problem(folder: Path, kind: str) -> str | None:
    """What is wrong with a folder that was finished; None if nothing is."""
    try:
        if kind == "cell":
            load_cell(folder)
        else:
            checked_manifest(folder, kind, MADE_BY)
    except InputError as error:
        return _one_line(error)
    return None


def _clear_leftovers(folder: Path) -> None:
    """Remove what a killed process left of this folder, but for checkpoints."""
    for path in folder.parent.glob(f".{folder.name}.*"):
        if path.suffix != ".checkpoints":
            shutil.rmtree(path, ignore_errors=True)


def _one_line(error: Exception) -> str:
    """An error in one line, with its type unless it is the user's."""
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"


def _warn(message: str) -> None:
    """A line on stderr that leaves progress bars whole."""
    tqdm.write(f"elusive: {message}", file=sys.stderr)


def _claim(plan: Plan, out: Path) -> None:
    """Keep the resolved plan in `out`, unless that is the folder of something else.

    Arms, seeds and settings may be added to a run; its dataset and its model stay.
    """
    path = out / PLAN
    if path.exists() and any(out.glob("cells/[!.]*")):
        before = load_plan(path)
        for name in ("dataset", "model"):
            if getattr(before, name) != getattr(plan, name):
                raise InputError(
                    f"{out} holds a run on another {name} ({getattr(before, name)}): "
                    "choose another --out"
                )
    elif not path.exists() and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} holds other files: choose another --out or empty it")
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(path, yaml.safe_dump(plan.model_dump(mode="json"), sort_keys=False))


def _dataset(source: Path | BiogenConfig, made: Path) -> DatasetFolder:
    """A dataset of a plan, made first if the plan gives settings instead of a folder."""
    if isinstance(source, Path):
        return load_dataset_folder(source)
    made.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(made.with_name(f".{made.name}.lock")):
        generate_dataset(source, made)
        try:
            return load_dataset_folder(made)
        except InputError as error:
            _warn(f"{made} is damaged ({error}): it is made again")
            shutil.rmtree(made)
            generate_dataset(source, made)
            return load_dataset_folder(made)


class _Models:
    """The models of a run: the last one is kept, so that cells in a row share it."""

    def __init__(self, quantization: str) -> None:
        self._quantization = quantization
        self._reference: str | None = None
        self._loaded: LoadedModel | None = None

    def load(self, reference: str) -> LoadedModel:
        """The model, loaded unless it was the last one asked for."""
        if self._loaded is None or reference != self._reference:
            self._loaded = None
            self._loaded = load_model(reference, quantization=self._quantization)
            self._reference = reference
        return self._loaded

    def tokenizer(self, reference: str) -> PreTrainedTokenizerBase:
        """The tokenizer of a model, from the model if that is loaded."""
        if self._loaded and reference == self._reference:
            return self._loaded.tokenizer
        return tokenizer_of(reference)
