"""How well token scores find the clue: the tokens that mention the head entity."""

import numpy as np
from scipy.stats import rankdata

from elusive.augment.dropping import droppable_mask, overlaps
from elusive.augment.scoring import TokenScores
from elusive.common.records import Document


def auroc(scores: np.ndarray, positive_mask: np.ndarray) -> float:
    """Probability that a positive scores above a negative, ties counted half.

    Args:
        scores: one number per token.  # (token,)
        positive_mask: True for positives, of which there are some but not all.  # (token,)

    >>> auroc(np.array([3.0, 1.0, 2.0, 1.0]), np.array([True, False, False, True]))
    0.625
    """
    ranks, count = rankdata(scores), positive_mask.sum()
    wins = ranks[positive_mask].sum() - count * (count + 1) / 2
    return float(wins / (count * (~positive_mask).sum()))


def head_aurocs(documents: list[Document], scored: list[TokenScores]) -> np.ndarray:
    """For each document, how well its scores tell head mentions from other droppable tokens.

    Returns:
        AUROC in [0, 1]; .5 is chance.  # (document,)
    """
    values = []
    for document, scores in zip(documents, scored, strict=True):
        droppable = droppable_mask(document.text, scores.units, [])
        heads = overlaps(scores.units, document.heads)
        values.append(auroc(scores.scores[droppable], heads[droppable]))
    return np.array(values)
