"""The folder of a run: what its cells share, where each one goes, and how to make it."""

import copy
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from elusive.augment.augment import augment_dataset, collect_parameters
from elusive.augment.scores.arm_scores import Scorers
from elusive.augment.training_text import TrainingTextFolder
from elusive.biogen.generate import generate_dataset
from elusive.common.claims import Claim, ClaimedError, LostClaimError, hold_claim
from elusive.common.dataset.folder import DatasetFolder, load_dataset_folder
from elusive.common.dataset.shards import is_finished
from elusive.common.errors import InputError
from elusive.common.folders import (
    MANIFEST,
    find_full_disk_error,
    hash_parameters,
)
from elusive.common.lm.loading import LoadedModel, load_model, load_model_tokenizer
from elusive.common.lm.references import hash_model_weights
from elusive.evaluate.cells.cell import Cell, count_steps, find_cell_folder
from elusive.evaluate.cells.cell_folder import check_weights, load_cell
from elusive.evaluate.cells.make_cell import find_parameters, is_without_model, make_cell
from elusive.evaluate.checks.plan import check_questions
from elusive.evaluate.engines.failures import (
    Failure,
    build_failure,
    forget_failure,
    print_warning,
    read_failure,
    record_failure,
    render_error,
)
from elusive.evaluate.engines.resources import PlanResources
from elusive.evaluate.jobs import Job
from elusive.evaluate.plans import Plan, Source
from elusive.evaluate.training.hf_trainer import OnStep


class RunFolder:
    """A plan and the folder of its run.

    Raises:
        InputError: a dataset of the plan is missing or damaged.
    """

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan, self.root, self.out = plan, out, out
        self.models = _Models(plan.resources)
        self.datasets = {
            name: _prepare_dataset(source, plan.find_dataset_folder(name, out), name)
            for name, source in plan.sources.items()
        }
        self._texts: dict[Path, TrainingTextFolder] = {}
        self.known = None
        if plan.known:
            folder = plan.known if isinstance(plan.known, Path) else out / "known"
            self.known = _prepare_dataset(plan.known, folder)

    def open_below(self, folder: str | Path) -> "RunFolder":
        """Return the same plan, datasets and models with a subfolder for the cells."""
        run = copy.copy(self)
        run.out = self.root / folder
        return run

    def check(self, with_model: bool = True) -> None:
        """Raise InputError for faults that would make every cell fail.

        Without loading a model, where another machine makes the cells.
        """
        for name, dataset in self.datasets.items():
            check_questions(self.plan, name, dataset.questions, dataset.shots)
        for model in self.plan.trained:
            hash_model_weights(model)
        first = self.plan.trained[0]
        if with_model and self.plan.resources.get_devices(first).processes == 1:
            self.models.load(first, self.plan.training.quantization)

    def count_steps(self, job: Job) -> int:
        """Return the number of optimizer steps of a cell; 0 if nothing is trained."""
        if job.arm is None:
            return 0
        documents = self.datasets[job.dataset].select_training_documents()
        return count_steps(len(documents) * (1 + job.arm.copies), job.settings.training)

    def find_text_folder(self, job: Job) -> Path | None:
        """Find the folder for a cell's training text; None for the model before training."""
        if job.arm is None:
            return None
        parameters = collect_parameters(self.datasets[job.dataset], job.augment)
        digest = hash_parameters(parameters)[:8]
        return self.out / "train" / f"{job.prefix}{job.arm.method}-seed{job.seed}-{digest}"

    def find_finished(self, job: Job) -> Path | None:
        """Find the folder of a cell if the cell is finished."""
        try:
            path = self.find_text_folder(job)
            if path and not is_finished(path):
                return None
            folder = self.find_cell_folder(job)
        except InputError:  # such as a missing model, which making the cell will report
            return None
        return folder if folder.exists() else None

    def find_cell_folder(self, job: Job) -> Path:
        """Find the folder for a cell; its training text must be there.

        Raises:
            InputError: a model or the training text is missing.
        """
        path = self.find_text_folder(job)
        return self._find_folder(job, path and self._open_text(path))

    def _open_text(self, path: Path) -> TrainingTextFolder:
        """Open a training text; its manifest is read, and its files verified, once per process."""
        if path not in self._texts:
            self._texts[path] = TrainingTextFolder(path)
        return self._texts[path]

    def prepare_text(self, job: Job) -> TrainingTextFolder | None:
        """Return a cell's training text; make it if it is missing or damaged."""
        path = self.find_text_folder(job)
        if path is None:
            return None
        with self.lock(path.name):
            if self.keeps_text(path):
                return self._open_text(path)
            _clear_leftovers(path)
            scorers = Scorers(
                job.augment,
                self.models.load,
                self.models.load_tokenizer,
                job.settings.threads,
                self.plan.resources.get_devices,
            )
            augment_dataset(self.datasets[job.dataset], job.augment, path, scorers=scorers)
            return self._open_text(path)

    def keeps_text(self, path: Path) -> bool:
        """Whether a training text is there and finished; it is removed if it is damaged."""
        if not is_finished(path):
            return False
        try:
            self._open_text(path).verify()
        except InputError as error:
            _remove_damaged(path, error)
            self._texts.pop(path, None)
            return False
        return True

    def keeps_cell(self, folder: Path) -> bool:
        """Whether a cell is there; it is removed if it is damaged."""
        if not folder.exists():
            return False
        try:
            load_cell(folder)
            check_weights(folder)
        except InputError as error:
            _remove_damaged(folder, error)
            return False
        return True

    def make(self, job: Job, on_step: OnStep = lambda: None, wait: bool = True) -> bool:
        """Make a cell if it is missing or damaged; return False if another process is making it.

        A cell that fails is recorded.

        Raises:
            OSError: the disk is full.
        """
        try:
            text = self.prepare_text(job)
            folder = self._find_folder(job, text)
            with self.lock(folder.name, wait) as claim:
                if not self.keeps_cell(folder):
                    _clear_leftovers(folder)
                    make_cell(
                        self._build_cell(job, text),
                        self.datasets[job.dataset],
                        self._load(job, text),
                        folder,
                        lambda: (claim.check(), on_step()),
                        self.plan.resources.get_devices(job.model).processes,
                    )
        except (ClaimedError, LostClaimError):
            return False
        except Exception as error:
            if full := find_full_disk_error(error):
                raise full from None
            self.record(build_failure(job.name, error))
        else:
            self.forget_failure(job)
        return True

    def _load(self, job: Job, text: TrainingTextFolder | None) -> LoadedModel | None:
        """Load the model of a cell, unless several processes load it."""
        is_shared = self.plan.resources.get_devices(job.model).processes > 1
        if is_shared and not is_without_model(text, job.settings):
            self.models.forget()
            return None
        return self.models.load(job.model, job.settings.training.quantization)

    def _build_cell(self, job: Job, text: TrainingTextFolder | None) -> Cell:
        return Cell(
            job.label,
            text,
            job.model,
            job.seed,
            job.settings,
            self.known,
            control=job.control,
            chosen=job.chosen,
        )

    def _find_folder(self, job: Job, text: TrainingTextFolder | None) -> Path:
        cell, weights = self._build_cell(job, text), hash_model_weights(job.model)
        return find_cell_folder(
            self.out, find_parameters(cell, self.datasets[job.dataset], weights)
        )

    @contextmanager
    def lock(self, name: str, wait: bool = True) -> Iterator[Claim]:
        """Claim a folder of the run while it is made; a dead process loses its claims.

        Raises:
            ClaimedError: another process has claimed it, and `wait` is False.
        """
        with hold_claim(self.out / "locks" / name, wait) as claim:
            yield claim

    def record(self, failure: Failure) -> None:
        """Write down a failure and print it."""
        record_failure(self.out, failure)

    def forget_failure(self, job: Job) -> None:
        """Remove the record of a cell's failure, if there is one."""
        forget_failure(self.out, job.name)

    def find_failure(self, job: Job) -> Failure | None:
        """Read the failure of a cell; None if it did not fail."""
        return read_failure(self.out, job.name)


def _remove_damaged(folder: Path, error: InputError) -> None:
    print_warning(f"{folder} is damaged ({render_error(error)}) and will be made again")
    shutil.rmtree(folder)


def _clear_leftovers(folder: Path) -> None:
    """Remove what a killed process left beside this folder, except its checkpoints."""
    for path in folder.parent.glob(f".{folder.name}.*"):
        if path.suffix != ".checkpoints":
            shutil.rmtree(path, ignore_errors=True)


def _prepare_dataset(source: Source, folder: Path, name: str | None = None) -> DatasetFolder:
    """Load a dataset of a plan; generate it first if the plan gives settings, not a folder."""
    if isinstance(source, Path):
        return load_dataset_folder(source, name=name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if (folder / MANIFEST).exists():
        with suppress(InputError):  # many tasks start at once, and need not wait for each other
            generate_dataset(source, folder)
            return load_dataset_folder(folder, name=name)
    with hold_claim(folder.with_name(f".{folder.name}.claim")):
        generate_dataset(source, folder)
        try:
            return load_dataset_folder(folder, name=name)
        except InputError as error:
            _remove_damaged(folder, error)
            generate_dataset(source, folder)
            return load_dataset_folder(folder, name=name)


class _Models:
    """The models of a run; the last one stays loaded, so that consecutive cells share it."""

    def __init__(self, resources: PlanResources) -> None:
        self._resources = resources
        self._key: tuple[str, str] | None = None
        self._loaded: LoadedModel | None = None

    def forget(self) -> None:
        """Free the memory of the last model, which other processes need."""
        self._key = self._loaded = None

    def load(self, reference: str, quantization: str = "none") -> LoadedModel:
        """Return a model; load it unless it was the last one that was asked for.

        Scores of tokens are always those of the model as it is: quantization is one of training.
        """
        if self._loaded is None or (reference, quantization) != self._key:
            self._loaded = None
            devices = self._resources.get_devices(reference)
            self._loaded = load_model(reference, quantization=quantization, devices=devices)
            self._key = (reference, quantization)
        return self._loaded

    def load_tokenizer(self, reference: str) -> PreTrainedTokenizerBase:
        """Return the tokenizer of a model, without loading the model."""
        if self._loaded and self._key and reference == self._key[0]:
            return self._loaded.tokenizer
        return load_model_tokenizer(reference)
