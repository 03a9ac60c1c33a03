"""Check one entry: its scores, its id and its digest must be those that the rest gives."""

import math
from collections.abc import Iterator
from functools import cache
from operator import attrgetter
from typing import Any

from jsonschema import Draft202012Validator

from elusive.common.answers import get_scoring_language, hash_scoring
from elusive.common.content_hash import FIRST
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.dataset.records import Prediction
from elusive.evaluate.cells.cell import compute_cell_id, select_questions
from elusive.evaluate.cells.gold import (
    find_proof_problem,
    find_proven_part,
    find_question_problem,
    select_known_questions,
)
from elusive.evaluate.cells.metrics import compute_mean_scores, compute_metrics
from elusive.evaluate.cells.rescore import score_again
from elusive.evaluate.config import AnsweringConfig
from elusive.report.leaderboard.entry import Entry, hash_entry

SHOWN = 200
"""Number of characters of a message that are shown."""
TOLERANCE = 1e-9
SCORES = ("em", "f1", "opens", "contains", "answer_position")


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(Entry.model_json_schema())


def find_schema_problems(entry: Any) -> Iterator[str]:
    """Yield each violation of the JSON Schema with its path in the entry."""
    for error in sorted(_validator().iter_errors(entry), key=lambda error: error.json_path):
        message = " ".join(error.message.split())
        yield f"{error.json_path}: {message[:SHOWN]}{'...' * (len(message) > SHOWN)}"


def find_entry_problems(
    entry: dict[str, Any], predictions: list[Prediction], known: list[Prediction]
) -> Iterator[str]:
    """Yield the problems of an entry that the schema allows.

    Scores and metrics are computed again from the stored answers. Log-probabilities and the
    perplexity would need the model: only the means of the stored log-probabilities are checked.

    Args:
        entry: JSON values of the entry.
        predictions: its answers.
        known: its answers about what the model knew before training.
    """
    identifier = compute_cell_id(entry["parameters"])
    if entry["cell"] != identifier:
        yield f"$.cell: is {entry['cell']!r}, but the parameters give {identifier!r}"
    if not predictions:
        yield "the file of answers is empty"
        return
    scoring = entry["parameters"]["scoring"]
    language = get_scoring_language(scoring)
    if scoring != hash_scoring(language):
        yield (
            f"$.parameters.scoring: is {scoring!r}, but this version scores answers by "
            f"{hash_scoring(language)!r}: run `elusive rescore` on the run and add it again"
        )
        return
    problems = list(_score_problems(entry, predictions, known))
    yield from problems
    if not problems and entry["digest"] != hash_entry(entry):
        yield "$.digest: something in the entry was changed after it was made"


def find_gold_problems(
    entry: dict[str, Any],
    predictions: list[Prediction],
    known: list[Prediction],
    datasets: dict[str, DatasetFolder],
) -> Iterator[str]:
    """Yield how questions and gold answers are not those of the entry's datasets.

    Args:
        entry: JSON values of the entry.
        predictions: its answers.
        known: its answers about what the model knew before training.
        datasets: datasets at hand by content hash, against which no proof is needed.
    """
    parameters, proofs = entry["parameters"], entry.get("gold") or {}
    answering = parameters["answering"]
    for name, answers in (("dataset", predictions), ("known", known)):
        if parameters.get(name) in datasets and answers:
            dataset = datasets[parameters[name]]
            if name == "known":
                questions = select_known_questions(dataset)
            else:
                deciding = ("split", "limit", "phrasing")
                config = {key: answering[key] for key in deciding if key in answering}
                questions = select_questions(dataset, AnsweringConfig.model_validate(config))
            problem = find_question_problem(questions, answers)
        elif proofs.get(name) and answers and (part := _find_part(name, answering)):
            split = None if name == "known" else answering.get("split")
            problem = find_proof_problem(proofs[name], parameters[name], answers, split, part)
        else:
            continue
        if problem:
            yield f"$.gold.{name}: its questions or gold answers are not proven: {problem}"


def is_gold_bound(entry: dict[str, Any], datasets: dict[str, DatasetFolder]) -> bool:
    """Whether there is a proof or a dataset for all questions of an entry."""
    parameters, proofs = entry["parameters"], entry.get("gold") or {}
    names = ["dataset", *(["known"] if parameters.get("known") else [])]
    return all(
        (proofs.get(name) and _find_part(name, parameters["answering"]))
        or parameters[name] in datasets
        for name in names
    )


def _find_part(name: str, answering: dict[str, Any]) -> str | None:
    """Find the part of a dataset's questions that its proof covers; None if it proves nothing."""
    return FIRST if name == "known" else find_proven_part(answering)


def _score_problems(
    entry: dict[str, Any], predictions: list[Prediction], known: list[Prediction]
) -> Iterator[str]:
    """Scores and metrics that the answers do not give."""
    parameters = entry["parameters"]
    rescored = score_again(predictions, get_scoring_language(parameters["scoring"]))
    yield from _answer_problem("answers", predictions, rescored)
    known_scoring = parameters.get("known_scoring") or parameters["scoring"]
    known_again = score_again(known, get_scoring_language(known_scoring))
    yield from _answer_problem("known answers", known, known_again)
    stored = {name: value for name, value in entry["metrics"].items() if name != "known"}
    yield from _metric_problem("$.metrics", stored, compute_metrics(rescored))
    before = entry["metrics"].get("known") or {}
    if bool(before) != bool(known):
        yield "$.metrics.known: an entry has either both metrics and answers for it, or neither"
    elif known:
        rest = {name: value for name, value in before.items() if name != "perplexity"}
        yield from _metric_problem("$.metrics.known", rest, compute_mean_scores(known))
    if entry["costs"]["questions"] != len(predictions):
        yield f"$.costs.questions: is {entry['costs']['questions']}, not {len(predictions)}"


def _answer_problem(
    name: str, stored: list[Prediction], rescored: list[Prediction]
) -> Iterator[str]:
    """One line if the texts of some answers do not give their stored scores."""
    scores = attrgetter(*SCORES)
    pairs = zip(stored, rescored, strict=True)
    wrong = [old.question_id for old, new in pairs if scores(old) != scores(new)]
    if wrong:
        yield f"the texts of {len(wrong)} {name} give other scores, first that of {wrong[0]!r}"


def _metric_problem(path: str, stored: Any, computed: Any) -> Iterator[str]:
    """The first metric that the answers do not give, with the number of the others."""
    wrong = list(_differences(path, stored, computed))
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        yield wrong[0] + more


def _differences(path: str, stored: Any, computed: Any) -> Iterator[str]:
    """Every number that differs between two trees of metrics."""
    if isinstance(stored, dict) and isinstance(computed, dict):
        for name in sorted(stored.keys() | computed.keys()):
            yield from _differences(f"{path}.{name}", stored.get(name), computed.get(name))
    elif isinstance(stored, dict) or isinstance(computed, dict) or None in (stored, computed):
        yield f"{path}: is {_shorten(stored)}, the answers give {_shorten(computed)}"
    elif not math.isclose(stored, computed, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
        yield f"{path}: is {stored:.6g}, the answers give {computed:.6g}"


def _shorten(value: Any) -> str:
    return "several numbers" if isinstance(value, dict) else str(value).replace("None", "nothing")
