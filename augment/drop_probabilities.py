"""Drop probabilities by Equation 1 of the paper (arXiv 2409.17954), and keep masks drawn from them.

All arms share these functions; they differ only in the scores that they pass.
"""

import numpy as np


def rank_scores(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rank of each score, 0 for the highest, and the index of its group of ties.

    Tied scores have ranks in the order of the text.

    >>> rank_scores(np.array([0.1, 0.9, 0.1]))
    (array([1, 0, 2]), array([1, 0, 1]))
    """
    order = np.argsort(-scores, kind="stable")
    ranks = np.empty(len(scores), dtype=int)
    ranks[order] = np.arange(len(scores))
    groups = np.unique(-scores, return_inverse=True)[1]
    return ranks, groups


def compute_drop_probabilities(
    scores: np.ndarray, droppable: np.ndarray, alpha: float, beta: float, matched: bool = True
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
    never_dropped = np.isposinf(chosen)
    if not matched and not never_dropped.all():
        chosen = np.where(never_dropped, chosen[~never_dropped].mean(), chosen)
    ranks, groups = rank_scores(chosen)
    by_rank = alpha * (1 - np.exp(-beta * ranks))
    shared = (np.bincount(groups, by_rank) / np.bincount(groups))[groups]
    # 2) Tokens that are never dropped pass their share on to the others.
    spared = np.where(never_dropped, 0.0, shared)
    probabilities[candidates] = _raise_to_sum(spared, by_rank.sum()) if matched else spared
    return probabilities


def _raise_to_sum(probabilities: np.ndarray, total: float) -> np.ndarray:
    """Scale probabilities up, each to at most 1, until their sum is `total` or none can rise."""
    for _ in range(len(probabilities)):
        can_rise = (probabilities > 0) & (probabilities < 1)
        missing = total - probabilities.sum()
        if missing < 1e-9 or not can_rise.any():
            break
        scale = 1 + missing / probabilities[can_rise].sum()
        probabilities = np.where(can_rise, np.minimum(probabilities * scale, 1.0), probabilities)
    return probabilities


def sample_keep_mask(probabilities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sample True for each token that is kept, independently of the others.  # (token,).

    Args:
        probabilities: with which each token is dropped.  # (token,)
        rng: source of randomness.
    """
    return rng.random(len(probabilities)) >= probabilities
