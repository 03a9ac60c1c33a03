"""Clue recall against gain: whether arms whose copies keep more clues teach more."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from elusive.augment.arms import drops_tokens
from elusive.augment.training_text import TrainingTextFolder, find_training_texts
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.dataset.records import Document, Fact, Span, TrainingText
from elusive.common.errors import InputError
from elusive.common.intervals import RESAMPLES, Estimate
from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.compare.distances import METRICS
from elusive.evaluate.config import UNTRAINED

BASELINE = "random"
FEWEST_POINTS = 3


@dataclass(frozen=True)
class GainRow:
    """One arm and field: what its copies keep, and what it gains over random dropping."""

    arm: str
    field: str
    recall: float
    """Share of the copies that keep a name and the value whole."""
    em: float
    """Gain in exact match over random, in [-1, 1]."""
    log_probability: float
    """Gain in gold log-probability over random, in nats per token."""


@dataclass(frozen=True)
class Correlation:
    """How clue recall and gain vary together over arms and fields."""

    metric: str
    pearson: Estimate
    spearman: Estimate


@dataclass(frozen=True)
class ClueGains:
    """Clue recall against gain."""

    rows: list[GainRow]
    correlations: list[Correlation]


def measure_gains(
    arms: dict[str, list[CellResult]], dataset: DatasetFolder, run: Path, seed: int = 0
) -> ClueGains:
    """Clue recall of each arm's copies, by field, against what it gains over random dropping.

    Arms that drop nothing have no recall and are left out; random gains nothing over itself.

    Args:
        arms: cells by arm.
        dataset: with gold spans.
        run: folder that holds the training texts.
        seed: of the resampling.

    Raises:
        InputError: no arm `random`, or too few points for a correlation.
    """
    names = [name for name, cells in arms.items() if _is_dropping(cells) and name != BASELINE]
    if BASELINE not in arms or not names:
        raise InputError(
            f"clue recall is compared with {BASELINE!r}: run it and other arms that drop tokens"
        )
    fields = list(dict.fromkeys(p.field for p in arms[BASELINE][0].predictions))
    entities = sorted({p.entity for cell in arms[BASELINE] for p in cell.predictions})
    if len(names) * len(fields) < FEWEST_POINTS:
        raise InputError(
            f"a correlation over arms and fields needs {FEWEST_POINTS} points "
            f"(got {len(names) * len(fields)})"
        )
    # 1) Recall and gain of every arm, field and entity.  # each (arm, field, entity)
    texts = find_training_texts(run)
    recall = np.stack(
        [_measure_recall(arms[name], texts, dataset, fields, entities) for name in names]
    )
    gains = {}
    for metric in METRICS:
        baseline = _average(arms[BASELINE], metric, fields, entities)
        scores = [_average(arms[name], metric, fields, entities) for name in names]
        gains[metric] = np.stack([score - baseline for score in scores])
    # 2) Their means over entities, one row per arm and field.
    rows = [
        GainRow(name, field, *(float(np.nanmean(m[i, j])) for m in (recall, *gains.values())))
        for i, name in enumerate(names)
        for j, field in enumerate(fields)
    ]
    # 3) Correlations over the rows, with intervals from resampled entities.
    weights = _resample_weights(len(entities), seed)
    correlations = [_correlate(metric, recall, gains[metric], weights) for metric in METRICS]
    return ClueGains(rows, correlations)


def _is_dropping(cells: list[CellResult]) -> bool:
    method = cells[0].parameters["augment"]["method"]
    return method != UNTRAINED and drops_tokens(method)


def _measure_recall(
    cells: list[CellResult],
    texts: dict[str, TrainingTextFolder],
    dataset: DatasetFolder,
    fields: list[str],
    entities: list[str],
) -> np.ndarray:
    """Share of an arm's copies that keep a name and the value, all seeds.  # (field, entity)."""
    kept: dict[tuple[str, str], list[float]] = defaultdict(list)
    documents = {document.doc_id: document for document in dataset.documents}
    for cell in cells:
        folder = texts.get(cell.parameters["train"])
        if folder is None:
            raise InputError(
                f"the training text of {cell.folder.name} is missing: run the plan again"
            )
        for text in folder.texts:
            document = documents[text.doc_id]
            if text.copy > 0:
                for fact in document.facts:
                    kept[fact.field, document.entity].append(keeps_clue(text, document, fact))
    return np.array([[_mean(kept[field, entity]) for entity in entities] for field in fields])


def keeps_clue(text: TrainingText, document: Document, fact: Fact) -> bool:
    """Whether a copy keeps a mention of the entity and the fact's value whole."""
    return any(_is_kept(span, text.kept) for span in document.heads) and _is_kept(
        (fact.start, fact.end), text.kept
    )


def _is_kept(span: Span, kept: list[Span]) -> bool:
    return any(start <= span[0] and span[1] <= end for start, end in kept)


def _average(
    cells: list[CellResult], metric: str, fields: list[str], entities: list[str]
) -> np.ndarray:
    """Mean of a metric over an arm's questions and seeds.  # (field, entity)."""
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    for cell in cells:
        for prediction in cell.predictions:
            values[prediction.field, prediction.entity].append(getattr(prediction, metric))
    return np.array([[_mean(values[field, entity]) for entity in entities] for field in fields])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else np.nan


def _resample_weights(count: int, seed: int) -> np.ndarray:
    """How often each entity is drawn; the first row is everybody once.  # (resample, entity)."""
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    return np.vstack([np.ones(count), draws])


def _correlate(
    metric: str, recall: np.ndarray, gains: np.ndarray, weights: np.ndarray
) -> Correlation:
    """Correlations over the points, with percentile intervals over entities.

    Args:
        metric: its name.
        recall: of each arm, field and entity.  # (arm, field, entity)
        gains: of the same.
        weights: of entities, everybody once in the first row.  # (resample, entity)
    """
    xs, ys = (_weight_means(values, weights) for values in (recall, gains))  # (resample, point)
    pearson = _compute_pearson(xs, ys)
    spearman = _compute_pearson(rankdata(xs, axis=1), rankdata(ys, axis=1))
    return Correlation(metric, _estimate(pearson), _estimate(spearman))


def _weight_means(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean over entities of each point.  # (arm, field, entity) -> (resample, point)."""
    flat = values.reshape(-1, values.shape[-1])
    is_known = ~np.isnan(flat)
    sums = weights @ np.where(is_known, flat, 0.0).T
    return sums / np.maximum(weights @ is_known.T, 1e-12)


def _compute_pearson(xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Pearson's correlation of each row; 0 where one is constant.  # (resample,)."""
    xs, ys = xs - xs.mean(1, keepdims=True), ys - ys.mean(1, keepdims=True)
    scale = np.sqrt((xs**2).sum(1) * (ys**2).sum(1))
    return np.where(scale > 1e-12, (xs * ys).sum(1) / np.maximum(scale, 1e-12), 0.0)


def _estimate(values: np.ndarray) -> Estimate:
    """The first value, with the 95% interval of the others."""
    low, high = np.percentile(values[1:], [2.5, 97.5])
    return Estimate(float(values[0]), float(low), float(high))
