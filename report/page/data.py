"""What the report page shows of one benchmark, as plain JSON; heavy statistics are made once."""

import math
from collections import defaultdict
from typing import Any

import numpy as np

from elusive.common.dataset.records import Fact
from elusive.common.errors import InputError
from elusive.common.intervals import Estimate, mean_over_entities
from elusive.evaluate.cells.cell import CellResult
from elusive.evaluate.compare.figure_data import DistanceRow, distance_rows
from elusive.evaluate.compare.table import named_cells, results
from elusive.evaluate.compare.table_columns import flat_table
from elusive.evaluate.config import LOSS_EVERY
from elusive.report.page.comparable import comparable_cells
from elusive.report.page.prose import cautions, design_facts, headline, trust_lines
from elusive.report.page.settings import arm_settings, package_versions_of

MOST_POINTS = 150
"""Points of a learning curve; more are thinned out."""


def benchmark_data(
    name: str, cells: list[CellResult], baseline: str | None = None, metric: str = "em"
) -> dict[str, Any]:
    """All that the page shows of a benchmark, but for what needs a run's texts.

    Args:
        name: of the benchmark.
        cells: all of it; those that cannot share a table yet are left out and named.
        baseline: as in `results`.
        metric: alike.

    Raises:
        InputError: the arms cannot share a table; no such baseline or metric.
    """
    kept, left_out = comparable_cells(cells)
    found = results(kept, baseline, metric)
    named = named_cells(kept)
    distance = _by_distance(named)
    settings = arm_settings(named)
    return {
        "name": name,
        "metric": metric,
        "baseline": found.baseline,
        "headline": headline(found),
        "facts": design_facts(found, kept),
        "cautions": cautions(found, distance.get("confounded", False)),
        "left_out": left_out,
        "how": trust_lines(found, kept),
        "rows": [_finite(row) for row in flat_table(found).to_pylist()],
        "fields": _by_field(named),
        "distance": distance,
        "curves": _curves(named),
        "settings": settings,
        "versions": package_versions_of(kept),
    }


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose infinite numbers, of intervals over one person, are none."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }


def numbers(estimate: Estimate) -> list[float | None]:
    """Mean, low and high, rounded; None for infinite ends."""
    ends = (estimate.mean, estimate.low, estimate.high)
    return [round(each, 5) if math.isfinite(each) else None for each in ends]


def _by_field(named: dict[str, list[CellResult]]) -> dict[str, Any]:
    """Exact match of every arm and field with its interval."""
    fields = list(dict.fromkeys(p.field for p in next(iter(named.values()))[0].predictions))
    found = {arm: _field_estimates(cells, fields) for arm, cells in named.items()}
    return {"names": fields, "em": found}


def _field_estimates(cells: list[CellResult], fields: list[str]) -> list[list[float | None]]:
    """Exact match of one arm, field by field."""
    answers: dict[str, list[tuple[float, str, int]]] = defaultdict(list)
    for cell in cells:
        for p in cell.predictions:
            answers[p.field].append((p.em, p.entity, cell.parameters["seed"]))
    columns = [list(zip(*answers[field], strict=True)) for field in fields]
    return [numbers(mean_over_entities(em, who, seeds)) for em, who, seeds in columns]  # type: ignore[arg-type]


def _by_distance(named: dict[str, list[CellResult]]) -> dict[str, Any]:
    """Accuracy of every arm by distance of the value from the name, or why there is none."""
    first = next(iter(named.values()))[0]
    facts = {
        p.question_id: Fact(p.field, p.answers[0], 0, 0, p.distance, p.position or 0)
        for p in first.predictions
    }
    try:
        rows, fields = distance_rows(named, facts)
    except InputError as reason:
        return {"why": str(reason)}
    of_first = [row for row in rows if row.arm == rows[0].arm]
    if len(of_first) < 2:
        return {"why": f"all values stand equally far from the name: {_words(of_first[0])} words"}
    return {
        "bins": [_words(row) for row in of_first],
        "fields": fields,
        "confounded": all("," not in each for each in fields) and len(set(fields)) == len(fields),
        "questions": [row.questions for row in of_first],
        **{
            metric: {
                arm: [numbers(getattr(row, metric)) for row in rows if row.arm == arm]
                for arm in named
            }
            for metric in ("em", "log_probability")
        },
    }


def _words(row: DistanceRow) -> str:
    """Distances of a bin."""
    return str(row.first) if row.first == row.last else f"{row.first} to {row.last}"


def _curves(named: dict[str, list[CellResult]]) -> dict[str, Any]:
    """Training loss of every trained arm over steps, mean over seeds, or why there is none."""
    found = {
        arm: _curve([cell.log["losses"] for cell in cells if cell.log and cell.log.get("losses")])
        for arm, cells in named.items()
    }
    found = {arm: curve for arm, curve in found.items() if curve}
    return {"loss": found} if found else {"why": "no cell has a training log with losses"}


def _curve(losses: list[list[float]]) -> list[list[float]]:
    """Steps and mean losses, as long as the shortest of the logs."""
    length = min(map(len, losses), default=0)
    if not length:
        return []
    means = np.mean([each[:length] for each in losses], axis=0)
    every = math.ceil(length / MOST_POINTS)
    points = [[index * LOSS_EVERY or 1, round(float(m), 4)] for index, m in enumerate(means)]
    return points[:-1:every] + points[-1:]
