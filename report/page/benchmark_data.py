"""Build the data that the report page shows of one benchmark, as plain JSON."""

import math
from functools import partial
from typing import Any

import numpy as np

from elusive.common.dataset.records import Prediction
from elusive.common.errors import InputError
from elusive.common.intervals import Estimate
from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.compare.distances import (
    DistanceRow,
    has_own_distances,
    measure_distances,
)
from elusive.evaluate.compare.groups import group_arms
from elusive.evaluate.compare.metrics import find_ranking_metric
from elusive.evaluate.compare.seed_noise import estimate_arms
from elusive.evaluate.compare.selection import select_comparable_cells
from elusive.evaluate.config import LOSS_EVERY
from elusive.evaluate.figures.arm_marks import mark_arms
from elusive.evaluate.tables.columns import build_arrow_table
from elusive.evaluate.tables.table import build_table
from elusive.report.page.answers_data import MOST_BYTES, build_answer_data
from elusive.report.page.prose import (
    explain_method,
    list_cautions,
    list_design_facts,
    write_headline,
)
from elusive.report.page.settings import collect_versions, describe_arms, find_links

MOST_POINTS = 150
"""Largest number of points of a learning curve; longer ones are thinned out."""


def build_benchmark_data(
    name: str,
    cells: list[CellResult],
    baseline: str | None = None,
    metric: str = "em",
    most_bytes: int = MOST_BYTES,
) -> dict[str, Any]:
    """Build all that the page shows of a benchmark, except what needs a run's texts.

    Args:
        name: of the benchmark.
        cells: all cells of the benchmark; those that cannot share a table yet are left out and
            listed.
        baseline: as in `build_table`.
        metric: as in `build_table`; exact match takes its place if a cell lacks it.
        most_bytes: largest size of the packed answers.

    Raises:
        InputError: the arms cannot share a table, or the baseline or metric is unknown.
    """
    kept, left_out = select_comparable_cells(cells)
    metric = find_ranking_metric(kept, metric)
    table = build_table(kept, baseline, metric)
    arms = group_arms(kept)
    distance = _build_distances(arms)
    return {
        "name": name,
        "metric": metric,
        "baseline": table.baseline,
        "headline": write_headline(table),
        "warning": table.warning,
        "links": find_links(kept),
        "arm_links": {},
        "marks": _list_marks(arms),
        "facts": list_design_facts(table, kept),
        "cautions": list_cautions(table, kept, distance.get("confounded", False)),
        "left_out": left_out,
        "how": explain_method(table, kept),
        "rows": [_remove_infinities(row) for row in build_arrow_table(table).to_pylist()],
        "fields": _build_fields(arms),
        "distance": distance,
        "curves": _build_curves(arms),
        "answers": build_answer_data(arms, most_bytes),
        "settings": describe_arms(arms),
        "versions": collect_versions(kept),
    }


def _list_marks(arms: dict[str, list[CellResult]]) -> dict[str, list[Any]]:
    """List the family, the shape and whether it is hollow of each arm's mark."""
    marks = mark_arms(arms)
    return {arm: [mark.family, mark.shape, mark.hollow] for arm, mark in marks.items()}


def _remove_infinities(row: dict[str, Any]) -> dict[str, Any]:
    """Replace infinite numbers, which intervals over one person have, by None."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }


def list_numbers(estimate: Estimate) -> list[float | None]:
    """List mean, low and high, rounded; None stands for infinite ends."""
    ends = (estimate.mean, estimate.low, estimate.high)
    return [round(end, 7) if math.isfinite(end) else None for end in ends]


def _build_fields(arms: dict[str, list[CellResult]]) -> dict[str, Any]:
    """Estimate the exact match of every arm and field."""
    fields = list(dict.fromkeys(p.field for p in next(iter(arms.values()))[0].predictions))
    estimates = [estimate_arms(arms, "em", partial(_is_about, field)) for field in fields]
    em = {arm: [list_numbers(by_arm[arm]) for by_arm in estimates] for arm in arms}
    return {"names": fields, "em": em}


def _is_about(field: str, prediction: Prediction) -> bool:
    return prediction.field == field


def _build_distances(arms: dict[str, list[CellResult]]) -> dict[str, Any]:
    """Measure accuracy by distance of the value from the name, or say why it is missing."""
    try:
        rows, fields = measure_distances(arms)
    except InputError as reason:
        return {"why": str(reason)}
    first_rows = [row for row in rows if row.arm == rows[0].arm]
    if len(first_rows) < 2:
        distance = _format_distance(first_rows[0])
        return {"why": f"all values are at the same distance from the name: {distance} words"}
    return {
        "bins": [_format_distance(row) for row in first_rows],
        "fields": fields,
        "confounded": has_own_distances(arms),
        "questions": [row.questions for row in first_rows],
        "scores": {
            metric: {
                arm: [list_numbers(row.scores[metric]) for row in rows if row.arm == arm]
                for arm in arms
            }
            for metric in rows[0].scores
        },
    }


def _format_distance(row: DistanceRow) -> str:
    return str(row.first) if row.first == row.last else f"{row.first}\u2013{row.last}"


def _build_curves(arms: dict[str, list[CellResult]]) -> dict[str, Any]:
    """Average every trained arm's loss curve over seeds, or say why there is none."""
    curves = {
        arm: _average_curve(
            [cell.log["losses"] for cell in cells if cell.log and cell.log.get("losses")]
        )
        for arm, cells in arms.items()
    }
    curves = {arm: curve for arm, curve in curves.items() if curve}
    return {"loss": curves} if curves else {"why": "no cell has a training log with losses"}


def _average_curve(losses: list[list[float]]) -> list[list[float]]:
    """Average losses over logs, up to the length of the shortest: pairs of step and loss."""
    length = min(map(len, losses), default=0)
    if not length:
        return []
    means = np.mean([log[:length] for log in losses], axis=0)
    stride = math.ceil(length / MOST_POINTS)
    points = [[index * LOSS_EVERY or 1, round(float(mean), 4)] for index, mean in enumerate(means)]
    return points[:-1:stride] + points[-1:]
