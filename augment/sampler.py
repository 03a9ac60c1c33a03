"""Equation 1 of the paper as the one sampler that all arms share (arXiv 2409.17954).

Arms differ only in the scores that they hand to it.
"""

import numpy as np


def rank_scores(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rank of each score, 0 for the highest, and the group of tied scores that it belongs to.

    >>> rank_scores(np.array([0.1, 0.9, 0.1]))
    (array([1, 0, 2]), array([1, 0, 1]))
    """
    order = np.argsort(-scores, kind="stable")
    ranks = np.empty(len(scores), dtype=int)
    ranks[order] = np.arange(len(scores))
    groups = np.unique(-scores, return_inverse=True)[1]
    return ranks, groups


def compute_drop_probabilities(
    scores: np.ndarray, droppable: np.ndarray, alpha: float, beta: float
) -> np.ndarray:
    """Probability with which each token is dropped: p(r) = alpha (1 - exp(-beta r)).

    Rank r counts droppable tokens only, from 0 for the highest score. Tied scores share the mean of
    their p(r), so constant scores give rate-matched random dropout: every token's probability is
    the document's mean of p(r). A score of +inf means "never dropped"; what such tokens would have
    lost is taken from the others in proportion, so the expected number of dropped tokens is the
    same for every ranking, as far as probabilities up to 1 allow.

    Args:
        scores: one number per token; no NaN.  # (token,)
        droppable: True where the token may be dropped.  # (token,)
        alpha: highest drop probability, in (0, 1].
        beta: how fast it rises with rank, above 0.

    Returns:
        Drop probabilities in [0, 1], 0 where not droppable.  # (token,)

    Source: arXiv 2409.17954, Equation 1. Sharing ties and holding the rate are this toolkit's.

    >>> compute_drop_probabilities(np.zeros(3), np.ones(3, bool), alpha=1.0, beta=1e9).round(3)
    array([0.667, 0.667, 0.667])
    """
    probabilities = np.zeros(len(scores))
    chosen = np.flatnonzero(droppable)
    if not len(chosen):
        return probabilities
    ranks, groups = rank_scores(scores[chosen])
    by_rank = alpha * (1 - np.exp(-beta * ranks))
    shared = (np.bincount(groups, by_rank) / np.bincount(groups))[groups]
    kept = np.isposinf(scores[chosen])
    probabilities[chosen] = _raised_to(np.where(kept, 0.0, shared), by_rank.sum())
    return probabilities


def _raised_to(probabilities: np.ndarray, total: float) -> np.ndarray:
    """Probabilities scaled up, each at most 1, until their sum is `total` or none can rise."""
    for _ in range(len(probabilities)):
        free = (probabilities > 0) & (probabilities < 1)
        missing = total - probabilities.sum()
        if missing < 1e-9 or not free.any():
            break
        scale = 1 + missing / probabilities[free].sum()
        probabilities = np.where(free, np.minimum(probabilities * scale, 1.0), probabilities)
    return probabilities


def sample_keep_mask(probabilities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """True where a token is kept, each dropped independently with its probability.  # (token,)."""
    return rng.random(len(probabilities)) >= probabilities
