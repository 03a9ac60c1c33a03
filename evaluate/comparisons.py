"""Which arms differ: paired permutation tests, corrected for their number, and shared ranks."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import permutation_test

from elusive.common.intervals import Estimate, mean_over_entities
from elusive.evaluate.cell import CellResult

LEVEL = 0.05
FLIPS = 9999


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
    ours, theirs = (_by_question(cells, metric) for cells in (first, second))
    keys = sorted(ours)
    entities, seeds = [key[0] for key in keys], [key[1] for key in keys]
    gaps = [ours[key] - theirs[key] for key in keys]
    _, index = np.unique(entities, return_inverse=True)
    by_person = np.bincount(index, weights=gaps) / np.bincount(index)
    spread = float(by_person.std(ddof=1)) if len(by_person) > 1 else 0.0
    return Comparison(
        mean_over_entities(gaps, entities, seeds),
        _p_value(by_person),
        float(by_person.mean() / spread) if spread else 0.0,
    )


def _by_question(cells: list[CellResult], metric: str) -> dict[tuple[str, int, str], float]:
    """A metric by person, seed and question."""
    return {
        (p.entity, cell.parameters["seed"], p.question_id): getattr(p, metric)
        for cell in cells
        for p in cell.predictions
    }


def _p_value(differences: np.ndarray) -> float:
    """How often exchanging people's answers makes the arms differ at least as much."""
    if len(differences) < 2 or not differences.any():
        return 1.0
    found = permutation_test(
        (differences, np.zeros_like(differences)),
        lambda x, y, axis: np.round((x - y).mean(axis=axis), 12),  # ties stay ties
        permutation_type="samples",
        vectorized=True,
        n_resamples=FLIPS,
        batch=1000,
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)


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
    found = [compare(named[name], named[baseline], metric) for name in others]
    corrected = holm([each.p_value for each in found])
    return {name: pair for name, *pair in zip(others, found, corrected, strict=True)}  # type: ignore[return-value]


def shared_ranks(named: Mapping[str, list[CellResult]], metric: str) -> dict[str, int]:
    """Rank of each arm: 1 plus the number of arms that are significantly better.

    All pairs are tested, and corrected for their number; arms that cannot be told apart from the
    best one share rank 1 with it.
    """
    pairs = list(combinations(named, 2))
    found = [compare(named[a], named[b], metric) for a, b in pairs]
    corrected = holm([each.p_value for each in found])
    ranks = dict.fromkeys(named, 1)
    for (a, b), each, p_value in zip(pairs, found, corrected, strict=True):
        if each.is_significant(p_value):
            ranks[b if each.difference.mean > 0 else a] += 1
    return ranks
