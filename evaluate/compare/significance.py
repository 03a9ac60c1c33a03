"""Shared ranks: paired tests between arms over people and seeds, corrected for their number."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, combinations

import numpy as np
from scipy.special import ndtr, stdtr

from elusive.common.intervals import RATE_DIFFERENCE, UNBOUNDED, Estimate, Noise, estimate_means
from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.cells.metrics import RATES
from elusive.evaluate.compare.seed_noise import combine_noises, measure_noises

LEVEL = 0.05
FLIPS = 9999
EQUAL = 1e-12
"""Largest gap between numbers that are equal but for rounding."""
PAIRS_AT_A_TIME = 200
"""Number of pairs of arms that are compared at a time; limits memory."""
DIFFERENCES_AT_A_TIME = 4_000_000
"""Number of differences under exchanges that are computed at a time; limits memory."""
GAUSSIAN_BOUND = 1 / (4 * ndtr(-np.sqrt(2)))
"""A sum of numbers with random signs is at least x with no more than this many times (3.18) the
probability that a Gaussian of the same variance is. Source: Bentkus and Dzindzulieta, A Tight
Gaussian Bound for Weighted Sums of Rademacher Random Variables, 2015."""
GAUSSIAN_STEPS = np.linspace(-8, 12, 1001)
"""Values at which that Gaussian is cut into steps."""


@dataclass(frozen=True)
class Comparison:
    """Comparison of two arms on the same questions and seeds."""

    difference: Estimate
    """Mean of the first arm minus that of the second, with an interval over people and seeds."""
    p_value: float
    """P-value of a two-sided test over people and seeds, uncorrected."""
    effect: float
    """Cohen's d_z: mean over standard deviation of people's parts in the difference, which grow
    with their number of questions; 0 if they are all equal."""

    def is_significant(self, p_value: float) -> bool:
        """Whether the arms differ by both the corrected p-value and the interval."""
        return p_value < LEVEL and not self.difference.low <= 0 <= self.difference.high


def compare_pairs(
    arms: Mapping[str, list[CellResult]], pairs: Sequence[tuple[str, str]], metric: str
) -> list[Comparison]:
    """Compare pairs of arms on the questions that all of them answered.

    Each question has the same weight. A permutation exchanges the answers about some people between
    two arms, for each person all together. All permutations are tried if there are few; otherwise
    9,999 are drawn. Every pair is tested with the same ones. To each, chance in training adds its
    noise, which `seed_noise` measures; with one seed there is none, so the test is over people
    only.

    Args:
        arms: cells of all arms of a table, with the same questions and seeds; they share the
            variance between seeds.
        pairs: names of the two arms of each pair.
        metric: a numeric column of predictions, such as `em`.
    """
    if not pairs:
        return []
    # 1) Put the answers of all arms in the same order.
    answers = {name: _map_answers(arms[name], metric) for name in dict.fromkeys(chain(*pairs))}
    keys = sorted(answers[pairs[0][0]])
    values = {name: np.array([scores[key] for key in keys]) for name, scores in answers.items()}
    entities = [key[0] for key in keys]
    _, index = np.unique(entities, return_inverse=True)
    measured = measure_noises(arms, metric)
    noises = [combine_noises(measured[a], measured[b]) for a, b in pairs]
    # 2) Estimate the differences with their intervals, and each person's part in them.
    bounds = RATE_DIFFERENCE if metric in RATES else UNBOUNDED
    estimates: list[Estimate] = []
    parts = []
    for start in range(0, len(pairs), PAIRS_AT_A_TIME):
        chunk = pairs[start : start + PAIRS_AT_A_TIME]
        gaps = np.stack([values[a] - values[b] for a, b in chunk], axis=1)
        sums = np.stack([np.bincount(index, weights=column) for column in gaps.T], axis=1)
        parts.append(sums * len(sums) / len(keys))
        chunk_noises = noises[start : start + PAIRS_AT_A_TIME]
        estimates += estimate_means(gaps, entities, chunk_noises, bounds=bounds)
    by_person = np.concatenate(parts, axis=1)  # (person, pair); its mean is the difference
    # 3) Test the differences, and compute effect sizes.
    p_values, effects = compute_p_values(by_person, noises), _compute_effects(by_person)
    return [Comparison(*row) for row in zip(estimates, p_values, effects, strict=True)]


def _compute_effects(by_person: np.ndarray) -> list[float]:
    """Compute mean over standard deviation of each pair's differences; 0 if they are all equal."""
    effects = []
    for column in by_person.T:
        is_equal = np.ptp(column) <= EQUAL
        effects.append(0.0 if is_equal else float(column.mean() / column.std(ddof=1)))
    return effects


def _map_answers(cells: list[CellResult], metric: str) -> dict[tuple[str, int, str], float]:
    return {
        (p.entity, cell.parameters["seed"], p.question_id): value
        for cell in cells
        for p in cell.predictions
        if (value := getattr(p, metric)) is not None
    }


def compute_p_values(by_person: np.ndarray, noises: Sequence[Noise]) -> list[float]:
    """Compute how often chance makes the arms of a pair differ at least as much, either way.

    Args:
        by_person: each person's part in the differences; its mean over people is the difference.
            # (person, pair)
        noises: of the pairs' differences.

    Returns:
        P-values of two-sided tests, uncorrected.
    """
    num_people, num_pairs = by_person.shape
    differ = by_person.any(axis=0)
    if num_people < 2 or not differ.any():
        return [1.0] * num_pairs
    exchanges = _sample_exchanges(num_people)
    upward = by_person * np.sign(np.round(by_person.mean(axis=0), 12))
    # The observed assignment counts among random exchanges, so no p-value is 0.
    added = 0 if len(exchanges) == 2**num_people else 1
    sums = _sum_tails(exchanges, upward, noises)
    p_values = 2 * (sums + added) / (len(exchanges) + added)
    # For very many pairs, the smallest of these is too large once it is corrected.
    p_values = np.minimum(p_values, 2 * _bound_tails(upward, noises))
    p_values = np.where(differ, np.minimum(p_values, 1.0), 1.0)
    return [float(f"{p_value:.9g}") for p_value in p_values]  # the order of summation must not show


def _sum_tails(exchanges: np.ndarray, upward: np.ndarray, noises: Sequence[Noise]) -> np.ndarray:
    """Sum over exchanges how probably the difference is at least as high as observed.

    An exchange that alone makes it as high counts as 1, so noise never lowers a p-value.

    Args:
        exchanges: signs.  # (exchange, person)
        upward: differences, those of each pair with a mean of at least 0.  # (person, pair)
        noises: of the pairs' differences.

    Returns:
        Sums.  # (pair,)
    """
    num_people, num_pairs = upward.shape
    observed = np.round(upward.mean(axis=0), 12)  # rounding keeps ties in any order of summation
    df, deviations = _split_noises(noises)
    is_noisy = deviations > 0
    sums = np.zeros(num_pairs)
    size = max(1, DIFFERENCES_AT_A_TIME // num_pairs)
    for start in range(0, len(exchanges), size):
        signs = exchanges[start : start + size].astype(float)
        missing = observed - np.round(signs @ upward / num_people, 12)  # (exchange, pair)
        tails = (missing <= 0).astype(float)
        noisy = missing[:, is_noisy]
        by_noise = stdtr(df[is_noisy], -noisy / deviations[is_noisy])
        tails[:, is_noisy] = np.where(noisy <= 0, 1.0, by_noise)
        sums += tails.sum(axis=0)
    return sums


def _bound_tails(upward: np.ndarray, noises: Sequence[Noise]) -> np.ndarray:
    """Bound the mean that `_sum_tails` would have over all exchanges from above.  # (pair,)."""
    df, deviations = _split_noises(noises)
    scales = np.sqrt((upward**2).sum(axis=0)) / len(upward)  # (pair,)
    probabilities = -np.diff(ndtr(-GAUSSIAN_STEPS), prepend=1, append=0)  # (step,)
    ends = np.append(GAUSSIAN_STEPS, np.inf)[:, None]
    # Every value of a step counts as its end. A noise of 0 is replaced by a tiny one.
    missing = upward.mean(axis=0) - ends * np.maximum(scales, 1e-300)  # (step, pair)
    tails = np.where(missing <= 0, 1.0, stdtr(df, -missing / np.maximum(deviations, 1e-300)))
    return GAUSSIAN_BOUND * (probabilities @ tails)


def _split_noises(noises: Sequence[Noise]) -> tuple[np.ndarray, np.ndarray]:
    """Return degrees of freedom and standard deviations.  # both (pair,)."""
    columns = [(noise.df, noise.variance**0.5) for noise in noises]
    df, deviations = np.array(columns).T
    return df, deviations


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


def rank_arms(arms: Mapping[str, list[CellResult]], metric: str) -> dict[str, int | None]:
    """Rank each arm: 1 plus the number of arms that are significantly better.

    All pairs are tested, with correction for their number. Arms that cannot be told apart from the
    best one share rank 1 with it. With one seed, every rank is None: another training of the same
    arm might differ as much.
    """
    if any(len({cell.parameters["seed"] for cell in cells}) == 1 for cells in arms.values()):
        return dict.fromkeys(arms)
    pairs = list(combinations(arms, 2))
    comparisons = compare_pairs(arms, pairs, metric)
    corrected = correct_p_values([comparison.p_value for comparison in comparisons])
    worse: Counter[str] = Counter()
    for (a, b), comparison, p_value in zip(pairs, comparisons, corrected, strict=True):
        if comparison.is_significant(p_value):
            worse[b if comparison.difference.mean > 0 else a] += 1
    return {name: 1 + worse[name] for name in arms}
