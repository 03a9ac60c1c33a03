"""Plans: what a run compares, written in YAML."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from elusive.augment.arms import ARMS, is_objective
from elusive.augment.config import AugmentConfig
from elusive.biogen.config import BiogenConfig
from elusive.common.errors import InputError, build_unknown_name_error, validate_config
from elusive.common.yaml_files import load_config
from elusive.evaluate.config import UNTRAINED, CellSettings, TrainingConfig

PLAN = "plan.yaml"
"""Name under which a run keeps its plan."""
PRESETS = Path(__file__).parent.parent / "presets"
DATASET = "dataset"
"""Name of a plan's only dataset, if the run makes it."""

Source = Path | BiogenConfig
"""A dataset folder, or the settings to make one."""


class ArmConfig(AugmentConfig):
    """One arm of a plan; settings that it leaves out come from the plan."""

    label: str | None = Field(
        default=None, description="Name in the table; the method's name if not given."
    )
    training: dict[str, object] = Field(
        default_factory=dict, description="Settings of training that only this arm has."
    )

    @property
    def name(self) -> str:
        """Name in the table."""
        return self.label or self.method


class Range(BaseModel):
    """A range of numbers, both ends included."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float = Field(description="Smallest number.")
    high: float = Field(description="Largest number.")
    log: bool = Field(default=False, description="Whether each order of magnitude counts alike.")

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if self.low > self.high or (self.log and self.low <= 0):
            raise InputError(
                f"low {self.low} and high {self.high}: low must not exceed high, and must be "
                "above 0 if log is true"
            )
        return self


class SweepConfig(BaseModel):
    """How the settings of each arm are chosen before it is compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: int = Field(default=16, ge=1, description="Settings tried for each arm.")
    alpha: tuple[float, ...] | Range | None = Field(
        default=None, description="Choices, or a range, of alpha; for arms that drop tokens."
    )
    beta: tuple[float, ...] | Range | None = Field(
        default=None, description="Choices, or a range, of beta; for arms that drop tokens."
    )
    learning_rate: tuple[float, ...] | Range | None = Field(
        default=None, description="Choices, or a range, of the peak learning rate."
    )
    epochs: tuple[int, ...] | None = Field(default=None, description="Choices of epochs.")
    metric: Literal["em", "f1", "log_probability"] = Field(
        default="log_probability",
        description="What is maximized; the gold log-probability moves before exact match does.",
    )
    protocol: Literal["best-on-dev", "best-on-test"] = Field(
        default="best-on-dev",
        description="Whose questions decide: dev people's, or test people's as in the paper, "
        "which flatters every arm and is marked in the table.",
    )
    seed: int = Field(default=0, description="Seed of the search and of the trials' training.")

    @field_validator("alpha", "beta", "learning_rate", mode="before")
    @classmethod
    def _range_or_choices(cls, values: object) -> object:
        """Check a range alone, so that an error names its setting and not the union of types."""
        return validate_config(Range, values) if isinstance(values, dict) else values


class Plan(CellSettings):
    """A grid: every arm with every seed, on each dataset, for each trained model."""

    dataset: Source | None = Field(
        default=None,
        description="A dataset folder, or the settings of `elusive biogen` to make one.",
    )
    datasets: dict[str, Source] = Field(
        default_factory=dict, description="Several datasets by name, instead of `dataset`."
    )
    model: str | None = Field(
        default=None, description="Model to train: Hub id, local folder, GGUF file or alias."
    )
    models: tuple[str, ...] = Field(
        default=(), description="Several models, instead of `model`; each is trained alone."
    )
    augment: dict[str, object] = Field(
        default_factory=dict, description="Settings of `elusive augment` that all arms share."
    )
    arms: tuple[ArmConfig, ...] = Field(description="Arms: names, or settings with a method.")
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1, description="Seeds of every arm.")
    untrained: bool = Field(
        default=True, description="Also ask the model before training: the row `untrained`."
    )
    known: Source | None = Field(
        default=None,
        description="Dataset of what the model knew before, or the settings to make it: shows what "
        "training makes the model forget.",
    )
    sweep: SweepConfig | None = Field(
        default=None,
        description="How each arm's settings are chosen; without it, arms use those of the plan.",
    )
    then: tuple[Literal["clues", "figures"], ...] = Field(
        default=(), description="What to make when the cells are finished."
    )

    @property
    def sources(self) -> dict[str, Source]:
        """All datasets by name."""
        if self.dataset is None:
            return self.datasets
        name = self.dataset.name if isinstance(self.dataset, Path) else DATASET
        return {name: self.dataset}

    @property
    def trained(self) -> tuple[str, ...]:
        """All models that are trained."""
        return self.models if self.model is None else (self.model,)

    def find_dataset_folder(self, name: str, run: Path) -> Path:
        """Where a dataset of the plan is, or is made by a run."""
        source = self.sources[name]
        if isinstance(source, Path):
            return source
        return run / DATASET if self.dataset is not None else run / "datasets" / name

    def build_settings(self, arm: ArmConfig | None) -> CellSettings:
        """Training and answering of an arm's cells."""
        own = self.training.model_dump() | (arm.training if arm else {})
        training = validate_config(TrainingConfig, own)
        return CellSettings(training=training, answering=self.answering, threads=self.threads)

    @field_validator("dataset", "known", mode="before")
    @classmethod
    def _settings_or_folder(cls, dataset: object) -> object:
        """Check settings alone, so that an error names the setting and not the union of types."""
        return validate_config(BiogenConfig, dataset) if isinstance(dataset, dict) else dataset

    @field_validator("datasets", mode="before")
    @classmethod
    def _all_settings_or_folders(cls, datasets: object) -> object:
        if not isinstance(datasets, dict):
            return datasets
        return {name: cls._settings_or_folder(source) for name, source in datasets.items()}

    @model_validator(mode="before")
    @classmethod
    def _complete_arms(cls, values: dict) -> dict:
        """Give every arm the plan's shared settings, and objectives their plain text."""
        if not isinstance(values, dict) or not isinstance(values.get("arms"), (list, tuple)):
            return values
        shared = values.get("augment") or {}
        arms = []
        for arm in values["arms"]:
            own = {"method": arm} if isinstance(arm, str) else arm
            if isinstance(own, dict):
                own = shared | (_train_plain_text(own) if is_objective(own.get("method")) else own)
            arms.append(own)
        return values | {"arms": arms}

    @model_validator(mode="after")
    def _check_one_or_several(self) -> "Plan":
        for single, several in (("dataset", "datasets"), ("model", "models")):
            is_missing = getattr(self, single) is None
            if is_missing == (not getattr(self, several)):
                got = "neither" if is_missing else "both"
                raise InputError(
                    f"{single} and {several}: a plan needs one of them (got {got}): "
                    f"give {single} or {several}"
                )
        return self

    @model_validator(mode="after")
    def _check_seeds(self) -> "Plan":
        if len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"seeds: {list(self.seeds)} names a seed twice: name each seed once")
        return self

    @model_validator(mode="after")
    def _check_people_to_choose_on(self) -> "Plan":
        for name, source in self.sources.items():
            on_dev = self.sweep and self.sweep.protocol == "best-on-dev"
            if on_dev and isinstance(source, BiogenConfig) and not source.dev_rate:
                raise InputError(
                    f"sweep: dataset {name!r} has no dev people to choose settings on: set its "
                    "dev_rate above 0"
                )
        return self

    @model_validator(mode="after")
    def _check_arms(self) -> "Plan":
        names = [arm.name for arm in self.arms]
        if not names:
            raise InputError("arms: the plan names none: list at least one")
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"arms: {name!r} occurs twice: give one of them another label")
            if name == UNTRAINED:
                raise InputError(
                    f"arms: {name!r} is the name of the model before training: choose another label"
                )
        for arm in self.arms:
            keeps_order = arm.method not in ARMS or ARMS[arm.method].keeps_order
            if self.build_settings(arm).training.labels == "clean" and not keeps_order:
                raise InputError(
                    f"arms: {arm.name!r} changes the order of the original, whose next token "
                    "labels 'clean' predicts: give it training: {labels: dropped}"
                )
        return self


def _train_plain_text(arm: dict) -> dict:
    """An arm that acts in training, as plain text with that objective of training."""
    name, defaults = arm["method"], ARMS[arm["method"]].defaults
    for setting in defaults.keys() & arm.keys():
        raise InputError(
            f"arms: {setting} of {name!r} is a setting of training: write "
            f"training: {{{setting}: {arm[setting]}}}"
        )
    training = {"objective": name} | (arm.get("training") or {})
    return arm | {"method": "plain", "label": arm.get("label") or name, "training": training}


def list_presets() -> list[str]:
    """Names of the plans that come with the package."""
    return sorted(p.stem for p in PRESETS.glob("*.yaml") if "\narms:" in p.read_text())


def load_plan(path: Path) -> Plan:
    """Read a plan, from a file or by the name of one that comes with the package.

    Raises:
        InputError: no such file, no YAML, or a setting that is wrong.
    """
    if not path.exists() and len(path.parts) == 1 and not path.suffix:
        if path.name not in (names := list_presets()):
            raise build_unknown_name_error("plan", path.name, names)
        path = PRESETS / f"{path.name}.yaml"
    plan = load_config(Plan, path, "plan", "model: smollm2-135m")
    return plan.model_copy(
        update={
            "dataset": _beside(path, plan.dataset),
            "datasets": {name: _beside(path, source) for name, source in plan.datasets.items()},
            "known": _beside(path, plan.known),
        }
    )


def _beside(plan: Path, source: Source | None) -> Source | None:
    """A source whose relative folder starts at the plan's own folder."""
    return (plan.parent / source).resolve() if isinstance(source, Path) else source


def find_dataset(run: Path, name: str | None) -> Path:
    """The folder of a dataset that a run's plan names, or made.

    Args:
        run: folder of `elusive run`.
        name: of the dataset as its cells have it; the plan's first one where it has none such.

    Raises:
        InputError: the folder is no run, or its plan is wrong.
    """
    if not (run / PLAN).exists():
        raise InputError(f"{run} was not made by `elusive run`: it has no {PLAN}")
    plan = load_plan(run / PLAN)
    known = name if name in plan.sources else next(iter(plan.sources))
    return plan.find_dataset_folder(known, run)


def select_part(plan: Plan, arms: tuple[str, ...] = (), seeds: tuple[int, ...] = ()) -> Plan:
    """A plan with only some of its arms and seeds; all of them where none is named.

    Raises:
        InputError: the plan has no such arm or seed.
    """
    names = [UNTRAINED, *(arm.name for arm in plan.arms)]
    for name in arms:
        if name not in names:
            raise build_unknown_name_error("arm", name, names)
    for seed in seeds:
        if seed not in plan.seeds:
            raise InputError(
                f"seed {seed} is not in the plan, whose seeds are {', '.join(map(str, plan.seeds))}"
            )
    return plan.model_copy(
        update={
            "arms": tuple(arm for arm in plan.arms if not arms or arm.name in arms),
            "untrained": plan.untrained and (not arms or UNTRAINED in arms),
            "seeds": tuple(seed for seed in plan.seeds if not seeds or seed in seeds),
        }
    )
