"""Move scores from one way of cutting a text to another: another model's tokens, or words."""

from collections.abc import Callable

import numpy as np

from elusive.augment.scores.token_scores import TokenScores
from elusive.augment.scores.units import cut_words
from elusive.common.dataset.records import Document, Span

Compare = Callable[[np.ndarray, np.ndarray], np.ndarray]


def move_scores(scores: np.ndarray, units: list[Span], target_units: list[Span]) -> np.ndarray:
    """Move scores to other units: each target unit gets the sum of its characters' scores.

    A unit's score is spread evenly over its characters. Characters in no target unit count for the
    nearest one, so the sum over a text stays the same, and equal cuttings give equal scores.

    Args:
        scores: one number per unit.  # (unit,)
        units: characters of each unit, in order, not overlapping.
        target_units: the same for the other cutting; at least one.

    Returns:
        One float32 per target unit.  # (target unit,)
    """
    if units == target_units:
        return scores
    ends = np.array([end for _, end in target_units])
    starts = np.array([start for start, _ in target_units])
    moved = np.zeros(len(target_units))
    for score, (start, end) in zip(scores, units, strict=True):
        characters = np.arange(start, end)
        # 1) Find the first target unit that ends after each character, and the unit before it.
        after = np.minimum(np.searchsorted(ends, characters, side="right"), len(target_units) - 1)
        before = np.maximum(after - 1, 0)
        # 2) Give a character between two target units to the nearer one.
        outside_before = characters - ends[before] + 1
        outside_after = starts[after] - characters
        is_before = (outside_after > 0) & (after > 0) & (outside_before < outside_after)
        np.add.at(moved, np.where(is_before, before, after), score / (end - start))
    return moved.astype(np.float32)


def contrast_scores(
    large: TokenScores, small: TokenScores, compare: Compare = np.subtract
) -> TokenScores:
    """Compare two models' scores of one document on the large model's units.

    If both have scores from halves of the heads, these are compared half by half.
    """
    pairs = [(large.scores, small.scores)]
    if large.halves and small.halves:
        pairs += zip(large.halves, small.halves, strict=True)
    rows = [
        compare(of_large, move_scores(of_small, small.units, large.units))
        for of_large, of_small in pairs
    ]
    return TokenScores.from_rows(large.units, np.array(rows), large.seconds + small.seconds)


def move_to_words(documents: list[Document], scored: list[TokenScores]) -> list[TokenScores]:
    """Move the scores of every document to its words and signs."""
    moved = []
    for document, scores in zip(documents, scored, strict=True):
        words = cut_words(document.text)
        rows = [move_scores(row, scores.units, words) for row in scores.rows]
        moved.append(TokenScores.from_rows(words, np.array(rows), scores.seconds))
    return moved
