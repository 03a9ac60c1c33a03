"""How much chance in training moves an arm's mean: at least as its own seeds vary.

An arm has too few seeds to tell its own variance from them, so the arms of a table share theirs:
moderated variances, as in the analysis of gene expression.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, polygamma

from elusive.common.dataset.records import Prediction
from elusive.common.intervals import RATE, UNBOUNDED, Estimate, Noise, estimate_mean
from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.cells.metrics import RATES

SMALLEST_SCALE = 0.01
"""Smallest m (1 - m) that a variance is divided by: that of a mean m of 1%."""
SMALLEST_RATIO = 0.01
"""Variances below this share of the median count as this share: counts of right answers are whole
numbers, so seeds agree by chance, which says little about their variance."""


LARGE_DF = 1e6


@dataclass(frozen=True)
class SeedSpread:
    """How much the scores of one arm vary with its seeds."""

    mean: float
    between: float
    """Variance of the means of single seeds; 0 with one seed."""
    residual: float
    """The part of it by which seeds differ from person to person. An interval or a test over people
    contains it already."""
    seeds: int
    is_trained: bool
    """False where seeds change only the solved questions of the prompts."""


def estimate_arms(
    arms: Mapping[str, list[CellResult]],
    metric: str,
    keep: Callable[[Prediction], bool] = lambda prediction: True,
) -> dict[str, Estimate]:
    """Estimate the mean of every arm with a 95% interval over people and seeds.

    Args:
        arms: all arms of a table, which share the variance between seeds.
        metric: a numeric column of predictions, such as `em`; those without a number are left out.
        keep: chooses the answers; an arm that has none of them is left out.
    """
    answers = {name: _list_answers(cells, metric, keep) for name, cells in arms.items()}
    answers = {name: columns for name, columns in answers.items() if columns[0]}
    noises = _pool_answers(arms, answers, metric)
    bounds = RATE if metric in RATES else UNBOUNDED
    return {
        name: estimate_mean(values, entities, noises[name], bounds=bounds)
        for name, (values, entities, _) in answers.items()
    }


def measure_noises(arms: Mapping[str, list[CellResult]], metric: str) -> dict[str, Noise]:
    """Measure how much chance in training moves the mean of each arm.

    Args:
        arms: all arms of a table, which share the variance between seeds.
        metric: a numeric column of predictions, such as `em`; an arm that lacks it is left out.
    """
    answers = {name: _list_answers(cells, metric) for name, cells in arms.items()}
    answers = {name: columns for name, columns in answers.items() if columns[0]}
    return _pool_answers(arms, answers, metric)


Answers = tuple[list[float], list[str], list[int]]
"""Values, entities and seeds of answers."""


def _list_answers(
    cells: list[CellResult],
    metric: str,
    keep: Callable[[Prediction], bool] = lambda prediction: True,
) -> Answers:
    kept = [
        (value, p.entity, cell.parameters["seed"])
        for cell in cells
        for p in cell.predictions
        if keep(p) and (value := getattr(p, metric)) is not None
    ]
    values, entities, seeds = map(list, zip(*kept, strict=True)) if kept else ([], [], [])
    return values, entities, seeds


def _pool_answers(
    arms: Mapping[str, list[CellResult]], answers: Mapping[str, Answers], metric: str
) -> dict[str, Noise]:
    spreads = [
        measure_spread(*columns, is_trained=arms[name][0].log is not None)
        for name, columns in answers.items()
    ]
    return dict(zip(answers, pool_noises(spreads, metric in RATES), strict=True))


def measure_spread(
    values: Sequence[float], entities: Sequence[str], seeds: Sequence[int], is_trained: bool = True
) -> SeedSpread:
    """Measure how much the mean of one arm varies with its seeds.

    Args:
        values: one number per answer.
        entities: whom each answer is about.
        seeds: of the training that each answer comes from.
        is_trained: whether the arm is trained.
    """
    # 1) Sum answers by person and seed; the sum over people is the mean of a seed.
    _, person = np.unique(entities, return_inverse=True)
    distinct, seed = np.unique(seeds, return_inverse=True)
    num_people, num_seeds = person.max() + 1, len(distinct)
    shares = np.zeros((num_people, num_seeds))
    np.add.at(shares, (person, seed), np.asarray(values, float) / np.bincount(seed)[seed])
    means = shares.sum(axis=0)  # (seed,)
    if num_seeds == 1:
        return SeedSpread(float(means[0]), 0.0, 0.0, 1, is_trained)
    # 2) What is left of the differences between seeds if each person has an equal part in them.
    weights = np.bincount(person) / len(person)
    left = shares - shares.mean(axis=1, keepdims=True) - np.outer(weights, means - means.mean())
    residual = (left**2).sum() / (num_seeds - 1) * num_people / max(1, num_people - 1)
    between = means.var(ddof=1)
    return SeedSpread(float(means.mean()), float(between), float(residual), num_seeds, is_trained)


def pool_noises(spreads: Sequence[SeedSpread], is_rate: bool) -> list[Noise]:
    """Compute how much chance in training moves each arm's mean.

    Each trained arm's variance between seeds, s2, is raised to the mean of all trained arms: it
    becomes (d0 s02 + d s2) / (d0 + d) if that is more, with d0 + d degrees of freedom, but no more
    than all trained arms have together. The fewer differences there are between their variances,
    the larger d0 is. An arm that is not trained, whose seeds change the solved questions of prompts
    alone, is treated in the same way, but its variance does not enter the mean. The residual is
    then subtracted, because it is among the variance of people already, but 1 / df of the variance
    always stays: with few degrees of freedom, the difference may be 0 by chance.

    A variance is never lowered: beside arms whose seeds hardly differ, such as those that know
    next to nothing, arms whose seeds differ much would seem to differ from each other in one pair
    of ten (`python benchmarks/coverage.py unequal`).

    Args:
        spreads: of all arms of a table.
        is_rate: whether variances grow with m (1 - m), where m is the mean.

    Source: Smyth, Linear Models and Empirical Bayes Methods (2004), section 6.2, for d0. It departs
    in s02, which is a plain mean here, so that seeds that agree by chance do not lower it, and in
    that no variance is lowered.
    """
    means, between, residual = (
        np.array([getattr(spread, name) for spread in spreads])
        for name in ("mean", "between", "residual")
    )
    seeds = np.array([spread.seeds for spread in spreads])
    # 1) Find the trained arms that have several seeds, and make their variances comparable.
    df = np.array(seeds - 1.0)
    scales = np.maximum(means * (1 - means), SMALLEST_SCALE) if is_rate else np.ones(len(means))
    ratios = between / scales
    is_trained = np.array([spread.is_trained for spread in spreads])
    is_pooled = is_trained & (seeds > 1)
    # 2) Shrink the variances, those of arms with one seed included.
    if is_pooled.sum() > 1 and ratios[is_pooled].any():
        pooled, pooled_df = ratios[is_pooled].mean(), df[is_pooled].sum()
        prior_df = _estimate_prior_df(ratios[is_pooled], df[is_pooled])
        shrunk = (prior_df * pooled + df * ratios) / (prior_df + df)
        ratios = np.maximum(ratios, shrunk)  # steady arms do not calm one that varies
        df = np.minimum(prior_df + df, pooled_df)
    # 3) Subtract what people's variance contains.
    variances = scales * ratios
    left = np.maximum(variances - residual, variances / np.maximum(df, 1))
    return [Noise(*map(float, row)) for row in zip(left / seeds, np.maximum(df, 1), strict=True)]


def _estimate_prior_df(variances: np.ndarray, df: np.ndarray) -> float:
    """Estimate d0 from the variance of log variances; very large if they hardly differ."""
    floor = SMALLEST_RATIO * (np.median(variances) or variances.mean())
    logs = np.log(np.maximum(variances, floor)) - digamma(df / 2) + np.log(df / 2)
    excess = logs.var(ddof=1) - polygamma(1, df / 2).mean()
    if excess < 1e-3:
        return LARGE_DF
    from scipy.optimize import brentq  # takes a quarter of a second to import

    half = brentq(lambda half: polygamma(1, half) - excess, 1e-6, LARGE_DF)
    return float(2 * half)  # type: ignore[arg-type]


def combine_noises(first: Noise, second: Noise) -> Noise:
    """Combine the noises of two arms into that of their difference.

    The estimates of both share information, so their errors are added as if they were one. With
    equal degrees of freedom, the difference has as many.
    """
    variance = first.variance + second.variance
    error = first.variance / np.sqrt(first.df) + second.variance / np.sqrt(second.df)
    return Noise(variance, float((variance / error) ** 2) if error else np.inf)
