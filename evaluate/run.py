"""A grid of cells: every arm x every seed of a plan, only what is missing."""

from dataclasses import dataclass
from pathlib import Path

import yaml
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from elusive.augment.augment import augment_dataset, augment_parameters, read_summary
from elusive.augment.config import AugmentConfig
from elusive.augment.methods import Scorers
from elusive.biogen.generate import generate_dataset
from elusive.common.dataset import DatasetFolder, load_dataset_folder
from elusive.common.errors import InputError, unknown_name
from elusive.common.folders import checked_manifest, parameters_hash, write_atomically
from elusive.common.models import LoadedModel, load_model, tokenizer_of
from elusive.common.yaml_files import load_config
from elusive.evaluate.cell import (
    Cell,
    asked_questions,
    cell_id,
    cell_parameters,
    num_steps,
    run_cell,
)
from elusive.evaluate.config import UNTRAINED, ArmConfig, Plan, RunSettings

PLAN = "plan.yaml"
MADE_BY = "elusive augment DATASET --method NAME --out DIR"


def load_plan(path: Path) -> Plan:
    """Read a plan.

    Raises:
        InputError: no such file, no YAML, or a setting that is wrong.
    """
    plan = load_config(Plan, path, "plan", "model: smollm2-135m")
    if isinstance(plan.dataset, Path):
        plan = plan.model_copy(update={"dataset": (path.parent / plan.dataset).resolve()})
    return plan


def part_of_plan(plan: Plan, arms: tuple[str, ...] = (), seeds: tuple[int, ...] = ()) -> Plan:
    """A plan with some of its arms and seeds alone; all of them where none is named.

    Raises:
        InputError: the plan has no such arm or seed.
    """
    names = [UNTRAINED, *(arm.name for arm in plan.arms)]
    for name in arms:
        if name not in names:
            raise unknown_name("arm", name, names)
    for seed in seeds:
        if seed not in plan.seeds:
            raise InputError(
                f"seed {seed} is none of the plan's ({', '.join(map(str, plan.seeds))})"
            )
    return plan.model_copy(
        update={
            "arms": tuple(arm for arm in plan.arms if not arms or arm.name in arms),
            "untrained": plan.untrained and (not arms or UNTRAINED in arms),
            "seeds": tuple(seed for seed in plan.seeds if not seeds or seed in seeds),
        }
    )


def run_one(
    dataset: Path,
    train: Path | None,
    model: str,
    seed: int,
    label: str | None,
    settings: RunSettings,
    out: Path,
) -> bool:
    """Train and score one cell into `out`; False if `out` holds it already.

    Without a training text, the model before training is scored.

    Raises:
        InputError: a folder, the model or a setting is wrong.
    """
    loaded_dataset = load_dataset_folder(dataset)
    asked_questions(loaded_dataset, settings.answering)
    method, steps = UNTRAINED, 0
    if train:
        method = checked_manifest(train, "training-text", MADE_BY).parameters["method"]
        steps = num_steps(read_summary(train).num_texts, settings.training)
    cell = Cell(label or method, train, model, seed, settings)
    with tqdm(total=steps, desc="training", unit="step", disable=not steps) as bar:
        return run_cell(cell, loaded_dataset, load_model(model), out, bar.update)


@dataclass(frozen=True)
class _Job:
    """A cell and where it goes."""

    cell: Cell
    folder: Path


def run_plan(plan: Plan, out: Path) -> list[Path]:
    """Run every cell of a plan that `out` does not hold yet; the folders of all its cells.

    Finished cells survive an interruption; running again goes on with what is missing.

    Raises:
        InputError: a setting, a model or a folder is wrong; nothing already made is lost.
    """
    _claim(plan, out)
    dataset = _dataset(plan, out)
    asked_questions(dataset, plan.answering)
    models = _Models()
    arms = [*([None] if plan.untrained else []), *plan.arms]
    jobs = [_job(plan, arm, seed, dataset, models, out) for seed in plan.seeds for arm in arms]
    missing = [job for job in jobs if not job.folder.exists()]
    steps = sum(_steps(plan, job, dataset) for job in missing)
    with tqdm(total=steps, desc="training", unit="step", disable=not missing) as bar:
        for job in missing:
            bar.set_description(f"{job.cell.label}, seed {job.cell.seed}")
            run_cell(job.cell, dataset, models.load(plan.model), job.folder, bar.update)
    return [job.folder for job in jobs]


def _steps(plan: Plan, job: _Job, dataset: DatasetFolder) -> int:
    """Optimizer steps that a cell will take."""
    if job.cell.train is None:
        return 0
    copies = next(arm.copies for arm in plan.arms if arm.name == job.cell.label)
    return num_steps(len(dataset.training_documents()) * (1 + copies), plan.training)


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


def _dataset(plan: Plan, out: Path) -> DatasetFolder:
    """The plan's dataset, made first if the plan gives settings instead of a folder."""
    if isinstance(plan.dataset, Path):
        return load_dataset_folder(plan.dataset)
    generate_dataset(plan.dataset, out / "dataset")
    return load_dataset_folder(out / "dataset")


class _Models:
    """The models of a run: the last one is kept, so that cells in a row share it."""

    def __init__(self) -> None:
        self._reference: str | None = None
        self._loaded: LoadedModel | None = None

    def load(self, reference: str) -> LoadedModel:
        """The model, loaded unless it was the last one asked for."""
        if self._loaded is None or reference != self._reference:
            self._loaded = None
            self._loaded, self._reference = load_model(reference), reference
        return self._loaded

    def tokenizer(self, reference: str) -> PreTrainedTokenizerBase:
        """The tokenizer of a model, from the model if that is loaded."""
        if self._loaded and reference == self._reference:
            return self._loaded.tokenizer
        return tokenizer_of(reference)


def _job(
    plan: Plan, arm: ArmConfig | None, seed: int, dataset: DatasetFolder, models: _Models, out: Path
) -> _Job:
    """Name a cell, after making the arm's training text if it is not there."""
    name = arm.name if arm else UNTRAINED
    train = _training_text(arm, seed, dataset, models, out) if arm else None
    shared = RunSettings(training=plan.training, answering=plan.answering)
    cell = Cell(name, train, plan.model, seed, shared)
    parameters = cell_parameters(cell, dataset, models.load(plan.model).weights_hash)
    return _Job(cell, out / "cells" / f"{name}-seed{seed}-{cell_id(parameters)}")


def _training_text(
    arm: ArmConfig, seed: int, dataset: DatasetFolder, models: _Models, out: Path
) -> Path:
    """The folder of the arm's training text, made if it is not there."""
    settings = arm.model_dump(exclude={"label"}) | {"seed": arm.seed + seed}
    config = AugmentConfig.model_validate(settings)
    key = parameters_hash(augment_parameters(dataset, config))[:8]
    train = out / "train" / f"{arm.name}-seed{seed}-{key}"
    augment_dataset(dataset, config, train, scorers=Scorers(config, models.load, models.tokenizer))
    return train
