"""Metrics that arms are ranked by, and how their numbers are written."""

from collections.abc import Iterable
from dataclasses import dataclass

from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.cells.metrics import has_metric


@dataclass(frozen=True)
class Metric:
    """A numeric column of predictions, of which more is better."""

    name: str
    unit: str
    gain_unit: str
    """Unit of differences."""
    scale: int
    """Factor from the stored number to the unit."""
    digits: int
    """Decimals in tables."""


METRICS = {
    "em": Metric("exact match", "%", "EM points", 100, 0),
    "f1": Metric("F1", "%", "F1 points", 100, 0),
    "log_probability": Metric("gold log-probability", "nats per token", "nats per token", 1, 2),
    "forced_choice": Metric("forced choice", "%", "points", 100, 0),
}
"""By name of the column."""


def find_ranking_metric(cells: list[CellResult], metric: str) -> str:
    """Return a metric if all cells have it, else exact match: old entries lack the forced choice.

    An unknown metric is returned as it is.
    """
    is_lacking = metric in METRICS and any(not has_metric(c.predictions, metric) for c in cells)
    return "em" if is_lacking else metric


def choose_drawn_metrics(cells: Iterable[CellResult]) -> tuple[str, str]:
    """Choose the two metrics that figures show: exact match, and one that responds before it does.

    It is the forced choice, or the gold log-probability if some answer has no forced choice.
    """
    lacks = any(p.forced_choice is None for cell in cells for p in cell.predictions)
    return "em", "log_probability" if lacks else "forced_choice"
