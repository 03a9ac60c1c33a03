"""The cells of a plan in their folder: what has to be made, and making one of them."""

import copy
import json
import shutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from elusive.augment.augment import augment_dataset, augment_parameters
from elusive.augment.config import AugmentConfig
from elusive.augment.scores.scorers import Scorers
from elusive.biogen.generate import generate_dataset
from elusive.common.dataset.folder import DatasetFolder, load_dataset_folder
from elusive.common.errors import InputError
from elusive.common.folders import checked_manifest, full_disk, parameters_hash, write_atomically
from elusive.common.lm.loading import LoadedModel, load_model, tokenizer_of
from elusive.common.lm.references import reference_hash
from elusive.evaluate.answering.prompts import sample_replay, split_shots
from elusive.evaluate.cells.cell import (
    Cell,
    asked_questions,
    cell_folder,
    check_weights,
    file_name,
    load_cell,
    num_steps,
)
from elusive.evaluate.cells.make_cell import parameters_of, run_cell
from elusive.evaluate.config import UNTRAINED, RunSettings
from elusive.evaluate.plans import ArmConfig, Plan, Source
from elusive.evaluate.training.train import OnStep

MADE_BY = "elusive augment DATASET --method NAME --out DIR"


@dataclass(frozen=True)
class Failure:
    """A cell that could not be finished."""

    cell: str
    error: str
    """In one line."""
    details: str
    """Where it was raised."""


@dataclass(frozen=True)
class Job:
    """A cell to be made: an arm, or none for the model before training, with all that decides."""

    dataset: str
    """Name of a dataset of the plan."""
    model: str
    arm: ArmConfig | None
    seed: int
    settings: RunSettings
    place: str = ""
    """Dataset and model where a plan has several."""
    chosen: dict[str, Any] | None = None
    """How a sweep chose the arm's settings."""

    @property
    def label(self) -> str:
        """Name of the arm in tables."""
        return self.arm.name if self.arm else UNTRAINED

    @property
    def name(self) -> str:
        """Name of the cell within its run."""
        return f"{self.place}{file_name(self.label)}-seed{self.seed}"

    @property
    def augment(self) -> AugmentConfig:
        """How the training text of the cell is made: of the trained model's tokens by default."""
        assert self.arm is not None
        settings = self.arm.model_dump(exclude={"label", "training"})
        own = {"seed": self.arm.seed + self.seed, "model": self.arm.model or self.model}
        return AugmentConfig.model_validate(settings | own)


def plan_jobs(plan: Plan) -> list[Job]:
    """All cells: model by model, dataset by dataset, one seed of all arms after another."""
    arms = [*([None] if plan.untrained else []), *plan.arms]
    several = len(plan.trained) * len(plan.sources) > 1
    return [
        Job(
            dataset,
            model,
            arm,
            seed,
            plan.settings_of(arm),
            f"{file_name(dataset)}-{file_name(model)}-" if several else "",
        )
        for model in plan.trained
        for dataset in plan.sources
        for seed in plan.seeds
        for arm in arms
    ]


class Run:
    """A plan in its folder: what its cells share, and where they go."""

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan, self.out = plan, out
        self.models = _Models(plan.training.quantization)
        self.datasets = {
            name: replace(_dataset(source, plan.dataset_folder(name, out)), name=name)
            for name, source in plan.sources.items()
        }
        self.known = _dataset(plan.known, _known_folder(plan.known, out)) if plan.known else None

    def below(self, name: str) -> "Run":
        """The same plan, datasets and models, with cells in a folder below this one's."""
        run = copy.copy(self)
        run.out = self.out / name
        return run

    def check(self) -> None:
        """Raise InputError for what would make all cells fail."""
        for dataset in self.datasets.values():
            asked_questions(dataset, self.plan.answering)
            for seed in self.plan.seeds:
                _, rest = split_shots(dataset.shots, self.plan.answering.num_shots, seed)
                sample_replay(rest, self.plan.training.format_replay, seed)
        for model in self.plan.trained:
            reference_hash(model)
        self.models.load(self.plan.trained[0])

    def steps(self, job: Job) -> int:
        """Optimizer steps that a cell takes."""
        if job.arm is None:
            return 0
        texts = len(self.datasets[job.dataset].training_documents()) * (1 + job.arm.copies)
        return num_steps(texts, job.settings.training)

    def text_folder(self, job: Job) -> Path | None:
        """Where the training text of a cell goes; None for the model before training."""
        if job.arm is None:
            return None
        parameters = augment_parameters(self.datasets[job.dataset], job.augment)
        return self.out / "train" / f"{job.name}-{parameters_hash(parameters)[:8]}"

    def cell(self, job: Job) -> Cell:
        """The cell of a job."""
        return Cell(
            job.label,
            self.text_folder(job),
            job.model,
            job.seed,
            job.settings,
            self.known,
            chosen=job.chosen,
        )

    def folder(self, job: Job) -> Path:
        """Where a cell goes; its training text must be there."""
        dataset, weights = self.datasets[job.dataset], reference_hash(job.model)
        return cell_folder(self.out, parameters_of(self.cell(job), dataset, weights))

    def finished_folder(self, job: Job) -> Path | None:
        """The folder of a cell, if that is finished."""
        try:
            text = self.text_folder(job)
            if text and not text.exists():
                return None
            folder = self.folder(job)
        except InputError:  # such as a model that is not there: making the cell says so
            return None
        return folder if folder.exists() else None

    def prepare(self, job: Job) -> None:
        """Make the training text of a cell unless it is there and whole."""
        folder = self.text_folder(job)
        if folder is None:
            return
        with self.lock(folder.name):
            if folder.exists() and (problem := _problem(folder, "training-text")):
                warn(f"{folder} is damaged ({problem}): it is made again")
                shutil.rmtree(folder)
            _clear_leftovers(folder)
            scorers = Scorers(
                job.augment, self.models.load, self.models.tokenizer, job.settings.threads
            )
            augment_dataset(self.datasets[job.dataset], job.augment, folder, scorers=scorers)

    def make(self, job: Job, on_step: OnStep = lambda: None, wait: bool = True) -> bool:
        """Make a cell unless it is there and whole; False if another run is at it.

        A cell that fails is recorded.

        Raises:
            OSError: the disk is full.
        """
        try:
            self.prepare(job)
            folder = self.folder(job)
            with self.lock(folder.name, wait):
                if folder.exists() and (problem := _problem(folder, "cell")):
                    warn(f"{folder} is damaged ({problem}): it is made again")
                    shutil.rmtree(folder)
                if not folder.exists():
                    _clear_leftovers(folder)
                    loaded = self.models.load(job.model)
                    run_cell(self.cell(job), self.datasets[job.dataset], loaded, folder, on_step)
        except Timeout:
            return False
        except Exception as error:
            if full := full_disk(error):
                raise full from None
            self.record(failure_of(job, error))
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
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{name}.lock", timeout=-1 if wait else 0):
            yield

    def record(self, failure: Failure) -> None:
        """Keep a failure, and say so."""
        path = self._record_path(failure.cell)
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, json.dumps(asdict(failure), indent=2) + "\n")
        warn(f"{failure.cell} failed: {failure.error}")

    def failure(self, job: Job) -> Failure | None:
        """The failure of a cell, if it failed."""
        path = self._record_path(job.name)
        return Failure(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    def _record_path(self, name: str) -> Path:
        return self.out / "failed" / f"{name}.json"


def failure_of(job: Job, error: Exception) -> Failure:
    """What is kept of a cell that failed; while the error is being handled."""
    return Failure(job.name, _one_line(error), traceback.format_exc())


def _problem(folder: Path, kind: str) -> str | None:
    """What is wrong with a folder that was finished; None if nothing is."""
    try:
        if kind == "cell":
            load_cell(folder)
            check_weights(folder)
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


def warn(message: str) -> None:
    """A line on stderr that leaves progress bars whole."""
    tqdm.write(f"elusive: {message}", file=sys.stderr)


def _known_folder(source: Source, out: Path) -> Path:
    """Where the dataset of what was known before is, or is made."""
    return source if isinstance(source, Path) else out / "known"


def _dataset(source: Source, folder: Path) -> DatasetFolder:
    """A dataset of a plan, made first if the plan gives settings instead of a folder."""
    if isinstance(source, Path):
        return load_dataset_folder(source)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        generate_dataset(source, folder)
        try:
            return load_dataset_folder(folder)
        except InputError as error:
            warn(f"{folder} is damaged ({error}): it is made again")
            shutil.rmtree(folder)
            generate_dataset(source, folder)
            return load_dataset_folder(folder)


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
