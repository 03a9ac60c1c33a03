"""Accuracy by where the name is mentioned: in the sentence of the value, or only before it."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from elusive.augment.clue_spans import split_sentences
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.dataset.records import Document, Fact, Prediction
from elusive.common.errors import InputError
from elusive.common.intervals import Estimate
from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.compare.metrics import choose_drawn_metrics
from elusive.evaluate.compare.seed_noise import estimate_arms
from elusive.evaluate.compare.selection import select_answers

IN, BEFORE, NOT_BEFORE = "in its sentence", "only before it", "not before it"
PLACES = {"in": IN, "before": BEFORE, "none": NOT_BEFORE}
"""Where the name is mentioned, seen from the sentence that states a value, by a
short name."""


@dataclass(frozen=True)
class MentionRow:
    """Scores of one arm on questions whose value has the name in one place."""

    arm: str
    place: str
    """One of the values of `PLACES`."""
    questions: int
    scores: dict[str, Estimate]
    """By metric, the two of `choose_drawn_metrics`."""


def find_place(document: Document, fact: Fact) -> str:
    """Find where the name is mentioned, seen from the sentence of a value.

    >>> text = "She won. Ada Byron wrote. She died in 1852."
    >>> facts = [Fact("", text[a:b], a, b, None, 0) for a, b in ((4, 7), (19, 24), (38, 42))]
    >>> document = Document("", "", text, [(9, 18)], [], facts, "train", [], "")
    >>> [find_place(document, fact) for fact in facts]
    ['not before it', 'in its sentence', 'only before it']
    """
    start, end = next(span for span in split_sentences(document) if span[0] <= fact.start < span[1])
    mentions = [first for first, _ in document.heads]
    if any(start <= first < end for first in mentions):
        return IN
    return BEFORE if any(first < start for first in mentions) else NOT_BEFORE


def select_mentions(
    cells: list[CellResult], dataset: DatasetFolder, places: set[str]
) -> list[CellResult]:
    """Keep only answers about values with the name in some places, values of `PLACES`.

    Raises:
        InputError: no question is about a value that has it in any of them.
    """
    found = _find_places(dataset, cells)
    if places.isdisjoint(found.values()):
        asked, known = (
            ", ".join(name for name, place in PLACES.items() if place in some)
            for some in (places, found.values())
        )
        raise InputError(
            f"--mention {asked}: none of the questions asked is about such a value of "
            f"{dataset.path} (there are {known or 'none whose place is known'})"
        )
    return select_answers(cells, lambda _, p: found.get(p.question_id) in places)


def _find_places(dataset: DatasetFolder, cells: Iterable[CellResult]) -> dict[str, str]:
    """Find where the name is mentioned for every question of cells whose value is located."""
    asked = {prediction.question_id for cell in cells for prediction in cell.predictions}
    documents = {document.doc_id: document for document in dataset.documents}
    asked_in = {question.question_id: question.doc_id for question in dataset.questions}
    return {
        question_id: find_place(documents[asked_in[question_id]], fact)
        for question_id, fact in dataset.match_facts().items()
        if question_id in asked
    }


def measure_mentions(arms: dict[str, list[CellResult]], dataset: DatasetFolder) -> list[MentionRow]:
    """Measure the accuracy of every arm by the place of the name.

    Raises:
        InputError: all values have it in the same place, or the dataset locates none.
    """
    places = _find_places(dataset, itertools.chain(*arms.values()))
    kinds = [place for place in PLACES.values() if place in places.values()]
    if len(kinds) < 2:
        raise InputError("all values have the name in the same place, or none is located")
    metrics = choose_drawn_metrics(itertools.chain(*arms.values()))
    rows = []
    for place in kinds:

        def is_there(prediction: Prediction, place: str = place) -> bool:
            return places.get(prediction.question_id) == place

        estimates = {metric: estimate_arms(arms, metric, is_there) for metric in metrics}
        for arm, cells in arms.items():
            if arm in estimates["em"]:
                asked = {p.question_id for cell in cells for p in cell.predictions if is_there(p)}
                scores = {metric: by_arm[arm] for metric, by_arm in estimates.items()}
                rows.append(MentionRow(arm, place, len(asked), scores))
    return rows
