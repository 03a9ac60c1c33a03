"""Means with confidence intervals that respect what was sampled: people, not questions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap

RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval."""

    mean: float
    low: float
    high: float


def mean_over_entities(values: Sequence[float], entities: Sequence[str], seed: int = 0) -> Estimate:
    """Mean of `values` with a 95% percentile interval from a bootstrap over entities.

    Questions about one person stand or fall together, so people are resampled, each with all of
    its questions. With a single entity there is nothing to resample: the interval is all numbers
    that are possible, (-inf, inf).

    Args:
        values: one number per question.
        entities: whom each question is about, in the same order.
        seed: of the resampling.

    Source: scipy.stats.bootstrap; Efron and Tibshirani, An Introduction to the Bootstrap, ch. 13.

    >>> mean_over_entities([1.0, 1.0, 0.0, 0.0], ["a", "a", "b", "b"]).mean
    0.5
    """
    names, index = np.unique(np.asarray(entities), return_inverse=True)
    sums = np.bincount(index, weights=np.asarray(values, dtype=float))
    counts = np.bincount(index).astype(float)
    mean = float(sums.sum() / counts.sum())
    if len(names) == 1:
        return Estimate(mean, -np.inf, np.inf)
    interval = bootstrap(
        (sums, counts),
        _ratio,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(mean, float(interval.low), float(interval.high))


def _ratio(sums: np.ndarray, counts: np.ndarray, axis: int) -> np.ndarray:
    """Mean over questions of resampled people."""
    return sums.sum(axis=axis) / counts.sum(axis=axis)
