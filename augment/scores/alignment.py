"""Move scores from one way of cutting a text to another: another model's tokens, or words."""

from collections.abc import Callable

import numpy as np

from elusive.augment.scores.token_scores import TokenScores
from elusive.common.dataset.records import Span

Compare = Callable[[np.ndarray, np.ndarray], np.ndarray]


def move_scores(
    scores: np.ndarray, units: list[Span], target_units: list[Span], adds_up: bool
) -> np.ndarray:
    """Move scores to other units, character by character; equal cuttings give equal scores.

    Characters in no target unit count for the nearest one.

    Args:
        scores: one number per unit.  # (unit,)
        units: characters of each unit, in order, not overlapping.
        target_units: the same for the other cutting; at least one.
        adds_up: whether a unit's score is spread evenly over its characters and a target unit gets
            the sum of its characters' scores, so that the sum over a text stays the same. If not,
            each character has its unit's score, and a target unit gets the mean.

    Returns:
        One float32 per target unit. A target unit without any characters of units gets 0, or, if
        scores do not add up, the mean of all.  # (target unit,)
    """
    if units == target_units:
        return scores
    ends = np.array([end for _, end in target_units])
    starts = np.array([start for start, _ in target_units])
    moved, weights = np.zeros((2, len(target_units)))
    for score, (start, end) in zip(scores, units, strict=True):
        characters = np.arange(start, end)
        # 1) Find the first target unit that ends after each character, and the unit before it.
        after = np.minimum(np.searchsorted(ends, characters, side="right"), len(target_units) - 1)
        before = np.maximum(after - 1, 0)
        # 2) Give a character between two target units to the nearer one.
        outside_before = characters - ends[before] + 1
        outside_after = starts[after] - characters
        is_before = (outside_after > 0) & (after > 0) & (outside_before < outside_after)
        targets = np.where(is_before, before, after)
        np.add.at(moved, targets, score / (end - start) if adds_up else score)
        np.add.at(weights, targets, 1)
    if not adds_up:
        mean = scores.mean() if len(scores) else 0.0
        moved = np.where(weights > 0, moved / np.maximum(weights, 1), mean)
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
        compare(of_large, move_scores(of_small, small.units, large.units, small.adds_up))
        for of_large, of_small in pairs
    ]
    seconds = large.seconds + small.seconds
    return TokenScores.from_rows(large.units, np.array(rows), seconds, large.adds_up)


def move_to_units(scored: TokenScores, units: list[Span]) -> TokenScores:
    """Move all scores of a document to other units."""
    if scored.units == units:
        return scored
    rows = [move_scores(row, scored.units, units, scored.adds_up) for row in scored.rows]
    return TokenScores.from_rows(units, np.array(rows), scored.seconds, scored.adds_up)
