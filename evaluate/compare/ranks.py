"""Which arms differ: paired permutation tests, corrected for their number, and shared ranks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, combinations

import numpy as np
from scipy.stats import permutation_test

from elusive.common.intervals import Estimate, means_over_entities
from elusive.evaluate.cells.cell import CellResult

LEVEL = 0.05
FLIPS = 9999
PAIRS_AT_A_TIME = 200
"""Pairs of arms that are compared together: more take more memory."""
DIFFERENCES_AT_A_TIME = 4_000_000
"""Likewise, differences after exchanges."""
FLIPS_PER_PAIR = 50
"""Exchanges per pair of arms where there are very many pairs: the smallest p-value, corrected for
the number of pairs, is then .04."""


@dataclass(frozen=True)
class Comparison:
    """One arm against another one, on the same questions and seeds."""

    difference: Estimate
    """Mean of the first minus that of the second, with its interval over people and seeds."""
    p_value: float
    """Of a two-sided permutation test, before any correction."""
    effect: float
    """Cohen's d_z: mean over standard deviation of people's differences; 0 where they are all 0."""

    def is_significant(self, p_value: float) -> bool:
        """Whether the arms differ, given the corrected p-value: test and interval both say so."""
        return p_value < LEVEL and not self.difference.low <= 0 <= self.difference.high


def compare(first: list[CellResult], second: list[CellResult], metric: str) -> Comparison:
    """Compare two arms on what both answered.

    Each person's answers in one arm are exchanged for those in the other one, all together: that is
    the permutation. All exchanges are tried where they are few, 9,999 random ones otherwise.

    Args:
        first: cells of an arm, one per seed.
        second: cells of the other one, of the same questions and seeds.
        metric: a numeric column of predictions, such as `em`.

    Source: scipy.stats.permutation_test, permutation_type "samples".
    """
    named = {"first": first, "second": second}
    return compare_pairs(named, [("first", "second")], metric)[0]


def compare_pairs(
    named: Mapping[str, list[CellResult]], pairs: Sequence[tuple[str, str]], metric: str
) -> list[Comparison]:
    """Compare pairs of arms by name, each as `compare` does, all with the same exchanges.

    Args:
        named: cells of each arm, of the same questions and seeds.
        pairs: names of two arms.
        metric: a numeric column of predictions.
    """
    if not pairs:
        return []
    answers = {name: _by_question(named[name], metric) for name in dict.fromkeys(chain(*pairs))}
    keys = sorted(answers[pairs[0][0]])
    values = {name: np.array([of[key] for key in keys]) for name, of in answers.items()}
    entities, seeds = [key[0] for key in keys], [key[1] for key in keys]
    _, index = np.unique(entities, return_inverse=True)
    estimates: list[Estimate] = []
    differences = []
    for start in range(0, len(pairs), PAIRS_AT_A_TIME):
        chosen = pairs[start : start + PAIRS_AT_A_TIME]
        gaps = np.stack([values[a] - values[b] for a, b in chosen], axis=1)
        sums = np.stack([np.bincount(index, weights=column) for column in gaps.T], axis=1)
        differences.append(sums / np.bincount(index)[:, None])
        estimates += means_over_entities(gaps, entities, seeds)
    by_person = np.concatenate(differences, axis=1)  # (person, pair)
    rows = zip(estimates, _p_values(by_person), _effects(by_person), strict=True)
    return [Comparison(*row) for row in rows]


def _effects(by_person: np.ndarray) -> list[float]:
    """Mean over standard deviation of each pair's differences between people; 0 where all equal."""
    effects = []
    for column in by_person.T:
        spread = float(column.std(ddof=1)) if len(column) > 1 else 0.0
        effects.append(float(column.mean() / spread) if spread else 0.0)
    return effects


def _by_question(cells: list[CellResult], metric: str) -> dict[tuple[str, int, str], float]:
    """A metric by person, seed and question."""
    return {
        (p.entity, cell.parameters["seed"], p.question_id): getattr(p, metric)
        for cell in cells
        for p in cell.predictions
    }


def _p_values(by_person: np.ndarray) -> list[float]:
    """How often exchanging people's answers makes the arms of each pair differ at least as much.

    So many pairs can be compared that the smallest p-value of 9,999 exchanges, corrected for their
    number, is never significant: pairs that reach it then get as many more as that takes.

    Args:
        by_person: differences.  # (person, pair)
    """
    num_people, num_pairs = by_person.shape
    differ = by_person.any(axis=0)
    if num_people < 2 or not differ.any():
        return [1.0] * num_pairs
    exchanges = _exchanges(num_people)
    counts = _num_extreme(exchanges, by_person)
    # Of random exchanges, the one that was found counts, too: no p-value is 0.
    added = 0 if len(exchanges) == 2**num_people else 1
    p_values = np.minimum(2 * (counts + added) / (len(exchanges) + added), 1.0)
    smallest = counts + added == 1
    if added and 2 * num_pairs / (FLIPS + 1) >= LEVEL and smallest.any():
        blocks = math.ceil(num_pairs * FLIPS_PER_PAIR / FLIPS)
        more = _num_more_extreme(blocks, by_person[:, smallest])
        p_values[smallest] = 2 * (more + 1) / (FLIPS * (blocks + 1) + 1)
    return np.where(differ, p_values, 1.0).tolist()


def _num_extreme(exchanges: np.ndarray, by_person: np.ndarray) -> np.ndarray:
    """Exchanges that make a pair's difference as low, or as high if those are fewer.  # (pair,).

    Args:
        exchanges: signs.  # (exchange, person)
        by_person: differences.  # (person, pair)
    """
    num_people, num_pairs = by_person.shape
    # Rounded, so that ties stay ties whatever the order of the sum.
    observed = np.round(by_person.mean(axis=0), 12)
    low, high = np.zeros((2, num_pairs), int)
    size = max(1, DIFFERENCES_AT_A_TIME // num_pairs)
    for start in range(0, len(exchanges), size):
        signs = exchanges[start : start + size].astype(float)
        exchanged = np.round(signs @ by_person / num_people, 12)  # (exchange, pair)
        low += (exchanged <= observed).sum(axis=0)
        high += (exchanged >= observed).sum(axis=0)
    return np.minimum(low, high)


def _num_more_extreme(blocks: int, by_person: np.ndarray) -> np.ndarray:
    """The same for pairs that hardly any exchange reaches, of random exchanges drawn anew.

    In single precision, which is enough where ties are so rare: exchanges
    that come within rounding of what was found count.

    Args:
        blocks: of 9,999 exchanges.
        by_person: differences.  # (person, pair)
    """
    num_people, num_pairs = by_person.shape
    upward = (by_person * np.sign(by_person.sum(axis=0))).astype(np.float32)
    reached = upward.sum(axis=0) - 1e-5 * np.abs(upward).sum(axis=0)
    size = max(1, DIFFERENCES_AT_A_TIME // num_pairs)
    found = np.zeros(num_pairs, int)
    rng = np.random.default_rng(1)
    for left in range(blocks * FLIPS, 0, -size):
        drawn = rng.integers(0, 2, (min(size, left), num_people), np.int8)
        exchanged = (2 * drawn - 1).astype(np.float32) @ upward  # (exchange, pair)
        found += np.bincount(np.nonzero(exchanged >= reached)[1], minlength=num_pairs)
    return found


@lru_cache(maxsize=4)
def _exchanges(num_people: int) -> np.ndarray:
    """Which people's answers are exchanged, as signs: -1 where they are.  # (exchange, person)

    They depend on the number of people alone, so one draw serves all pairs of arms.
    """
    drawn: list[np.ndarray] = []

    def keep(kept: np.ndarray, exchanged: np.ndarray, axis: int) -> np.ndarray:
        if kept.ndim == 2:  # exchanges, not the answers as they are
            drawn.append((kept - exchanged).astype(np.int8))
        return kept.mean(axis=axis)

    permutation_test(
        (np.ones(num_people), np.zeros(num_people)),
        keep,
        permutation_type="samples",
        vectorized=True,
        n_resamples=FLIPS,
        batch=1000,
        rng=np.random.default_rng(0),
    )
    return np.concatenate(drawn)


def holm(p_values: list[float]) -> list[float]:
    """P-values corrected for their number, in the same order.

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values)
    scaled = np.asarray(p_values)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return corrected.tolist()


def against(
    named: Mapping[str, list[CellResult]], baseline: str, metric: str
) -> dict[str, tuple[Comparison, float]]:
    """Every arm against the baseline, with p-values corrected for the number of arms."""
    others = [name for name in named if name != baseline]
    found = compare_pairs(named, [(name, baseline) for name in others], metric)
    corrected = holm([each.p_value for each in found])
    return {name: pair for name, *pair in zip(others, found, corrected, strict=True)}  # type: ignore[return-value]


def shared_ranks(named: Mapping[str, list[CellResult]], metric: str) -> dict[str, int]:
    """Rank of each arm: 1 plus the number of arms that are significantly better.

    All pairs are tested, and corrected for their number; arms that cannot be told apart from the
    best one share rank 1 with it.
    """
    pairs = list(combinations(named, 2))
    found = compare_pairs(named, pairs, metric)
    corrected = holm([each.p_value for each in found])
    ranks = dict.fromkeys(named, 1)
    for (a, b), each, p_value in zip(pairs, found, corrected, strict=True):
        if each.is_significant(p_value):
            ranks[b if each.difference.mean > 0 else a] += 1
    return ranks
