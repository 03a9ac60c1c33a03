"""The cells that a plan asks for."""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from elusive.augment.arms import UNTRAINED
from elusive.augment.config import AugmentConfig
from elusive.augment.scores.user_scores import hash_method_file
from elusive.common.errors import InputError
from elusive.evaluate.cells.cell import make_file_name
from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.config import CellSettings
from elusive.evaluate.plans import ArmConfig, Plan


@dataclass(frozen=True)
class Job:
    """A cell to make: an arm, or None for the model before training, with all its settings."""

    dataset: str
    """Name of one of the plan's datasets."""
    model: str
    arm: ArmConfig | None
    """None for a control, in which nothing is trained."""
    seed: int
    settings: CellSettings
    prefix: str = ""
    """Dataset and model, where the plan has several."""
    chosen: dict[str, Any] | None = None
    """How a sweep chose the arm's settings; None without a sweep."""
    control: str = UNTRAINED
    """Arm of kind `control` if `arm` is None."""
    trial: str = ""
    """Settings that a sweep tries; empty for the cells that are compared."""

    @property
    def label(self) -> str:
        """Name of the arm in tables."""
        return self.arm.name if self.arm else self.control

    @property
    def name(self) -> str:
        """Name of the cell in its run."""
        trial = f"-{self.trial}" if self.trial else ""
        return f"{self.prefix}{make_file_name(self.label)}{trial}-seed{self.seed}"

    @property
    def augment(self) -> AugmentConfig:
        """Settings of the training text; by default, its tokens are the trained model's."""
        assert self.arm is not None
        settings = self.arm.model_dump(exclude={"label", "training"})
        own = {"seed": self.arm.seed + self.seed, "model": self.arm.model or self.model}
        return AugmentConfig.model_validate(settings | own)

    def find_among(self, cells: Iterable[CellResult], is_swept: bool) -> CellResult | None:
        """Find the finished cell that is this one, or None.

        Args:
            cells: of the run.
            is_swept: whether a sweep chooses the settings, so that the cell may have any.
        """
        key = (self.label, self.seed, self.dataset, self.model)
        names = ("label", "seed", "dataset_name", "model")
        for cell in cells:
            is_named = tuple(cell.parameters.get(name) for name in names) == key
            if is_named and (is_swept or self._has_settings(cell.parameters)):
                return cell
        return None

    def _has_settings(self, parameters: dict[str, Any]) -> bool:
        """Whether a cell has these settings; what weights and texts are, only its id tells."""
        wanted: dict[str, dict[str, Any]] = {"answering": self.settings.answering.select_deciding()}
        if self.arm:
            wanted["augment"] = self.augment.model_dump()
            wanted["training"] = self.settings.training.select_deciding()
            if self.augment.method_file:
                with suppress(InputError):  # read from elsewhere, where its file cannot be found
                    wanted["augment"]["method_hash"] = hash_method_file(self.augment.method_file)
        return all(
            parameters[group].get(name, value) == value
            for group, settings in json.loads(json.dumps(wanted)).items()  # as they are stored
            for name, value in settings.items()
        )


def list_jobs(plan: Plan) -> list[Job]:
    """List a plan's cells by model, then dataset, then seed, then arm."""
    rows = [(None, control) for control in plan.list_controls()]
    rows += [(arm, UNTRAINED) for arm in plan.arms]
    has_several = len(plan.trained) * len(plan.sources) > 1
    return [
        Job(
            dataset,
            model,
            arm,
            seed,
            plan.build_settings(arm),
            f"{make_file_name(dataset)}-{make_file_name(model)}-" if has_several else "",
            control=control,
        )
        for model in plan.trained
        for dataset in plan.sources
        for seed in plan.seeds
        for arm, control in rows
    ]


def count_trials(plan: Plan) -> int:
    """Count the cells of a plan's sweep; 0 without one."""
    if plan.sweep is None:
        return 0
    arms = len(plan.arms) * len(plan.trained) * len(plan.sources)
    return arms * plan.sweep.num_trials * len(plan.sweep.seeds)
