"""Scores of one cutting of a text moved to another: other tokens, or words."""

import numpy as np

from elusive.augment.scores.scoring import TokenScores, with_halves
from elusive.augment.scores.units import word_units
from elusive.common.dataset.records import Document, Span


def moved_scores(scores: np.ndarray, units: list[Span], wanted: list[Span]) -> np.ndarray:
    """Scores of `wanted` units, each the sum of what its characters had under `units`.

    A unit's score is spread evenly over its characters; what lies in none of the wanted units goes
    to the nearest one, so the sum over a text stays, and equal cuttings give equal scores.

    Args:
        scores: one number per unit.  # (unit,)
        units: characters of each unit, in order, not overlapping.
        wanted: the same of the other cutting; at least one.

    Returns:
        One number per wanted unit, float32.  # (wanted unit,)
    """
    if units == wanted:
        return scores
    ends = np.array([end for _, end in wanted])
    starts = np.array([start for start, _ in wanted])
    moved = np.zeros(len(wanted))
    for score, (start, end) in zip(scores, units, strict=True):
        characters = np.arange(start, end)
        after = np.minimum(np.searchsorted(ends, characters, side="right"), len(wanted) - 1)
        before = np.maximum(after - 1, 0)
        outside_before = characters - ends[before] + 1
        outside_after = starts[after] - characters
        is_before = (outside_after > 0) & (after > 0) & (outside_before < outside_after)
        np.add.at(moved, np.where(is_before, before, after), score / (end - start))
    return moved.astype(np.float32)


def moved_to(wanted: list[Span], scored: TokenScores) -> TokenScores:
    """A document's scores on other units."""
    rows = [scored.scores, *(scored.halves or ())]
    moved = [moved_scores(row, scored.units, wanted) for row in rows]
    return with_halves(wanted, np.array(moved), scored.seconds)


def on_words(documents: list[Document], scored: list[TokenScores]) -> list[TokenScores]:
    """The scores of every document on its words and signs."""
    return [
        moved_to(word_units(document.text), scores)
        for document, scores in zip(documents, scored, strict=True)
    ]
