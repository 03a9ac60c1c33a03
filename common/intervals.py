"""Means with confidence intervals that respect what was sampled: people, and trainings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

RESAMPLES = 2000
INTERVAL_METHOD = "expanded BCa bootstrap over people"
"""Name of the intervals' method, for exports; "expanded" is Hesterberg's word for intervals that
Student's t widens."""
DRAWS_AT_ONCE = 10_000_000
"""Random draws that are in memory at the same time."""
FEW = 10
"""Number of entities below which resamples vary too little for Student's t."""
ALIKE = 1e-9
"""Largest difference between means of entities that only rounding sets apart."""
CORRELATION = 0.3
"""Correlation that is assumed between answers about the same person."""
Bounds = tuple[float, float]
"""Smallest and largest value that a metric, or a difference in it, can have."""
UNBOUNDED: Bounds = (-np.inf, np.inf)
RATE: Bounds = (0.0, 1.0)
RATE_DIFFERENCE: Bounds = (-1.0, 1.0)
COUNT: Bounds = (0.0, np.inf)


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Noise:
    """How much chance in training moves a mean; it follows Student's t distribution."""

    variance: float = 0.0
    """Variance of the mean; 0 where it is not known, so that intervals are over people only."""
    df: float = np.inf
    """Degrees of freedom of that variance's estimate."""


def format_estimate(estimate: Estimate, scale: float = 1, digits: int = 2, unit: str = "") -> str:
    """Return a mean and its interval as text; the unit follows the mean.

    >>> format_estimate(Estimate(0.12, -0.001, 0.221), 100, 0, "%")
    '12% [0, 22]'
    >>> format_estimate(Estimate(0.12, -np.inf, np.inf), 100, 0, "%")
    '12% [no interval]'
    """
    mean, low, high = (
        f"{round(scale * number, digits) + 0:.{digits}f}"  # plus 0: no minus before a rounded zero
        for number in (estimate.mean, estimate.low, estimate.high)
    )
    ends = f"{low}, {high}" if np.isfinite(estimate.low) else "no interval"
    return f"{mean}{unit} [{ends}]"


def estimate_mean(
    values: Sequence[float],
    entities: Sequence[str],
    noise: Noise | None = None,
    seed: int = 0,
    bounds: Bounds = UNBOUNDED,
) -> Estimate:
    """Estimate a mean with a 95% BCa interval by a bootstrap over entities, and noise of training.

    Answers about one person stand or fall together, so people are resampled, each with all of
    their questions. If chance in training moves the mean, noise is added to each resample. The
    percentiles are shifted for the skewness of a mean near its floor (bias-corrected and
    accelerated, BCa), and widened as Student's t requires for that number of people;
    benchmarks/coverage.py measures how often the interval contains the truth. With fewer than 10
    entities, it is at least as wide as Student's t; with a single one, it is all numbers,
    (-inf, inf). If all entities have the same mean of a bounded metric, resamples show nothing: the
    interval then reaches as far as, from 0, the mean with which all answers of a sample are wrong
    in 2.5% of samples, if answers about one person are correlated .3.

    Args:
        values: one number per question.
        entities: whom each question is about, in the same order.
        noise: of the trainings that the values come from; None: people only.
        seed: of the resampling.
        bounds: beyond which no value of the metric lies; `RATE` for a rate.

    Source: Efron, Better Bootstrap Confidence Intervals (1987), for BCa; Hesterberg, What Teachers
    Should Know About the Bootstrap (2015), section 4, for Student's t.

    >>> estimate_mean([1.0, 1.0, 0.0, 0.0], ["a", "a", "b", "b"]).mean
    0.5
    """
    columns = np.asarray(values, float)[:, None]
    return estimate_means(columns, entities, [noise or Noise()], seed, bounds)[0]


def estimate_means(
    columns: np.ndarray,
    entities: Sequence[str],
    noises: Sequence[Noise],
    seed: int = 0,
    bounds: Bounds = UNBOUNDED,
) -> list[Estimate]:
    """Estimate the mean of each column as `estimate_mean` does, all from the same resamples.

    Args:
        columns: one number per question in each column.  # (question, column)
        entities: whom each question is about.
        noises: of each column.
        seed: of the resampling.
        bounds: of all columns.
    """
    # 1) Deviations of the mean under resampled people, and each person's influence on it.
    sums, counts = _sum_groups(columns, entities)
    means = sums.sum(axis=0) / counts.sum()
    if (size := len(sums)) == 1:
        return [Estimate(float(mean), -np.inf, np.inf) for mean in means]
    rng = np.random.default_rng(seed)
    deviations = _resample_means(sums, counts, rng) - means  # (resample, column)
    influences = (sums - means * counts[:, None]) / counts.sum()  # (entity, column)
    widened = stdtrit(size - 1, 0.975) * np.sqrt(size / (size - 1))
    # 2) Add the noise of training. Wider percentiles are for people, so the noise is narrower by as
    # much: the interval's ends are those of its own t distribution.
    variances = np.array([noise.variance for noise in noises])
    if variances.any():
        ranks = (rng.permutation(len(deviations)) + 0.5) / len(deviations)
        levels = ndtr(ndtri(ranks) * ndtri(0.975) / widened)  # (resample,)
        shapes, index = np.unique([noise.df for noise in noises], return_inverse=True)
        drawn = stdtrit(shapes, levels[:, None])[:, index]  # (resample, column)
        deviations += np.sqrt(variances) * drawn
    # 3) The interval lies between two quantiles of the deviations.
    of_people = (influences**2).sum(axis=0)
    levels = _compute_bca_levels(deviations, influences, variances + of_people, widened)
    low, high = np.transpose([np.quantile(*p) for p in zip(deviations.T, levels, strict=True)])
    # 4) It is as wide as Student's t if people are few, and as an exact one if people are alike.
    least = np.zeros(len(means))
    if size < FEW:
        shapes = np.array([noise.df for noise in noises])
        of_trainings = stdtrit(shapes, 0.975) * np.sqrt(variances)
        least = np.hypot(widened * np.sqrt(of_people), of_trainings)
    if np.isfinite(bounds).all():
        is_alike = np.ptp(sums / counts[:, None], axis=0) < ALIKE
        least = np.where(is_alike, np.maximum(least, _bound_unseen_rate(counts)), least)
    low = np.clip(means + np.minimum(low, -least), *bounds)
    high = np.clip(means + np.maximum(high, least), *bounds)
    # A mean may lie beyond its bounds by a rounding error, but never beyond its interval.
    rows = zip(means, np.minimum(low, means), np.maximum(high, means), strict=True)
    return [Estimate(*map(float, row)) for row in rows]


def _bound_unseen_rate(counts: np.ndarray) -> float:
    """Return the rate of answers of which a sample holds none in 2.5% of samples.

    Args:
        counts: number of answers about each person.

    Source: Clopper and Pearson 1934, for the effective number of answers (Kish 1965).

    >>> round(float(_bound_unseen_rate(np.ones(100))), 3)
    0.036
    """
    effective = (counts / (1 + (counts - 1) * CORRELATION)).sum()
    return 1 - 0.025 ** (1 / effective)


def _compute_bca_levels(
    deviations: np.ndarray, influences: np.ndarray, variances: np.ndarray, widened: float
) -> np.ndarray:
    """Return the two quantiles of the deviations between which each column's interval lies.

    Args:
        deviations: of resampled means.  # (resample, column)
        influences: by how much each entity moves the mean.  # (entity, column)
        variances: of the mean.  # (column,)
        widened: distance of the ends from the mean, in standard deviations.

    Returns:
        Probabilities.  # (column, 2)
    """
    deviations = np.round(deviations, 12)  # ties must stay ties
    below = np.mean((deviations < 0) + (deviations == 0) / 2, axis=0)
    bias = ndtri(np.clip(below, 1 / len(deviations), 1 - 1 / len(deviations)))
    cubes = (influences**3).sum(axis=0)
    cubed = 6 * variances**1.5
    acceleration = np.divide(cubes, cubed, out=np.zeros_like(cubes), where=cubed > 1e-30)
    shifted = bias[:, None] + [-widened, widened]
    levels = ndtr(bias[:, None] + shifted / (1 - acceleration[:, None] * shifted))
    return np.round(levels, 9)  # the order of summation must not show


def _sum_groups(columns: np.ndarray, groups: Sequence[object]) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums and the number of the rows of each group.  # (group, column), (group,)."""
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    sums = [np.bincount(index, weights=column) for column in columns.T]
    return np.stack(sums, axis=1), np.bincount(index).astype(float)


def _resample_means(sums: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return means over resampled groups, given all sums and sizes.  # (resample, column)."""
    size = len(counts)
    batch = max(1, DRAWS_AT_ONCE // size)
    means = []
    for first in range(0, RESAMPLES, batch):
        drawn = rng.integers(0, size, (min(batch, RESAMPLES - first), size))  # (resample, draw)
        # Count how often each resample drew each group, all resamples in one bincount.
        bins = drawn + size * np.arange(len(drawn))[:, None]
        times = np.bincount(bins.ravel(), minlength=bins.size).reshape(bins.shape)
        times = times.astype(float)  # (resample, group)
        means.append((times @ sums) / (times @ counts)[:, None])
    return np.concatenate(means)
