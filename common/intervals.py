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
    """Mean of `values` with a 95% BCa interval from a bootstrap over entities and seeds.

    Questions about one person stand or fall together, so people are resampled, each with all of
    its questions. Seeds are resampled, too, where there are several: the deviations of both are
    added. Percentiles are moved for the skewness of a mean near its floor (bias-corrected and
    accelerated, BCa), and further out as Student's t asks for so many people;
    benchmarks/coverage.py measures how often the interval holds the truth. It ends where the
    values do, as no mean lies beyond them. With a single entity there is nothing to resample: the
    interval is all numbers, (-inf, inf).

    Args:
        values: one number per question.
        entities: whom each question is about, in the same order.
        seeds: of the training that each value comes from, in the same order.
        seed: of the resampling.

    Source: scipy.stats.bootstrap; Efron, Better Bootstrap Confidence Intervals (1987), for BCa;
    Hesterberg, What Teachers Should Know About the Bootstrap (2015), section 4, for Student's t.

    >>> mean_over_entities([1.0, 1.0, 0.0, 0.0], ["a", "a", "b", "b"]).mean
    0.5
    """
    columns = np.asarray(values, float)[:, None]
    return means_over_entities(columns, entities, seeds, seed)[0]


def means_over_entities(
    columns: np.ndarray,
    entities: Sequence[str],
    seeds: Sequence[int] | None = None,
    seed: int = 0,
) -> list[Estimate]:
    """The estimate of `mean_over_entities` for each column, all from the same resamples.

    Args:
        columns: one number per question, in columns of their own.  # (question, column)
        entities: whom each question is about.
        seeds: of the training that each row comes from.
        seed: of the resampling.
    """
    sums, counts = _grouped(columns, entities)
    means = sums.sum(axis=0) / counts.sum()
    if len(sums) == 1:
        return [Estimate(float(mean), -np.inf, np.inf) for mean in means]
    rng = np.random.default_rng(seed)
    deviations = _resampled(sums, counts, rng) - means  # (resample, column)
    influences = (sums - means * counts[:, None]) / counts.sum()  # (entity, column)
    variances = (influences**2).sum(axis=0)
    by_seed = _grouped(columns, [0] * len(columns) if seeds is None else seeds)
    if (count := len(by_seed[0])) > 1:
        of_seeds = (_resampled(*by_seed, rng) - means) * np.sqrt(count / (count - 1))
        deviations += of_seeds
        variances += of_seeds.var(axis=0)
    levels = _bca_levels(deviations, influences, variances)
    ends = [np.quantile(*each) for each in zip(deviations.T, levels, strict=True)]
    low, high = np.clip(means + np.transpose(ends), columns.min(axis=0), columns.max(axis=0))
    # A mean may lie beyond its values by a rounding error, but never beyond its interval.
    rows = zip(means, np.minimum(low, means), np.maximum(high, means), strict=True)
    return [Estimate(*map(float, row)) for row in rows]


def _bca_levels(
    deviations: np.ndarray, influences: np.ndarray, variances: np.ndarray
) -> np.ndarray:
    """Between which quantiles of the resamples' deviations each column's interval lies.

    Args:
        deviations: of resampled means.  # (resample, column)
        influences: what each entity moves the mean by.  # (entity, column)
        variances: of the mean.  # (column,)

    Returns:
        Probabilities.  # (column, 2)
    """
    size = len(influences)
    further = t.ppf(0.975, size - 1) * np.sqrt(size / (size - 1))
    deviations = np.round(deviations, 12)  # so that ties stay ties
    below = np.mean((deviations < 0) + (deviations == 0) / 2, axis=0)
    bias = norm.ppf(np.clip(below, 1 / len(deviations), 1 - 1 / len(deviations)))
    cubes = (influences**3).sum(axis=0)
    cubed = 6 * variances**1.5
    acceleration = np.divide(cubes, cubed, out=np.zeros_like(cubes), where=cubed > 1e-30)
    moved = bias[:, None] + [-further, further]
    levels = norm.cdf(bias[:, None] + moved / (1 - acceleration[:, None] * moved))
    return np.round(levels, 9)  # the order in which numbers were added must not show


def _grouped(columns: np.ndarray, groups: Sequence[object]) -> tuple[np.ndarray, np.ndarray]:
    """Sums and number of the rows of each group.  # (group, column), (group,)."""
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    sums = [np.bincount(index, weights=column) for column in columns.T]
    return np.stack(sums, axis=1), np.bincount(index).astype(float)


def _resampled(sums: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Means over resampled groups.  # (resample, column)."""
    size, found = len(counts), []

    def keep(drawn: np.ndarray, axis: int) -> np.ndarray:
        if drawn.ndim == 2:  # resamples, not the groups as they are
            places = drawn + size * np.arange(len(drawn))[:, None]
            times = np.bincount(places.ravel(), minlength=drawn.size).reshape(drawn.shape)
            times = times.astype(float)  # (resample, group)
            found.append((times @ sums) / (times @ counts)[:, None])
        return drawn.mean(axis=axis)

    bootstrap(
        (np.arange(size),),
        keep,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, 10_000_000 // size),
        method="percentile",
        rng=rng,
    )
    return np.concatenate(found)
