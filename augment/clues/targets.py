"""How well token scores find clues."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from elusive.augment.clue_spans import mark_targets
from elusive.augment.dropping import mark_droppable
from elusive.common.dataset.records import Document, Span

TOP = 10
"""Number of highest scores among which a clue counts as found, as in the paper's figures."""


@dataclass(frozen=True)
class ClueMeasure:
    """How well the scores of one document find one kind of clue."""

    target: str
    """`name`, `value`, `relation`, `value: FIELD`, or `value at FIRST-LAST words`."""
    auroc: float
    """Probability that a token of the clue scores above any other droppable token; .5 is chance."""
    mean_rank: float
    """Mean rank of the clue's tokens among the droppable ones, from 0 for the highest score."""
    recall: float
    """Share of the clue's tokens among the ten highest; if it has more than ten, share of ten."""


def compute_auroc(scores: np.ndarray, positive_mask: np.ndarray) -> float:
    """Compute the probability that a positive scores above a negative; ties count half.

    Args:
        scores: one number per token.  # (token,)
        positive_mask: True for positives, of which there are some but not all.  # (token,)

    >>> compute_auroc(np.array([3.0, 1.0, 2.0, 1.0]), np.array([True, False, False, True]))
    0.625
    """
    ranks, count = rankdata(scores), positive_mask.sum()
    wins = ranks[positive_mask].sum() - count * (count + 1) / 2
    return float(wins / (count * (~positive_mask).sum()))


def compute_rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Compute Spearman's correlation of two rows of numbers; 0 if one of them is constant.

    >>> round(compute_rank_correlation(np.array([1, 2, 9]), np.array([4, 5, 6])), 6)
    1.0
    """
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def measure_clues(
    document: Document, units: list[Span], scores: np.ndarray
) -> Iterator[ClueMeasure]:
    """Measure how well scores find each kind of clue that a document has.

    Args:
        document: with its gold spans.
        units: its droppable units.
        scores: one number per unit.  # (unit,)
    """
    droppable = mark_droppable(document.text, units, [])
    candidates = scores[droppable]
    ranks = rankdata(-candidates, method="average") - 1
    for target, mask in mark_targets(document, units).items():
        clue = mask[droppable]
        if clue.any() and not clue.all():
            recall = (ranks[clue] < TOP).sum() / min(clue.sum(), TOP)
            auroc = compute_auroc(candidates, clue)
            yield ClueMeasure(target, auroc, float(ranks[clue].mean()), float(recall))
