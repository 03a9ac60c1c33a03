"""Metrics that arms are ranked by, and how their numbers are written."""

from collections.abc import Sequence
from dataclasses import dataclass

from elusive.common.dataset.records import Prediction


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


def has_metric(predictions: Sequence[Prediction], metric: str) -> bool:
    """Whether some of the answers have a metric; those of earlier versions lack `forced_choice`."""
    return any(getattr(prediction, metric) is not None for prediction in predictions)
