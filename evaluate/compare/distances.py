"""Accuracy by the distance between a value and the name before it."""

import itertools
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from elusive.common.errors import InputError
from elusive.common.intervals import Estimate, estimate_mean
from elusive.evaluate.cells.cell_folder import CellResult

METRICS = ("em", "log_probability")
MOST_BINS = 6


@dataclass(frozen=True)
class DistanceRow:
    """Scores of one arm on questions whose value is a certain distance after the name."""

    arm: str
    first: int
    last: int
    """Range of distances in words, both ends included."""
    questions: int
    em: Estimate
    log_probability: Estimate


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
    rows = []
    for arm, predictions in with_distance.items():
        for first, last in bins:
            inside = [p for p in predictions if first <= (p.distance or 0) <= last]
            entities = [p.entity for p in inside]
            em, log_probability = (
                estimate_mean([getattr(p, metric) for p in inside], entities) for metric in METRICS
            )
            rows.append(DistanceRow(arm, first, last, len(inside), em, log_probability))
    fields: dict[tuple[int, int], set[str]] = defaultdict(set)
    for prediction in itertools.chain(*with_distance.values()):
        for first, last in bins:
            if first <= (prediction.distance or 0) <= last:
                fields[first, last].add(prediction.field)
    return rows, [", ".join(sorted(fields[pair])) for pair in bins]


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
