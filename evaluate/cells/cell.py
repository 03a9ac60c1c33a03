"""A cell: one arm trained and scored once; its parameters and its id."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elusive.augment.arms import ARMS, UNTRAINED, drops_tokens
from elusive.augment.training_text import TrainingTextFolder
from elusive.common.answers import hash_scoring
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.dataset.records import Question
from elusive.common.errors import InputError
from elusive.common.folders import hash_parameters
from elusive.common.lm.references import hash_adapter, hash_model_weights, hash_settings
from elusive.evaluate.config import (
    NEXT_TOKEN,
    AnsweringConfig,
    CellSettings,
    TrainingConfig,
)

ID_LENGTH = 12
KNOWN_TEXTS = 250
"""Number of texts used to measure what a model forgets; that of questions is in `gold.py`."""
NAMES = ("label", "model", "augment", "dataset_name", "reference_model")
"""Parameters that only name things and decide nothing. `augment` is one of them, because `train`
hashes the text that it made."""


@dataclass(frozen=True)
class Cell:
    """Everything that decides the outcome of one training and its scoring."""

    label: str
    """Name of the arm in tables; does not affect the outcome."""
    train: TrainingTextFolder | None
    """The training text; None where nothing is trained."""
    model: str
    """Hub id, folder or alias of the model."""
    seed: int
    settings: CellSettings
    known: DatasetFolder | None = None
    """Dataset of what the model knew before, to measure what it forgets."""
    adapter: Path | None = None
    """Folder of a finished adapter to score instead of training one."""
    control: str = UNTRAINED
    """Arm of kind `control` if nothing is trained."""
    chosen: dict[str, Any] | None = None
    """How a sweep chose the arm's settings. It is part of the id: the same settings, chosen on the
    people who are asked about, are another result."""


def collect_parameters(
    cell: Cell,
    dataset: DatasetFolder,
    weights_hash: str,
    served: dict[str, str | None] | None = None,
    local: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Collect the parameters of a cell's folder: what decides the outcome, and names.

    Args:
        cell: the cell.
        dataset: the dataset that is asked about.
        weights_hash: of the model.
        served: what a server says about the model that answers; None if a local model answers.
        local: what decides besides the weights where a local model computes.
    """
    text, training = cell.train, cell.settings.training
    optional: dict[str, Any] = {
        "known": cell.known.content_hash if cell.known else None,
        "adapter": hash_adapter(cell.adapter) if cell.adapter else None,
        "chosen": cell.chosen,
        "control": cell.control if text is None and cell.control != UNTRAINED else None,
        "known_scoring": _hash_known_scoring(cell.known, dataset),
        "facts": "by place" if dataset.places_answers else None,
        **(local or {}),
    }
    if text and training.reference and has_reference(training.objective):
        optional["reference"] = hash_model_weights(training.reference)
        optional["reference_settings"] = hash_settings(training.reference)
        optional["reference_model"] = training.reference
    answering = cell.settings.answering.select_deciding()
    return {name: value for name, value in optional.items() if value} | {
        "label": cell.label,
        "dataset": dataset.content_hash,
        "dataset_name": dataset.name,
        "train": text.content_hash if text else None,
        "augment": text.parameters if text else {"method": cell.control},
        "model": cell.model,
        "weights": weights_hash,
        "seed": cell.seed,
        "training": _select_deciding(text, training) if text else None,
        "answering": answering | ({"served": served} if served else {}),
        "scoring": hash_scoring(dataset.language),
    }


def _hash_known_scoring(known: DatasetFolder | None, dataset: DatasetFolder) -> str | None:
    if known is None or hash_scoring(known.language) == hash_scoring(dataset.language):
        return None
    return hash_scoring(known.language)


def has_reference(objective: str) -> bool:
    """Return whether an objective reads a reference model if it is given one."""
    return objective != NEXT_TOKEN and "reference" in ARMS[objective].defaults


def _select_deciding(text: TrainingTextFolder, training: TrainingConfig) -> dict[str, object]:
    """Select the settings of training that decide; where nothing is dropped, no corruption does."""
    settings = training.select_deciding()
    if not drops_tokens(text.config.method):
        del settings["corrupt"], settings["labels"]
    elif training.corrupt == "partly-unseen":
        del settings["labels"]
    return settings


def compute_cell_id(parameters: dict[str, Any]) -> str:
    """Compute the id of a cell: a hash of all parameters that affect its outcome."""
    deciding = {key: value for key, value in parameters.items() if key not in NAMES}
    return hash_parameters(deciding)[:ID_LENGTH]


def get_arm(parameters: dict[str, Any]) -> str:
    """Return a cell's arm in `augment/arms.py`: its objective, or else its text's method."""
    objective = (parameters.get("training") or {}).get("objective")
    return objective or parameters["augment"]["method"]


def find_cell_folder(run: Path, parameters: dict[str, Any]) -> Path:
    """Return the folder of a cell in a run."""
    label, seed = make_file_name(parameters["label"]), parameters["seed"]
    return run / "cells" / f"{label}-seed{seed}-{compute_cell_id(parameters)}"


def make_file_name(label: str) -> str:
    """Turn a label into a part of a file name.

    >>> make_file_name("contrast, large / small")
    'contrast-large-small'
    """
    return re.sub(r"[^\w.=+-]+", "-", label).strip("-.") or "arm"


def select_questions(dataset: DatasetFolder, answering: AnsweringConfig) -> list[Question]:
    """Select the questions of the chosen split; errors as in `select_asked`."""
    return select_asked(dataset.questions, answering)


def select_asked(questions: list[Question], answering: AnsweringConfig) -> list[Question]:
    """Select the questions that a cell asks.

    Raises:
        InputError: the split is empty, or it has no questions in held-out phrasings.
    """
    questions = [q for q in questions if answering.split in ("all", q.split)]
    if not questions:
        raise build_no_questions_error(answering.split)
    if answering.phrasing == "held-out":
        questions = [question for question in questions if question.held_out]
        if not questions:
            raise InputError(
                "the dataset has no questions in held-out phrasings: generate it with "
                "--held-out-phrasing, or choose --phrasing all"
            )
    return questions[: answering.limit]


def build_no_questions_error(split: str) -> InputError:
    """Build the error for a split without questions."""
    return InputError(f"the dataset has no {split} questions: choose --split all or add people")


def count_steps(num_texts: int, training: TrainingConfig) -> int:
    """Count the optimizer steps of a cell; approximate if the budget is tokens."""
    return math.ceil((training.epochs * num_texts + training.format_replay) / training.batch_size)
