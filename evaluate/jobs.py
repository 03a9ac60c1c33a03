"""The cells that a plan asks for."""

import traceback
from dataclasses import dataclass
from typing import Any

from elusive.augment.config import AugmentConfig
from elusive.common.errors import InputError
from elusive.evaluate.cells.cell import make_file_name
from elusive.evaluate.config import UNTRAINED, CellSettings
from elusive.evaluate.plans import ArmConfig, Plan


@dataclass(frozen=True)
class Job:
    """A cell to be made: an arm, or none for the model before training, with all that decides."""

    dataset: str
    """Name of a dataset of the plan."""
    model: str
    arm: ArmConfig | None
    seed: int
    settings: CellSettings
    prefix: str = ""
    """Names the dataset and the model where a plan has several."""
    chosen: dict[str, Any] | None = None
    """How a sweep chose the arm's settings."""

    @property
    def label(self) -> str:
        """Name of the arm in tables."""
        return self.arm.name if self.arm else UNTRAINED

    @property
    def name(self) -> str:
        """Name of the cell within its run."""
        return f"{self.prefix}{make_file_name(self.label)}-seed{self.seed}"

    @property
    def augment(self) -> AugmentConfig:
        """How the training text of the cell is made: of the trained model's tokens by default."""
        assert self.arm is not None
        settings = self.arm.model_dump(exclude={"label", "training"})
        own = {"seed": self.arm.seed + self.seed, "model": self.arm.model or self.model}
        return AugmentConfig.model_validate(settings | own)


def list_jobs(plan: Plan) -> list[Job]:
    """All cells: model by model, dataset by dataset, one seed of all arms after another."""
    arms = [*([None] if plan.untrained else []), *plan.arms]
    has_several = len(plan.trained) * len(plan.sources) > 1
    return [
        Job(
            dataset,
            model,
            arm,
            seed,
            plan.build_settings(arm),
            f"{make_file_name(dataset)}-{make_file_name(model)}-" if has_several else "",
        )
        for model in plan.trained
        for dataset in plan.sources
        for seed in plan.seeds
        for arm in arms
    ]


@dataclass(frozen=True)
class Failure:
    """A cell that could not be finished."""

    cell: str
    error: str
    """In one line."""
    details: str
    """The traceback."""


def build_failure(job: Job, error: Exception) -> Failure:
    """What is kept of a cell that failed; to be called while the error is handled."""
    return Failure(job.name, render_error(error), traceback.format_exc())


def render_error(error: Exception) -> str:
    """An error in one line, with its type unless it is the user's."""
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"
