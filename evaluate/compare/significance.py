"""Shared ranks: paired permutation tests between arms, corrected for multiple testing."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, combinations

import numpy as np

from elusive.common.intervals import Estimate, estimate_means
from elusive.evaluate.cells.cell_folder import CellResult

LEVEL = 0.05
FLIPS = 9999
PAIRS_AT_A_TIME = 200
"""Number of pairs of arms that are compared at a time; limits memory."""
DIFFERENCES_AT_A_TIME = 4_000_000
"""Number of differences under exchanges that are computed at a time; limits memory."""
FLIPS_PER_PAIR = 50
"""Exchanges per pair of arms if there are very many pairs; the smallest p-value, corrected for the
number of pairs, is then 0.04."""


@dataclass(frozen=True)
class Comparison:
    """Comparison of two arms on the same questions and seeds."""

    difference: Estimate
    """Mean of the first arm minus that of the second, with an interval over people and seeds."""
    p_value: float
    """P-value of a two-sided permutation test, uncorrected."""
    effect: float
    """Cohen's d_z: mean over standard deviation of people's differences; 0 if they are all 0."""

    def is_significant(self, p_value: float) -> bool:
        """Whether the arms differ by both the corrected p-value and the interval."""
        return p_value < LEVEL and not self.difference.low <= 0 <= self.difference.high


def compare_pairs(
    arms: Mapping[str, list[CellResult]], pairs: Sequence[tuple[str, str]], metric: str
) -> list[Comparison]:
    """Compare pairs of arms on the questions that all of them answered.

    A permutation exchanges the answers about some people between two arms, for each person all
    together. All permutations are tried if there are few; otherwise 9,999 are drawn. Every pair is
    tested with the same ones.

    Args:
        arms: cells of each arm, with the same questions and seeds.
        pairs: names of the two arms of each pair.
        metric: a numeric column of predictions, such as `em`.
    """
    if not pairs:
        return []
    # 1) Put the answers of all arms in the same order.
    answers = {name: _map_answers(arms[name], metric) for name in dict.fromkeys(chain(*pairs))}
    keys = sorted(answers[pairs[0][0]])
    values = {name: np.array([scores[key] for key in keys]) for name, scores in answers.items()}
    entities, seeds = [key[0] for key in keys], [key[1] for key in keys]
    _, index = np.unique(entities, return_inverse=True)
    # 2) Estimate the differences with their intervals, and each person's mean difference.
    estimates: list[Estimate] = []
    differences = []
    for start in range(0, len(pairs), PAIRS_AT_A_TIME):
        chunk = pairs[start : start + PAIRS_AT_A_TIME]
        gaps = np.stack([values[a] - values[b] for a, b in chunk], axis=1)
        sums = np.stack([np.bincount(index, weights=column) for column in gaps.T], axis=1)
        differences.append(sums / np.bincount(index)[:, None])
        estimates += estimate_means(gaps, entities, seeds)
    by_person = np.concatenate(differences, axis=1)  # (person, pair)
    # 3) Test the differences, and compute effect sizes.
    p_values, effects = _compute_p_values(by_person), _compute_effects(by_person)
    return [Comparison(*row) for row in zip(estimates, p_values, effects, strict=True)]


def _compute_effects(by_person: np.ndarray) -> list[float]:
    """Compute mean over standard deviation of each pair's differences; 0 if they are all equal."""
    effects = []
    for column in by_person.T:
        deviation = float(column.std(ddof=1)) if len(column) > 1 else 0.0
        effects.append(float(column.mean() / deviation) if deviation else 0.0)
    return effects


def _map_answers(cells: list[CellResult], metric: str) -> dict[tuple[str, int, str], float]:
    return {
        (p.entity, cell.parameters["seed"], p.question_id): getattr(p, metric)
        for cell in cells
        for p in cell.predictions
    }


def _compute_p_values(by_person: np.ndarray) -> list[float]:
    """Compute how often exchanged answers make the arms of a pair differ at least as much.

    With very many pairs, the smallest p-value that 9,999 exchanges can give is not significant once
    it is corrected. Pairs that reach it therefore get as many more exchanges as are needed.

    Args:
        by_person: differences.  # (person, pair)
    """
    num_people, num_pairs = by_person.shape
    differ = by_person.any(axis=0)
    if num_people < 2 or not differ.any():
        return [1.0] * num_pairs
    exchanges = _sample_exchanges(num_people)
    counts = _count_extreme(exchanges, by_person)
    # The observed assignment counts among random exchanges, so no p-value is 0.
    added = 0 if len(exchanges) == 2**num_people else 1
    p_values = np.minimum(2 * (counts + added) / (len(exchanges) + added), 1.0)
    is_smallest = counts + added == 1
    if added and 2 * num_pairs / (FLIPS + 1) >= LEVEL and is_smallest.any():
        blocks = math.ceil(num_pairs * FLIPS_PER_PAIR / FLIPS)
        more = _count_more_extreme(blocks, by_person[:, is_smallest])
        p_values[is_smallest] = 2 * (more + 1) / (FLIPS * (blocks + 1) + 1)
    return np.where(differ, p_values, 1.0).tolist()


def _count_extreme(exchanges: np.ndarray, by_person: np.ndarray) -> np.ndarray:
    """Count the exchanges whose difference is at least as low as observed, or at least as high.

    The smaller of the two counts is returned.  # (pair,)

    Args:
        exchanges: signs.  # (exchange, person)
        by_person: differences.  # (person, pair)
    """
    num_people, num_pairs = by_person.shape
    # Rounding keeps ties, whatever the order of summation.
    observed = np.round(by_person.mean(axis=0), 12)
    low, high = np.zeros((2, num_pairs), int)
    size = max(1, DIFFERENCES_AT_A_TIME // num_pairs)
    for start in range(0, len(exchanges), size):
        signs = exchanges[start : start + size].astype(float)
        exchanged = np.round(signs @ by_person / num_people, 12)  # (exchange, pair)
        low += (exchanged <= observed).sum(axis=0)
        high += (exchanged >= observed).sum(axis=0)
    return np.minimum(low, high)


def _count_more_extreme(blocks: int, by_person: np.ndarray) -> np.ndarray:
    """Count the same among newly drawn exchanges, for pairs that hardly any exchange reaches.

    Single precision is enough because ties are rare; exchanges within rounding error of the
    observed difference count.

    Args:
        blocks: number of blocks of 9,999 exchanges.
        by_person: differences.  # (person, pair)
    """
    num_people, num_pairs = by_person.shape
    upward = (by_person * np.sign(by_person.sum(axis=0))).astype(np.float32)
    observed = upward.sum(axis=0) - 1e-5 * np.abs(upward).sum(axis=0)
    size = max(1, DIFFERENCES_AT_A_TIME // num_pairs)
    counts = np.zeros(num_pairs, int)
    rng = np.random.default_rng(1)
    for left in range(blocks * FLIPS, 0, -size):
        draws = rng.integers(0, 2, (min(size, left), num_people), np.int8)
        exchanged = (2 * draws - 1).astype(np.float32) @ upward  # (exchange, pair)
        counts += np.bincount(np.nonzero(exchanged >= observed)[1], minlength=num_pairs)
    return counts


@lru_cache(maxsize=4)
def _sample_exchanges(num_people: int) -> np.ndarray:
    """Sample whose answers are exchanged, as signs: -1 if exchanged.  # (exchange, person).

    The signs depend only on the number of people, so one draw serves all pairs of arms. They are
    those of scipy.stats.permutation_test with permutation_type "samples"; a test compares them.
    """
    if 2**num_people <= FLIPS:
        numbers = np.arange(2**num_people)[:, None]
        return (1 - 2 * (numbers >> np.arange(num_people) & 1)).astype(np.int8)
    rng = np.random.default_rng(0)
    pairs = np.tile([0, 1], (1000, num_people, 1))
    draws = [rng.permuted(pairs, axis=-1)[..., 0] for _ in range(math.ceil(FLIPS / len(pairs)))]
    return (1 - 2 * np.concatenate(draws)[:FLIPS]).astype(np.int8)


def correct_p_values(p_values: list[float]) -> list[float]:
    """Correct p-values for multiple testing, in the same order.

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.

    >>> [round(p, 3) for p in correct_p_values([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values)
    scaled = np.asarray(p_values)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return corrected.tolist()


def compare_with_baseline(
    arms: Mapping[str, list[CellResult]], baseline: str, metric: str
) -> dict[str, tuple[Comparison, float]]:
    """Compare every other arm with the baseline; p-values are corrected for their number."""
    others = [name for name in arms if name != baseline]
    comparisons = compare_pairs(arms, [(name, baseline) for name in others], metric)
    corrected = correct_p_values([comparison.p_value for comparison in comparisons])
    return dict(zip(others, zip(comparisons, corrected, strict=True), strict=True))


def rank_arms(arms: Mapping[str, list[CellResult]], metric: str) -> dict[str, int]:
    """Rank each arm: 1 plus the number of arms that are significantly better.

    All pairs are tested, with correction for their number. Arms that cannot be told apart from the
    best one share rank 1 with it.
    """
    pairs = list(combinations(arms, 2))
    comparisons = compare_pairs(arms, pairs, metric)
    corrected = correct_p_values([comparison.p_value for comparison in comparisons])
    ranks = dict.fromkeys(arms, 1)
    for (a, b), comparison, p_value in zip(pairs, comparisons, corrected, strict=True):
        if comparison.is_significant(p_value):
            ranks[b if comparison.difference.mean > 0 else a] += 1
    return ranks
