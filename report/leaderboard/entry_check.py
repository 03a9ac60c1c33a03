"""What is wrong with one entry: its scores, its id and its digest must follow from the rest."""

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from elusive.common.answers import scoring_hash
from elusive.common.dataset.records import Prediction
from elusive.evaluate.cells.cell import cell_id
from elusive.evaluate.cells.results import mean_scores, metrics, scored_again
from elusive.report.leaderboard.entry import Entry, digest

SHOWN = 200
"""Signs of a message that are shown."""
TOLERANCE = 1e-9
SCORES = ("em", "f1", "opens", "contains", "answer_position")


@cache
def _validator() -> Draft202012Validator:
    """Validator of the schema of entries."""
    return Draft202012Validator(Entry.model_json_schema())


def schema_problems(entry: Any) -> Iterator[str]:
    """What the JSON Schema does not allow, with the path of each."""
    for error in sorted(_validator().iter_errors(entry), key=lambda each: each.json_path):
        message = " ".join(error.message.split())
        yield f"{error.json_path}: {message[:SHOWN]}{'...' * (len(message) > SHOWN)}"


def entry_problems(
    entry: dict[str, Any], predictions: list[Prediction], known: list[Prediction]
) -> Iterator[str]:
    """What does not follow from the rest, in an entry that the schema allows.

    Scores and metrics are computed again from the stored answers. Log-probabilities and the
    perplexity need the model: of them, only the means are looked at.
    """
    wanted = cell_id(entry["parameters"])
    if entry["cell"] != wanted:
        yield f"$.cell: is {entry['cell']!r}, but {wanted!r} follows from the parameters"
    if not predictions:
        yield "the file of answers is empty"
        return
    if entry["parameters"]["scoring"] != scoring_hash():
        yield (
            f"$.parameters.scoring: {entry['parameters']['scoring']!r} is not how this version "
            f"scores answers ({scoring_hash()!r}): `elusive rescore` the run and add it again"
        )
        return
    found = list(_score_problems(entry, predictions, known))
    yield from found
    if not found and entry["digest"] != digest(entry):
        yield "$.digest: something in the entry was changed after it was made"


def _score_problems(
    entry: dict[str, Any], predictions: list[Prediction], known: list[Prediction]
) -> Iterator[str]:
    """Scores of answers and metrics that are not those of the answers."""
    again = scored_again(predictions)
    yield from _answer_problem("answers", predictions, again)
    yield from _answer_problem("known answers", known, scored_again(known))
    stored = {name: value for name, value in entry["metrics"].items() if name != "known"}
    yield from _metric_problem("$.metrics", stored, metrics(again))
    before = entry["metrics"].get("known") or {}
    if bool(before) != bool(known):
        yield "$.metrics.known: what was known before needs both metrics and answers"
    elif known:
        rest = {name: value for name, value in before.items() if name != "perplexity"}
        yield from _metric_problem("$.metrics.known", rest, mean_scores(known))
    if entry["costs"]["questions"] != len(predictions):
        yield f"$.costs.questions: {entry['costs']['questions']}, but there are {len(predictions)}"


def _answer_problem(name: str, stored: list[Prediction], again: list[Prediction]) -> Iterator[str]:
    """That stored scores are not those that the texts of the answers get."""
    pairs = zip(stored, again, strict=True)
    wrong = [old.question_id for old, new in pairs if _scores(old) != _scores(new)]
    if wrong:
        yield f"scores of {len(wrong)} {name} are not those of the text, first {wrong[0]!r}"


def _scores(prediction: Prediction) -> tuple[object, ...]:
    """The scores of an answer that follow from its text."""
    return tuple(getattr(prediction, name) for name in SCORES)


def _metric_problem(path: str, stored: Any, wanted: Any) -> Iterator[str]:
    """The first metric that does not follow from the answers, and how many there are."""
    wrong = list(_differences(path, stored, wanted))
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        yield wrong[0] + more


def _differences(path: str, stored: Any, wanted: Any) -> Iterator[str]:
    """Every number that differs between two trees of metrics."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for name in sorted(stored.keys() | wanted.keys()):
            yield from _differences(f"{path}.{name}", stored.get(name), wanted.get(name))
    elif isinstance(stored, dict) or isinstance(wanted, dict) or None in (stored, wanted):
        yield f"{path}: is {_short(stored)}, the answers give {_short(wanted)}"
    elif not math.isclose(stored, wanted, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
        yield f"{path}: is {stored:.6g}, the answers give {wanted:.6g}"


def _short(value: Any) -> str:
    """A missing number, a number, or that there are several."""
    return "several numbers" if isinstance(value, dict) else str(value).replace("None", "nothing")
