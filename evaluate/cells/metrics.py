"""Compute the metrics of a cell's answers, and write them into its folder."""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from elusive.common.dataset.records import Prediction, to_table
from elusive.common.folders import write_atomically
from elusive.common.memory import Cost
from elusive.evaluate.cells.cell_folder import KNOWN, PREDICTIONS

if TYPE_CHECKING:  # so that rescoring does not import PyTorch
    from elusive.evaluate.training.train import TrainingLog

SCORES = ("em", "f1", "opens", "contains", "log_probability", "forced_choice")
RATES = ("em", "f1", "forced_choice")
"""Metrics in [0, 1], whose variance grows towards a mean of one half."""
BREAKDOWNS: dict[str, Callable[[Prediction], object]] = {
    "field": lambda prediction: prediction.field,
    "kind": lambda prediction: prediction.kind,
    "distance": lambda prediction: prediction.distance,
    "position": lambda prediction: prediction.position,
    "phrasing": lambda prediction: "held out" if prediction.held_out else "seen",
    "hops": lambda prediction: prediction.hops,
}
"""Name and key of each breakdown."""


@dataclass
class Outcome:
    """Outcome of making a cell."""

    predictions: list[Prediction]
    known: list[Prediction] = field(default_factory=list)
    known_perplexity: float | None = None
    log: "TrainingLog | None" = None
    drop_rate: float = 0.0
    costs: dict[str, Cost] = field(default_factory=dict)
    """By stage."""
    threads: int | None = None
    """CPU threads of training and answering; None if a server did the computing."""
    device: str | None = None
    """GPU, or vector instructions of the CPU; None if a server did the computing."""


def compute_mean_scores(predictions: list[Prediction]) -> dict[str, Any]:
    """Compute the mean of each score over the answers that have it.

    A score that none has, as the forced choice of cells of earlier versions, is left out.
    """
    means: dict[str, Any] = {}
    for name in SCORES:
        values = [value for p in predictions if (value := getattr(p, name)) is not None]
        if values:
            means[name] = sum(values) / len(values)
    return means | {"questions": len(predictions)}


def has_metric(predictions: list[Prediction], metric: str) -> bool:
    """Whether some of the answers have a metric; those of earlier versions lack `forced_choice`."""
    return any(getattr(prediction, metric) is not None for prediction in predictions)


def compute_metrics(predictions: list[Prediction]) -> dict[str, Any]:
    """Compute mean scores of all answers, and for each group of every breakdown.

    Distance is the number of words from the name to the value; position is the sentence that states
    the value. Questions that lack one are in the group `none`.
    """
    breakdowns = {name: _break_down(predictions, key) for name, key in BREAKDOWNS.items()}
    return compute_mean_scores(predictions) | {"by": breakdowns}


def _break_down(
    predictions: list[Prediction], key: Callable[[Prediction], object]
) -> dict[str, dict[str, Any]]:
    groups: dict[object, list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        groups[key(prediction)].append(prediction)
    ordered = sorted(groups, key=lambda name: (isinstance(name, str), name is None, name or 0))
    return {
        "none" if name is None else str(name): compute_mean_scores(groups[name]) for name in ordered
    }


def write_results(folder: Path, outcome: Outcome) -> None:
    """Write predictions as Parquet, and metrics, training log and costs as JSON."""
    write_predictions(folder, outcome.predictions, outcome.known, outcome.known_perplexity)
    costs = {
        "seconds": {stage: cost.seconds for stage, cost in outcome.costs.items()},
        "peak_memory_mib": {stage: cost.peak_memory_mib for stage, cost in outcome.costs.items()},
        "drop_rate": outcome.drop_rate,
        "training_tokens": outcome.log.tokens if outcome.log else 0,
        "questions": len(outcome.predictions),
        "threads": outcome.threads,
        "device": outcome.device,
    }
    contents = {"training_log": asdict(outcome.log) if outcome.log else None, "costs": costs}
    for name, content in contents.items():
        write_atomically(folder / f"{name}.json", json.dumps(content, indent=2) + "\n")


def write_predictions(
    folder: Path, answers: list[Prediction], known: list[Prediction], perplexity: float | None
) -> None:
    """Write answers and their metrics."""
    pq.write_table(to_table(answers, Prediction), folder / PREDICTIONS)
    metrics = compute_metrics(answers)
    if known:
        pq.write_table(to_table(known, Prediction), folder / KNOWN)
        metrics["known"] = compute_mean_scores(known) | {"perplexity": perplexity}
    write_atomically(folder / "metrics.json", json.dumps(metrics, indent=2) + "\n")
