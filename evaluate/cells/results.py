"""Metrics of answers, written into a cell's folder, and scored again without any model."""

import json
import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from elusive.common.answers import score_answer, scoring_hash
from elusive.common.dataset.records import Prediction, to_table
from elusive.common.errors import InputError
from elusive.common.folders import write_atomically, write_manifest
from elusive.common.memory import Cost
from elusive.evaluate.answering.hf_metric import ClosedBookQA
from elusive.evaluate.cells.cell import KNOWN, PREDICTIONS, CellResult, cell_folder, load_cell
from elusive.evaluate.training.train import TrainingLog

KINDS: dict[str, Callable[[Prediction], object]] = {
    "field": lambda p: p.field,
    "kind": lambda p: p.kind,
    "distance": lambda p: p.distance,
    "position": lambda p: p.position,
    "phrasing": lambda p: "held out" if p.held_out else "seen",
    "hops": lambda p: p.hops,
}
"""What results are broken down by."""


@dataclass
class Outcome:
    """What a cell led to."""

    predictions: list[Prediction]
    known: list[Prediction] = field(default_factory=list)
    known_perplexity: float | None = None
    log: TrainingLog | None = None
    drop_rate: float = 0.0
    costs: dict[str, Cost] = field(default_factory=dict)
    """By stage."""
    threads: int | None = None
    """CPU threads of training and answering; None where a server computed."""


def mean_scores(predictions: list[Prediction]) -> dict[str, Any]:
    """Mean exact match, F1, answer recall and gold log-probability of some answers."""
    scores = ClosedBookQA(keep_in_memory=True).compute(
        predictions=[prediction.prediction for prediction in predictions],
        references=[prediction.answers for prediction in predictions],
    )
    assert scores is not None
    gold = sum(prediction.log_probability for prediction in predictions) / len(predictions)
    return scores | {"log_probability": gold, "questions": len(predictions)}


def metrics(predictions: list[Prediction]) -> dict[str, Any]:
    """Mean scores of all answers, and by field, kind, distance, position, phrasing and hops.

    Distance is in words from the name to the value, position the sentence that states it; questions
    without either stand under `none`.
    """
    return mean_scores(predictions) | {
        "by": {name: _broken_down(predictions, key) for name, key in KINDS.items()}
    }


def _broken_down(
    predictions: list[Prediction], key: Callable[[Prediction], object]
) -> dict[str, dict[str, Any]]:
    """Mean scores by what a key gives."""
    groups: dict[object, list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        groups[key(prediction)].append(prediction)
    ordered = sorted(groups, key=lambda name: (isinstance(name, str), name is None, name or 0))
    return {"none" if name is None else str(name): _means(groups[name]) for name in ordered}


def _means(predictions: list[Prediction]) -> dict[str, Any]:
    """Mean of the stored scores."""
    names = ("em", "f1", "opens", "contains", "log_probability")
    count = len(predictions)
    means = {name: sum(getattr(p, name) for p in predictions) / count for name in names}
    return means | {"questions": count}


def write_results(folder: Path, outcome: Outcome) -> None:
    """Predictions as Parquet; metrics, training log and costs as JSON."""
    write_predictions(folder, outcome.predictions, outcome.known, outcome.known_perplexity)
    costs = {
        "seconds": {stage: cost.seconds for stage, cost in outcome.costs.items()},
        "peak_memory_mib": {stage: cost.peak_memory_mib for stage, cost in outcome.costs.items()},
        "drop_rate": outcome.drop_rate,
        "training_tokens": outcome.log.tokens if outcome.log else 0,
        "questions": len(outcome.predictions),
        "threads": outcome.threads,
    }
    contents = {"training_log": asdict(outcome.log) if outcome.log else None, "costs": costs}
    for name, content in contents.items():
        write_atomically(folder / f"{name}.json", json.dumps(content, indent=2) + "\n")


def write_predictions(
    folder: Path, answers: list[Prediction], known: list[Prediction], perplexity: float | None
) -> None:
    """Answers, and what follows from them."""
    pq.write_table(to_table(answers, Prediction), folder / PREDICTIONS)
    content = metrics(answers)
    if known:
        pq.write_table(to_table(known, Prediction), folder / KNOWN)
        content["known"] = mean_scores(known) | {"perplexity": perplexity}
    write_atomically(folder / "metrics.json", json.dumps(content, indent=2) + "\n")


def scored_again(predictions: list[Prediction]) -> list[Prediction]:
    """Answers with the scores that they get today."""
    return [
        replace(each, **score_answer(each.prediction, each.answers))  # type: ignore[arg-type]
        for each in predictions
    ]


def rescore(folder: Path) -> list[str]:
    """Score the stored answers of a run, or of a cell, anew; needs no model.

    A cell whose scores are those of today's scoring is left alone. The others get the name that
    their id asks for.

    Returns:
        Names of the cells that were scored again.

    Raises:
        InputError: no finished cells, or a damaged one.
    """
    single = (folder / PREDICTIONS).exists()
    manifests = sorted(folder.glob("cells/[!.]*/manifest.json"))
    paths = [folder] if single else [path.parent for path in manifests]
    if not paths:
        raise InputError(f"{folder} holds no finished cells: run `elusive run PLAN --out {folder}`")
    cells = [load_cell(path) for path in paths]
    changed = [cell for cell in cells if cell.parameters.get("scoring") != scoring_hash()]
    for cell in changed:
        parameters = cell.parameters | {"scoring": scoring_hash()}
        _replace(cell, parameters, folder if single else cell_folder(folder, parameters))
    return [cell.folder.name for cell in changed]


def _replace(cell: CellResult, parameters: dict[str, Any], target: Path) -> None:
    """Put a copy of a cell with today's scores in its place."""
    copied = cell.folder.with_name(f".{cell.folder.name}.rescored")
    shutil.rmtree(copied, ignore_errors=True)
    shutil.copytree(cell.folder, copied)
    perplexity = cell.metrics.get("known", {}).get("perplexity")
    write_predictions(copied, scored_again(cell.predictions), scored_again(cell.known), perplexity)
    write_manifest(copied, "cell", parameters)
    before = cell.folder.with_name(f".{cell.folder.name}.before")
    cell.folder.replace(before)
    copied.replace(target)
    shutil.rmtree(before)
