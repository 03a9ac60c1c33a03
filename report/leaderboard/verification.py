"""Records of entries whose answers were computed again: what was compared, and how it differed."""

import json
import math
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from elusive.common.dataset.records import Prediction
from elusive.common.errors import InputError, validate_config
from elusive.common.folders import write_atomically
from elusive.evaluate.cells.metrics import has_metric
from elusive.report.leaderboard.entry import Hash

VERIFIED_SUFFIX = ".verified.json"
TOLERANCES = {"float32": 0.01}
"""Largest allowed difference of log-probabilities in nats per token, by precision of the model."""
USUAL_TOLERANCE = 0.25
"""The same of bfloat16 and other short types, whose sums differ more between machines."""
DIFFERENT_RATE = 0.04
"""Largest allowed share of other answers, rounded up: where two tokens are nearly equally likely,
other batches or machines may give the other one."""
CHOICE_RATES = {"float32": 0.04}
USUAL_CHOICE_RATE = 0.16
"""The same of forced choices, by precision: of four comparisons, each may be that close."""


class Verification(BaseModel):
    """What computing some answers of an entry again gave."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    cell: str = Field(pattern=r"^[0-9a-f]{12}$")
    """Identifier of the entry."""
    predictions_sha256: Hash
    """Answers that were compared."""
    how: Literal["asked again", "asked again with the adapter", "trained again"]
    """How the answers were computed."""
    questions: Annotated[int, Field(ge=1)]
    """Number of answers that were compared."""
    seed: int
    """Seed of the choice of questions."""
    different_answers: Annotated[int, Field(ge=0)]
    """Number of answers with another text."""
    different_choices: Annotated[int, Field(ge=0)] = 0
    """Number of answers with another forced choice."""
    largest_difference: Annotated[FiniteFloat, Field(ge=0)]
    """Largest difference of a log-probability, in nats per token."""
    tolerance: Annotated[FiniteFloat, Field(ge=0)]
    """Largest difference that counts as equal."""
    versions: dict[str, str]
    """Versions of the packages that computed the answers."""
    device: str
    """GPU, or vector instructions of the CPU."""
    verified_by: str | None = Field(default=None, min_length=1, max_length=200)
    """Who computed them."""
    verified: date
    """Day of the verification."""


def find_tolerance(parameters: dict[str, Any]) -> float:
    """Return the largest difference of log-probabilities that counts as equal."""
    return TOLERANCES.get(parameters.get("precision") or "", USUAL_TOLERANCE)


def compare_answers(stored: list[Prediction], again: list[Prediction]) -> dict[str, int | float]:
    """Count other answers and forced choices, and find how far log-probabilities differ.

    Args:
        stored: answers of the entry; those of earlier versions have no forced choice.
        again: new answers to some of the same questions.

    Returns:
        Values of a `Verification`, by name.
    """
    by_id = {prediction.question_id: prediction for prediction in stored}
    pairs = [(by_id[prediction.question_id], prediction) for prediction in again]
    has_choices = has_metric(stored, "forced_choice")
    return {
        "different_answers": sum(old.prediction != new.prediction for old, new in pairs),
        "different_choices": sum(
            old.forced_choice != new.forced_choice for old, new in pairs if has_choices
        ),
        "largest_difference": max(
            abs(old.log_probability - new.log_probability) for old, new in pairs
        ),
    }


def find_verification_problems(record: dict[str, Any], entry: dict[str, Any]) -> Iterator[str]:
    """Yield why a record does not show that an entry's answers were computed again."""
    if (record["cell"], record["predictions_sha256"]) != (
        entry["cell"],
        entry["predictions_sha256"],
    ):
        yield "is about other answers: verify the entry again"
        return
    choice_rate = CHOICE_RATES.get(entry["parameters"].get("precision") or "", USUAL_CHOICE_RATE)
    for name, rate in (("answers", DIFFERENT_RATE), ("choices", choice_rate)):
        number = record[f"different_{name}"]
        allowed = math.ceil(rate * record["questions"])
        if number > allowed:
            yield (
                f"{number} of {record['questions']} {name} differ, {allowed} may: "
                f"the entry's {name} are not those of its model"
            )
    tolerance = find_tolerance(entry["parameters"])
    if record["largest_difference"] > tolerance:
        yield (
            f"a log-probability differs by {record['largest_difference']:.3g} nats, "
            f"{tolerance:g} are allowed: the entry's are not those of its model"
        )


def get_record_path(entry: Path) -> Path:
    """Return the path of an entry's verification."""
    return entry.with_name(entry.stem + VERIFIED_SUFFIX)


def read_record(path: Path) -> dict[str, Any]:
    """Read a verification and validate it.

    Raises:
        InputError: the file is broken or has other keys.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"not valid JSON ({error}): verify the entry again") from None
    if not isinstance(values, dict):
        raise InputError("not a JSON object: verify the entry again")
    return validate_config(Verification, values).model_dump(mode="json")


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write a verification beside its entry."""
    validate_config(Verification, record)
    write_atomically(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
