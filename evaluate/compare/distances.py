"""Accuracy by the distance between a value and the name before it."""

import itertools
from collections import defaultdict
from dataclasses import dataclass
from functools import partial

import numpy as np

from elusive.common.dataset.records import Prediction
from elusive.common.errors import InputError
from elusive.common.intervals import Estimate
from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.compare.metrics import choose_drawn_metrics
from elusive.evaluate.compare.seed_noise import estimate_arms

MOST_BINS = 6


@dataclass(frozen=True)
class DistanceRow:
    """Scores of one arm on questions whose value is a certain distance after the name."""

    arm: str
    first: int
    last: int
    """Range of distances in words, both ends included."""
    questions: int
    scores: dict[str, Estimate]
    """By metric, the two of `choose_drawn_metrics`."""


def measure_distances(arms: dict[str, list[CellResult]]) -> tuple[list[DistanceRow], list[str]]:
    """Measure the accuracy of every arm by distance.

    Returns:
        Rows by arm, then by increasing distance; and for each bin, the names of the fields in it.

    Raises:
        InputError: no value has a mention of the name before it.
    """
    with_distance = {
        arm: [p for cell in cells for p in cell.predictions if p.distance is not None]
        for arm, cells in arms.items()
    }
    distances = [prediction.distance or 0 for prediction in next(iter(with_distance.values()))]
    if not distances:
        raise InputError("no value has a mention of the name before it, so there are no distances")
    bins = choose_distance_bins(distances)
    metrics = choose_drawn_metrics(itertools.chain(*arms.values()))
    estimates = {
        (pair, metric): estimate_arms(arms, metric, partial(_is_inside, pair))
        for pair in bins
        for metric in metrics
    }
    rows = []
    for arm, predictions in with_distance.items():
        for pair in bins:
            asked = {p.question_id for p in predictions if _is_inside(pair, p)}
            scores = {metric: estimates[pair, metric][arm] for metric in metrics}
            rows.append(DistanceRow(arm, *pair, len(asked), scores))
    fields: dict[tuple[int, int], set[str]] = defaultdict(set)
    for prediction in itertools.chain(*with_distance.values()):
        for pair in bins:
            if _is_inside(pair, prediction):
                fields[pair].add(prediction.field)
    return rows, [", ".join(sorted(fields[pair])) for pair in bins]


def has_own_distances(arms: dict[str, list[CellResult]]) -> bool:
    """Whether no two fields have a distance in common, so that the two cannot be told apart."""
    fields: dict[int, set[str]] = defaultdict(set)
    for cell in itertools.chain(*arms.values()):
        for prediction in cell.predictions:
            if prediction.distance is not None:
                fields[prediction.distance].add(prediction.field)
    has_several = len(set().union(*fields.values())) > 1
    return has_several and all(len(names) == 1 for names in fields.values())


def _is_inside(pair: tuple[int, int], prediction: Prediction) -> bool:
    return prediction.distance is not None and pair[0] <= prediction.distance <= pair[1]


def choose_distance_bins(distances: list[int]) -> list[tuple[int, int]]:
    """Choose bins with about equal numbers of questions; few distances get a bin each.

    >>> choose_distance_bins([3, 3, 9])
    [(3, 3), (9, 9)]
    """
    distinct = np.unique(distances)
    if len(distinct) <= MOST_BINS:
        return [(int(distance), int(distance)) for distance in distinct]
    edges = np.unique(np.quantile(distances, np.linspace(0, 1, MOST_BINS + 1), method="nearest"))
    lasts = edges[1:]
    firsts = [edges[0], *(last + 1 for last in lasts[:-1])]
    return [(int(first), int(last)) for first, last in zip(firsts, lasts, strict=True)]
