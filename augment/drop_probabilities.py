"""Drop probabilities by Equation 1 of the paper (arXiv 2409.17954), and keep masks drawn from them.

All arms share these functions; they differ only in the scores that they pass.
"""

import numpy as np

from elusive.common.seeding import hashed

DRAW_BITS = 53
"""Bits of a draw, as many as a float keeps exactly."""


def rank_scores(
    scores: np.ndarray, documents: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rank of each score, 0 for the highest, and the index of its group of ties.

    Tied scores have ranks in the order of the text.

    Args:
        scores: one number per token.  # (token,)
        documents: index of each token's document, ascending, so that every document has ranks and
            ties of its own; all are of one document if None.  # (token,)

    >>> rank_scores(np.array([0.1, 0.9, 0.1]))
    (array([1, 0, 2]), array([1, 0, 1]))
    >>> rank_scores(np.array([0.1, 0.9, 0.1]), np.array([0, 1, 1]))
    (array([0, 0, 1]), array([0, 1, 2]))
    """
    if documents is None:
        documents = np.zeros(len(scores), int)
    order = np.lexsort((-scores, documents))
    is_first = np.ones(len(scores), bool)
    in_order, sorted_scores = documents[order], scores[order]
    is_first[1:] = in_order[1:] != in_order[:-1]
    index = np.arange(len(scores))
    ranks, groups = np.empty((2, len(scores)), int)
    ranks[order] = index - np.maximum.accumulate(np.where(is_first, index, 0))
    is_first[1:] |= sorted_scores[1:] != sorted_scores[:-1]
    groups[order] = np.cumsum(is_first) - 1
    return ranks, groups


def compute_drop_probabilities(
    scores: np.ndarray,
    droppable: np.ndarray,
    alpha: float,
    beta: float,
    matched: bool = True,
    documents: np.ndarray | None = None,
) -> np.ndarray:
    """Compute the probability with which each token is dropped: p(r) = alpha (1 - exp(-beta r)).

    The rank r counts droppable tokens only, from 0 for the highest score. Tied scores share the
    mean of their p(r), so constant scores give rate-matched random dropout: every token is dropped
    with the document's mean of p(r). A score of +inf means "never dropped". If rates are matched,
    what such tokens would have lost is taken from the other tokens in proportion. The expected
    number of dropped tokens is then the same for every ranking, as far as probabilities up to 1
    allow.

    Args:
        scores: one number per token; no NaN.  # (token,)
        droppable: True where the token may be dropped.  # (token,)
        alpha: highest drop probability, in (0, 1].
        beta: how fast the drop probability rises with the rank; above 0.
        matched: whether the other tokens make up for those that are never dropped. If not, these
            are ranked among the others as if they scored the others' mean.
        documents: index of each token's document, ascending; all are of one document if
            None.  # (token,)

    Returns:
        Drop probabilities in [0, 1], 0 where not droppable.  # (token,)

    Source: arXiv 2409.17954, Equation 1. Shared ties and the held rate are this toolkit's own.

    >>> compute_drop_probabilities(np.zeros(3), np.ones(3, bool), alpha=1.0, beta=1e9).round(3)
    array([0.667, 0.667, 0.667])
    """
    probabilities = np.zeros(len(scores))
    candidates = np.flatnonzero(droppable)
    if not len(candidates):
        return probabilities
    # 1) Equation 1 by rank, averaged over ties.
    chosen = scores[candidates]
    owners = np.zeros(len(chosen), int) if documents is None else documents[candidates]
    never_dropped = np.isposinf(chosen)
    if not matched:
        chosen = np.where(never_dropped, _average_finite(chosen, owners), chosen)
    ranks, groups = rank_scores(chosen, owners)
    by_rank = alpha * (1 - np.exp(-beta * ranks))
    shared = (np.bincount(groups, by_rank) / np.bincount(groups))[groups]
    # 2) Tokens that are never dropped pass their share on to the others.
    spared = np.where(never_dropped, 0.0, shared)
    if matched:
        spared = _raise_to_sums(spared, np.bincount(owners, by_rank), owners)
    probabilities[candidates] = spared
    return probabilities


def _average_finite(scores: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Average the scores of each document that are not +inf; +inf if it has no others."""
    finite = ~np.isposinf(scores)
    size = owners[-1] + 1
    counts = np.bincount(owners[finite], minlength=size)
    sums = np.bincount(owners[finite], scores[finite], minlength=size)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)[owners]


def _raise_to_sums(probabilities: np.ndarray, totals: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Scale probabilities up, each to at most 1, until every document's sum is its total.

    A document stops where none of its probabilities can rise.
    """
    for _ in range(len(probabilities)):
        can_rise = (probabilities > 0) & (probabilities < 1)
        missing = totals - np.bincount(owners, probabilities)
        rising = np.bincount(owners, probabilities * can_rise)
        is_open = (missing >= 1e-9) & (rising > 0)
        if not is_open.any():
            break
        scales = 1 + np.where(is_open, missing, 0.0) / np.where(is_open, rising, 1.0)
        raised = np.minimum(probabilities * scales[owners], 1.0)
        probabilities = np.where(can_rise, raised, probabilities)
    return probabilities


def compute_thresholds(probabilities: np.ndarray) -> np.ndarray:
    """Compute the draw from which on a token is kept; probabilities 0 and 1 are exact.

    Args:
        probabilities: with which each token is dropped.  # (token,)
    """
    return np.ceil(np.ldexp(probabilities, DRAW_BITS)).astype(np.uint64)


def draw_keep_mask(thresholds: np.ndarray, keys: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Draw True for each token that is kept; each draw is a hash of its key and index alone.

    Args:
        thresholds: as `compute_thresholds` returns them.  # (token,)
        keys: hash of the seed, document and copy of each token.  # (token,)
        indices: of each token in its document.  # (token,)
    """
    return (hashed(keys, indices) >> np.uint64(64 - DRAW_BITS)) >= thresholds
