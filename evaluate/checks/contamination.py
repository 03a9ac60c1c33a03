"""Warn if a model may know the answers before it is trained."""

import json
from pathlib import Path
from typing import Any

from elusive.common.dataset.folder import DatasetFolder
from elusive.common.lm.references import BUILT_IN, BUILT_IN_NAMES

KNOWN_ABOVE = 0.1
"""Exact match before training above which a table carries a warning."""
PRETRAINING_PLAN = "plan.json"
"""File of `elusive pretrain` beside a model's weights, which names the population that it read."""
IDENTITY = (
    *("seed", "locale", "middle_names", "people_per_first_name", "people_per_last_name"),
    "they_rate",
)
"""Settings of `elusive biogen` that, with a person's number, decide who the person is."""


def warn_about_population(dataset: DatasetFolder, model: str) -> str:
    """Say how many of a dataset's people a model of `elusive pretrain` has read about.

    Returns:
        One line; empty if the model read about none of them, or nobody recorded what it read.
    """
    population, asked = _read_population(model), dataset.parameters
    names = ("start", "people", *IDENTITY)
    if any(name not in values for values in (population, asked) for name in names):
        return ""
    if any(population[name] != asked[name] for name in IDENTITY):
        return ""
    end = population["start"] + population["people"]
    first = max(population["start"], asked["start"])
    num_known = min(end, asked["start"] + asked["people"]) - first
    if num_known <= 0:
        return ""
    return (
        f"warning: {model} was pretrained on {num_known} of the {asked['people']} people of "
        f"{dataset.name}, so it knows their facts before any training: generate other people with "
        f"start: {end} (elusive biogen --start {end}), or choose another model"
    )


def _read_population(model: str) -> dict[str, Any]:
    """Read the population of a model in a local folder; empty if none is recorded."""
    folder = BUILT_IN / model if model in BUILT_IN_NAMES else Path(model).expanduser()
    try:
        return json.loads((folder / PRETRAINING_PLAN).read_text(encoding="utf-8"))["population"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def warn_about_answers(em_before: float) -> str:
    """Say that a model answered many questions before training.

    Args:
        em_before: its exact match before training, in [0, 1].

    Returns:
        One line; empty up to `KNOWN_ABOVE`.
    """
    if em_before <= KNOWN_ABOVE:
        return ""
    return (
        f"Warning: the model answers {em_before:.0%} of the questions before any training, so it "
        "knows or guesses them, and high scores are not the arms' merit: ask about other people "
        "or texts, or count only the questions that it missed (elusive table RUN --missed)."
    )
