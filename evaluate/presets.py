"""Plans that come with the package, what they cost, and a commented plan to start from."""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from elusive.augment.config import AugmentConfig
from elusive.biogen.config import BiogenConfig
from elusive.common.errors import InputError, build_unknown_name_error
from elusive.common.folders import write_atomically
from elusive.evaluate.config import AnsweringConfig, TrainingConfig
from elusive.evaluate.jobs import count_trials, list_jobs
from elusive.evaluate.plans import PRESETS, Plan, list_presets, load_plan

SECONDS_PER_TEXT = {"nano-large": 0.02, "nano-small": 0.007, "smollm2-135m": 0.25}
"""Seconds in which one core trains on a text of 5 facts and answers for its share of the questions:
the mean cell of docs/board, and docs/models.md; only for the order of magnitude."""
LINE = 100


@dataclass(frozen=True)
class PresetSummary:
    """What a plan compares and what it costs."""

    name: str
    line: str
    """What it compares, in its own words."""
    num_cells: int
    num_trials: int
    """Cells of its sweep, made before the others; 0 without one."""
    models: tuple[str, ...]
    hours: float | None
    """Rough time on one core; None if its models need a GPU, or its dataset is yet to be made."""

    @property
    def cost(self) -> str:
        """Cells and time in words."""
        trials = f" + {self.num_trials} trials" if self.num_trials else ""
        return f"{self.num_cells} cells{trials}, {self._format_time()}"

    def _format_time(self) -> str:
        if self.hours is None:
            is_small = SECONDS_PER_TEXT.keys() >= set(self.models)
            return "time unknown until its dataset is made" if is_small else "needs a GPU"
        return _format_hours(self.hours)


def _format_hours(hours: float) -> str:
    time = f"{60 * hours:.0f} min" if hours < 1.5 else f"{hours:.0f} h"
    return f"about {time} on one core"


def summarize_presets() -> list[PresetSummary]:
    """Summarize the plans that come with the package, the cheapest first."""
    summaries = [summarize_plan(name, load_plan(Path(name))) for name in list_presets()]
    return sorted(summaries, key=lambda s: (s.hours is None, s.hours or 0, s.name))


def summarize_plan(name: str, plan: Plan) -> PresetSummary:
    """Summarize a preset."""
    num_trials = count_trials(plan)
    return PresetSummary(
        name=name,
        line=_read_line(name),
        num_cells=len(list_jobs(plan)),
        num_trials=num_trials,
        models=plan.trained,
        hours=_estimate_hours(plan, num_trials),
    )


def _read_line(name: str) -> str:
    """Read the first sentence of the comment that opens a preset."""
    comment = re.match(r"(?:#.*\n)+", read_preset(name))
    text = (
        " ".join(line.removeprefix("#").strip() for line in comment[0].splitlines())
        if comment
        else ""
    )
    return re.split(r"(?<=[.?]) ", text)[0]


def _estimate_hours(plan: Plan, num_trials: int) -> float | None:
    seconds = 0.0
    trials_per_job = num_trials / max(1, sum(job.arm is not None for job in list_jobs(plan)))
    for job in list_jobs(plan):
        source = plan.sources[job.dataset]
        if job.model not in SECONDS_PER_TEXT or not isinstance(source, BiogenConfig):
            return None
        if job.arm:
            texts = source.people * source.documents_per_person * (1 + job.arm.copies)
            epochs = max((job.settings.training.epochs, *(plan.sweep.epochs if plan.sweep else ())))
            seconds += (1 + trials_per_job) * texts * epochs * SECONDS_PER_TEXT[job.model]
    return seconds / 3600


def read_preset(name: str) -> str:
    """Read the text of a preset, a plan or the family of `elusive pretrain`.

    Raises:
        InputError: there is no preset of this name.
    """
    names = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    name = name.removesuffix(".yaml")
    if name not in names:
        raise build_unknown_name_error("preset", name, names)
    return (PRESETS / f"{name}.yaml").read_text(encoding="utf-8")


def write_new_plan(path: Path) -> None:
    """Write a small plan with every setting in a comment.

    Raises:
        InputError: the file exists, or cannot be a plan.
    """
    if path.exists():
        raise InputError(f"{path} exists: choose another name, or delete it")
    if path.suffix not in (".yaml", ".yml"):
        raise InputError(f"{path} should end with .yaml: a plan is a YAML file")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, render_new_plan(path))


def render_new_plan(path: Path) -> str:
    """Render a plan that runs as it stands, on the built-in models, with every setting explained.

    Settings in comments have their defaults.
    """
    head = (
        f"# A plan: `elusive run {path} --dry-run --out runs/mine` says what it costs; without "
        "--dry-run, it runs. Lines with `#:` are settings with their defaults: remove `#:` to "
        "change one."
    )
    parts = ["\n".join(_wrap(head, "# ")), *(_render_group(*group) for group in _list_groups())]
    return "\n\n".join(parts) + "\n"


def _list_groups() -> list[tuple[str, Any, type[BaseModel] | None]]:
    """List the keys of a plan with the values that a new one has, and the settings below them."""
    augment: dict[str, object] = {"large": "nano-large", "small": "nano-small", "copies": 10}
    training = {"epochs": 6, "learning_rate": 5e-3, "batch_size": 16}
    given: dict[str, tuple[Any, type[BaseModel] | None]] = {
        "dataset": ({"people": 20, "start": 20000, "dev_rate": 0}, BiogenConfig),
        "model": ("nano-large", None),
        "arms": (["plain", "random", "contrast", "permute"], None),
        "seeds": ([0, 1], None),
        "augment": (augment, AugmentConfig),
        "training": (training, TrainingConfig),
        "answering": ({"num_shots": 5}, AnsweringConfig),
        "known": ({"people": 10, "dev_rate": 0}, None),
    }
    others = [name for name in Plan.model_fields if name not in given]
    return [
        *((name, value, model) for name, (value, model) in given.items()),
        *((name, None, None) for name in others),
    ]


def _render_group(name: str, value: Any, model: type[BaseModel] | None) -> str:
    """Render a key of a plan: its description, its value, and the settings below it in comments."""
    field = Plan.model_fields[name]
    lines = _wrap(field.description or "", "# ")
    if value is None:
        return "\n".join(
            [*lines, f"#: {name}: {_dump(field.get_default(call_default_factory=True))}"]
        )
    if not isinstance(value, dict):
        return "\n".join([*lines, f"{name}: {_dump(value)}"])
    lines += [f"{name}:", *(f"  {key}: {_dump(inner)}" for key, inner in value.items())]
    for key, setting in model.model_fields.items() if model else ():
        if key not in value and key != "method":
            default = _dump(setting.get_default(call_default_factory=True))
            lines += [*_wrap(setting.description or "", "  # "), f"  #: {key}: {default}"]
    return "\n".join(lines)


def _wrap(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text.removeprefix("# "),
        LINE,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )


def _dump(value: Any) -> str:
    """Write a value as YAML in one line."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_defaults=True)
    value = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()
