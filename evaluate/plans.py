"""Plans: what a run compares, written in YAML."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from elusive.augment.arms import ARMS, UNTRAINED, ZERO_DELTA, is_objective, list_arms
from elusive.augment.config import RESTATE, AugmentConfig
from elusive.biogen.config import BiogenConfig
from elusive.common.dataset.folder import DatasetFolder, load_dataset_folder
from elusive.common.errors import InputError, build_unknown_name_error, validate_config
from elusive.common.yaml_files import load_config
from elusive.evaluate.cells.cell import make_file_name
from elusive.evaluate.config import CellSettings, TrainingConfig, check_not_asked, check_shared
from elusive.evaluate.engines.resources import PlanResources
from elusive.evaluate.sweep_config import SweepConfig

PLAN = "plan.yaml"
"""File in a run's folder that holds its plan."""
PRESETS = Path(__file__).parent.parent / "presets"
DATASET = "dataset"
"""Name of a plan's only dataset if the run generates it."""

Source = Path | BiogenConfig
"""A dataset folder, or the settings of `elusive biogen` to generate one."""


class ArmConfig(AugmentConfig):
    """One arm of a plan; settings that it omits come from the plan."""

    label: str | None = Field(
        default=None,
        max_length=100,
        description="Name in the table, of at most 100 characters; by default the method.",
    )
    training: dict[str, object] = Field(
        default_factory=dict, description="Training settings that differ from the plan's."
    )

    @property
    def name(self) -> str:
        """Name in tables."""
        parts = [] if self.rewrite == "none" else [self.rewrite]
        if self.restate_by:
            where = " in place of pronouns" if self.restate_in == "pronouns" else ""
            parts.append(f"{RESTATE} by {self.restate_by}{where}")
        if self.method != RESTATE or not self.restate_by:
            parts.append(self.method)
        return self.label or " + ".join(parts)


class Plan(CellSettings):
    """A grid: every arm with every seed, on each dataset, for each trained model."""

    dataset: Source | None = Field(
        default=None,
        description="A dataset folder, or settings of `elusive biogen` to generate one.",
    )
    datasets: dict[str, Source] = Field(
        default_factory=dict, description="Several datasets by name, in place of `dataset`."
    )
    model: str | None = Field(
        default=None, description="Model to train: Hub id, local folder, GGUF file or alias."
    )
    models: tuple[str, ...] = Field(
        default=(), description="Several models, in place of `model`; each gets its own cells."
    )
    augment: dict[str, object] = Field(
        default_factory=dict, description="Settings of `elusive augment` that all arms share."
    )
    arms: tuple[ArmConfig, ...] = Field(
        description="Arms to compare: names, or settings with a method."
    )
    seeds: tuple[int, ...] = Field(
        default=(0,), min_length=1, description="Seeds; every arm runs with each."
    )
    untrained: bool = Field(
        default=True, description="Also ask the model before training, as the row `untrained`."
    )
    controls: tuple[Literal["zero-delta", "open-book"], ...] = Field(
        default=(),
        description="Further rows in which nothing is trained: zero-delta (a new adapter) and "
        "open-book (the text in front of each question).",
    )
    known: Source | None = Field(
        default=None,
        description="Dataset of what the model knew before, or settings to generate it: measures "
        "what training makes the model forget.",
    )
    sweep: SweepConfig | None = Field(
        default=None,
        description="How to choose each arm's settings; without it, arms use the plan's settings.",
    )
    resources: PlanResources = Field(
        default=PlanResources(),
        description="What each cell needs on Slurm or Ray, and how models share devices.",
    )
    then: tuple[Literal["clues", "figures", "report"], ...] = Field(
        default=(),
        description="What to make once the cells are finished; the report is made by `elusive run` "
        "alone, as report.html.",
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
        """All models to train."""
        return self.models if self.model is None else (self.model,)

    def list_controls(self) -> list[str]:
        """List the rows in which nothing is trained."""
        return [*([UNTRAINED] if self.untrained else []), *self.controls]

    def list_scorers(self) -> list[str]:
        """List the models that arms name to score tokens with."""
        roles = [role for arm in self.arms for role in (arm.model, arm.large, arm.small)]
        return list(dict.fromkeys(role for role in roles if role))

    def find_dataset_folder(self, name: str, run: Path) -> Path:
        """Return the folder where a dataset of the plan is, or where a run puts it."""
        source = self.sources[name]
        if isinstance(source, Path):
            return source
        return run / DATASET if self.dataset is not None else run / "datasets" / name

    def build_settings(self, arm: ArmConfig | None) -> CellSettings:
        """Build the settings of an arm's cells; None is the model before training."""
        own = self.training.model_dump(exclude_unset=True) | (arm.training if arm else {})
        training = validate_config(TrainingConfig, own)
        return CellSettings(training=training, answering=self.answering, threads=self.threads)

    @field_validator("dataset", "known", mode="before")
    @classmethod
    def _settings_or_folder(cls, dataset: object) -> object:
        """Validate settings by themselves, so that an error names the setting, not the union."""
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
        """Give every arm the plan's shared settings, and turn objectives into plain text."""
        if not isinstance(values, dict) or not isinstance(values.get("arms"), (list, tuple)):
            return values
        shared = values.get("augment") or {}
        if not isinstance(shared, dict):
            raise InputError(f"augment: got {shared!r}; write settings, such as {{copies: 10}}")
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
                    f"{single} and {several}: a plan needs exactly one of them (got {got}): give "
                    f"{single} or {several}"
                )
        return self

    @model_validator(mode="after")
    def _check_resources(self) -> "Plan":
        known = [*self.trained, *self.list_scorers()]
        for model in self.resources.models:
            if model not in known:
                raise build_unknown_name_error("model under resources", model, known)
        return self

    @model_validator(mode="after")
    def _check_processes(self) -> "Plan":
        for model in self.trained:
            for arm in self.arms:
                processes = self.resources.get_devices(model).processes
                check_shared(self.build_settings(arm).training, processes)
        return self

    @model_validator(mode="after")
    def _check_seeds(self) -> "Plan":
        if len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"seeds: {list(self.seeds)} repeats a seed: list each seed once")
        for seed in {*self.seeds, *(self.sweep.seeds if self.sweep else ())}:
            if not 0 <= seed < 2**32:
                raise InputError(f"seed {seed}: should be at least 0 and below 2**32")
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
        if not names and not self.list_controls():
            raise InputError("arms: the plan has none, and no control: list at least one")
        _check_file_names("arms", names, "another label")
        _check_file_names("datasets", list(self.sources), "another name")
        _check_file_names("model", list(self.trained), "another model")
        for name in names:
            if name in list_arms("control"):
                raise InputError(
                    f"arms: {name!r} names a row in which nothing is trained: choose another label"
                )
        if ZERO_DELTA in self.controls and (
            self.answering.endpoint or self.training.tuning == "full"
        ):
            raise InputError(
                "controls: 'zero-delta' needs LoRA and a local model: leave out "
                "answering.endpoint and tuning 'full', or the control"
            )
        for arm in self.arms:
            self.build_settings(arm)
            check_not_asked(arm.method, self.answering)
        return self


def _train_plain_text(arm: dict) -> dict:
    """Turn an arm that acts in training into plain text with that training objective."""
    name, defaults = arm["method"], ARMS[arm["method"]].defaults
    for setting in defaults.keys() & arm.keys():
        raise InputError(
            f"arms: {setting} of {name!r} is a training setting: write "
            f"training: {{{setting}: {arm[setting]}}}"
        )
    training = arm.get("training") or {}
    if not isinstance(training, dict):
        raise InputError(f"arms: training: got {training!r}; write settings, such as {{epochs: 6}}")
    training = {"objective": name} | training
    return arm | {"method": "plain", "label": arm.get("label") or name, "training": training}


def list_presets() -> list[str]:
    """List the names of the plans that come with the package."""
    return sorted(p.stem for p in PRESETS.glob("*.yaml") if "\narms:" in p.read_text())


def load_plan(path: Path, changes: Sequence[str] = ()) -> Plan:
    """Load a plan from a file, or a preset by its name.

    Relative folders in a plan start at the folder of its file, those of a preset at the working
    directory.

    Args:
        path: of the file, or the preset's name.
        changes: settings to change, such as `training.corrupt=mask`.

    Raises:
        InputError: the file is missing or is not YAML, or a setting is wrong.
    """
    start = path.parent
    if not path.exists() and len(path.parts) == 1 and not path.suffix:
        if path.name not in (names := list_presets()):
            raise build_unknown_name_error("plan", path.name, names)
        path = PRESETS / f"{path.name}.yaml"
    plan = load_config(Plan, path, "plan", "model: smollm2-135m", changes)
    return plan.model_copy(
        update={
            "dataset": _resolve(start, plan.dataset),
            "datasets": {name: _resolve(start, source) for name, source in plan.datasets.items()},
            "known": _resolve(start, plan.known),
        }
    )


def _resolve(start: Path, source: Source | None) -> Source | None:
    return (start / source).resolve() if isinstance(source, Path) else source


def find_dataset(run: Path, name: str | None) -> Path:
    """Find the folder of one of a run's datasets.

    Args:
        run: folder of `elusive run`.
        name: the dataset's name, as its cells record it; a name that the plan lacks stands for the
            plan's first dataset.

    Raises:
        InputError: the folder is not a run, or its plan is wrong.
    """
    if not (run / PLAN).exists():
        raise InputError(f"{run} has no {PLAN}: name a folder that `elusive run` wrote")
    plan = load_plan(run / PLAN)
    if name not in plan.sources:
        name = next(iter(plan.sources))
    return plan.find_dataset_folder(name, run)


def load_run_dataset(run: Path, parameters: dict[str, Any]) -> DatasetFolder:
    """Load the dataset of a run that a cell was asked about.

    Args:
        run: folder of `elusive run`.
        parameters: of the cell.

    Raises:
        InputError: the folder is not a run, or it has this dataset no more.
    """
    name = parameters.get("dataset_name")
    dataset = load_dataset_folder(find_dataset(run, name))
    if dataset.content_hash != parameters["dataset"]:
        raise InputError(
            f"{run}: its plan has another dataset than the one that {name!r} was when cells were "
            "asked about it: name a run whose plan has it"
        )
    return dataset


def _check_file_names(setting: str, names: list[str], advice: str) -> None:
    """Refuse names whose files would be the same.

    Raises:
        InputError: two names differ in nothing that a file name keeps.
    """
    by_file: dict[str, str] = {}
    for name in names:
        other = by_file.setdefault(make_file_name(name), name)
        if other == name and names.count(name) > 1:
            raise InputError(f"{setting}: {name!r} occurs twice: choose {advice} for one of them")
        if other != name:
            raise InputError(
                f"{setting}: {other!r} and {name!r} would have the same files: choose {advice} for "
                "one of them"
            )


def _join_parts(parts: list[str], names: list[str]) -> list[str]:
    """Join parts that are a name together.

    >>> _join_parts(["plain", "random", " twice"], ["plain", "random, twice"])
    ['plain', 'random, twice']
    """
    for count in range(1, len(parts) + 1):
        if (name := ",".join(parts[:count])) in names:
            return [name, *_join_parts(parts[count:], names)]
    return parts[:1] + _join_parts(parts[1:], names) if parts else []


def select_part(plan: Plan, arms: tuple[str, ...] = (), seeds: tuple[int, ...] = ()) -> Plan:
    """Select some of a plan's arms and seeds; where none are named, all of them stay.

    Args:
        plan: to select from.
        arms: names; one that has a comma may be given in its parts, as a list with commas is.
        seeds: of the plan.

    Raises:
        InputError: the plan has no such arm or seed.
    """
    names = [*plan.list_controls(), *(arm.name for arm in plan.arms)]
    arms = tuple(_join_parts(list(arms), names))
    for name in arms:
        if name not in names:
            raise build_unknown_name_error("arm", name, names)
    for seed in seeds:
        if seed not in plan.seeds:
            raise InputError(
                f"seed {seed} is not in the plan: choose among {', '.join(map(str, plan.seeds))}"
            )
    return plan.model_copy(
        update={
            "arms": tuple(arm for arm in plan.arms if not arms or arm.name in arms),
            "untrained": plan.untrained and (not arms or UNTRAINED in arms),
            "controls": tuple(name for name in plan.controls if not arms or name in arms),
            "seeds": tuple(seed for seed in plan.seeds if not seeds or seed in seeds),
        }
    )
