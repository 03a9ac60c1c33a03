"""Means with confidence intervals that respect what was sampled: people and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap, norm, t

RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval."""

    mean: float
    low: float
    high: float


def mean_over_entities(
    values: Sequence[float],
    entities: Sequence[str],
    seeds: Sequence[int] | None = None,
    seed: int = 0,
) -> Estimate:
    """Mean of `values` with a 95% percentile interval from a bootstrap over entities and seeds.

    Questions about one person stand or fall together, so people are resampled, each with all of
    its questions. Seeds are resampled, too, where there are several: the deviations of both are
    added. Percentiles are taken a little further out than 2.5 and 97.5, as Student's t asks for so
    many people; benchmarks/coverage.py measures how often the interval holds the truth. With a
    single entity there is nothing to resample: the interval is all numbers, (-inf, inf).

    Args:
        values: one number per question.
        entities: whom each question is about, in the same order.
        seeds: of the training that each value comes from, in the same order.
        seed: of the resampling.

    Source: scipy.stats.bootstrap; the expanded percentile interval of Hesterberg, What Teachers
    Should Know About the Bootstrap (2015), section 4.

    >>> mean_over_entities([1.0, 1.0, 0.0, 0.0], ["a", "a", "b", "b"]).mean
    0.5
    """
    sums, counts = _grouped(values, entities)
    mean = float(sums.sum() / counts.sum())
    if len(sums) == 1:
        return Estimate(mean, -np.inf, np.inf)
    rng = np.random.default_rng(seed)
    deviations = _resampled(sums, counts, rng) - mean
    by_seed = _grouped(values, [0] * len(values) if seeds is None else seeds)
    if (count := len(by_seed[0])) > 1:
        deviations += (_resampled(*by_seed, rng) - mean) * np.sqrt(count / (count - 1))
    further = t.ppf(0.975, len(sums) - 1) * np.sqrt(len(sums) / (len(sums) - 1))
    low, high = np.quantile(deviations, norm.cdf([-further, further]))
    return Estimate(mean, mean + float(low), mean + float(high))


def _grouped(values: Sequence[float], groups: Sequence[object]) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the values of each group.  # each (group,)."""
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    return np.bincount(index, weights=np.asarray(values, float)), np.bincount(index).astype(float)


def _resampled(sums: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Means over resampled groups.  # (resample,)."""
    found = bootstrap(
        (sums, counts),
        _ratio,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, 10_000_000 // len(sums)),
        method="percentile",
        rng=rng,
    )
    return found.bootstrap_distribution


def _ratio(sums: np.ndarray, counts: np.ndarray, axis: int) -> np.ndarray:
    """Mean over the values of resampled groups."""
    return sums.sum(axis=axis) / counts.sum(axis=axis)
