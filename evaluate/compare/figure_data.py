"""Numbers behind the figures of a run: accuracy by distance, and clue recall against gain."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from elusive.augment.augment import load_training_texts
from elusive.augment.scores.scorers import NOT_DROPPING
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.dataset.records import Document, Fact, Span, TrainingText
from elusive.common.errors import InputError
from elusive.common.folders import read_manifest
from elusive.common.intervals import RESAMPLES, Estimate, mean_over_entities
from elusive.evaluate.cells.cell import CellResult
from elusive.evaluate.config import UNTRAINED

METRICS = ("em", "log_probability")
BASELINE = "random"
MOST_BINS = 6
FEWEST_POINTS = 3


@dataclass(frozen=True)
class DistanceRow:
    """How one arm answers questions whose value stands so many words behind the name."""

    arm: str
    first: int
    last: int
    """Distances in words, both included."""
    questions: int
    em: Estimate
    log_probability: Estimate


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
    """How clue recall and gain go together over arms and fields."""

    metric: str
    pearson: Estimate
    spearman: Estimate


@dataclass(frozen=True)
class Gains:
    """Clue recall against gain."""

    rows: list[GainRow]
    correlations: list[Correlation]


def distance_rows(
    named: dict[str, list[CellResult]], facts: dict[str, Fact]
) -> tuple[list[DistanceRow], list[str]]:
    """Accuracy of every arm by distance of the value from the name.

    Args:
        named: cells by arm.
        facts: what each question asks for.

    Returns:
        Rows, arm by arm and near before far, and the fields of each distance's bin.

    Raises:
        InputError: no question's value has a name before it.
    """
    distances = {key: fact.distance for key, fact in facts.items() if fact.distance is not None}
    asked = [
        distances[p.question_id]
        for cell in next(iter(named.values()))
        for p in cell.predictions
        if p.question_id in distances
    ]
    if not asked:
        raise InputError("no value of a question stands behind a name, so there are no distances")
    bins = distance_bins(asked)
    rows = []
    for arm, cells in named.items():
        predictions = [p for cell in cells for p in cell.predictions if p.question_id in distances]
        for first, last in bins:
            inside = [p for p in predictions if first <= distances[p.question_id] <= last]
            entities = [p.entity for p in inside]
            em, log_probability = (
                mean_over_entities([getattr(p, metric) for p in inside], entities)
                for metric in METRICS
            )
            rows.append(DistanceRow(arm, first, last, len(inside), em, log_probability))
    fields: dict[tuple[int, int], set[str]] = defaultdict(set)
    for key, distance in distances.items():
        for pair in bins:
            if pair[0] <= distance <= pair[1]:
                fields[pair].add(facts[key].field)
    return rows, [", ".join(sorted(fields[pair])) for pair in bins]


def distance_bins(distances: list[int]) -> list[tuple[int, int]]:
    """Bins of about equally many questions; a bin per distance where there are few.

    >>> distance_bins([3, 3, 9])
    [(3, 3), (9, 9)]
    """
    found = np.unique(distances)
    if len(found) <= MOST_BINS:
        return [(int(each), int(each)) for each in found]
    edges = np.unique(np.quantile(distances, np.linspace(0, 1, MOST_BINS + 1), method="nearest"))
    lasts = edges[1:]
    firsts = [edges[0], *(last + 1 for last in lasts[:-1])]
    return [(int(first), int(last)) for first, last in zip(firsts, lasts, strict=True)]


def gains(
    named: dict[str, list[CellResult]], dataset: DatasetFolder, run: Path, seed: int = 0
) -> Gains:
    """Clue recall of each arm's copies, by field, against what it gains over random dropping.

    Arms that drop nothing have no recall and are left out; random gains nothing over itself.

    Args:
        named: cells by arm.
        dataset: with gold spans.
        run: folder that holds the training texts.
        seed: of the resampling.

    Raises:
        InputError: no arm `random`, or too few points for a correlation.
    """
    arms = [arm for arm, cells in named.items() if _drops(cells) and arm != BASELINE]
    if BASELINE not in named or not arms:
        raise InputError(f"clue recall is set against {BASELINE!r}: run it and other dropping arms")
    fields = list(dict.fromkeys(p.field for p in named[BASELINE][0].predictions))
    entities = sorted({p.entity for cell in named[BASELINE] for p in cell.predictions})
    if len(arms) * len(fields) < FEWEST_POINTS:
        raise InputError(
            f"a correlation over arms and fields needs {FEWEST_POINTS} points "
            f"(got {len(arms) * len(fields)})"
        )
    texts = texts_by_hash(run)
    recall = np.stack([_recall(named[arm], texts, dataset, fields, entities) for arm in arms])
    rows: list[GainRow] = []
    scores = {
        metric: {arm: _scores(cells, metric, fields, entities) for arm, cells in named.items()}
        for metric in METRICS
    }
    gained = {
        metric: np.stack([of[arm] - of[BASELINE] for arm in arms]) for metric, of in scores.items()
    }
    for place, arm in enumerate(arms):
        for column, field in enumerate(fields):
            means = [float(np.nanmean(each[place, column])) for each in (recall, *gained.values())]
            rows.append(GainRow(arm, field, *means))
    weights = _resampled_weights(len(entities), seed)
    correlations = [_correlation(metric, recall, gained[metric], weights) for metric in METRICS]
    return Gains(rows, correlations)


def _drops(cells: list[CellResult]) -> bool:
    """Whether an arm drops tokens."""
    return cells[0].parameters["augment"]["method"] not in (UNTRAINED, *NOT_DROPPING)


def texts_by_hash(run: Path) -> dict[str, Path]:
    """Folders of training text by the hash of their content."""
    folders = [path.parent for path in sorted(run.glob("train/*/manifest.json"))]
    return {read_manifest(folder, "training text").content_hash: folder for folder in folders}


def _recall(
    cells: list[CellResult],
    texts: dict[str, Path],
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
            raise InputError(f"the training text of {cell.folder.name} is gone: run the plan again")
        for text in load_training_texts(folder):
            document = documents[text.doc_id]
            if text.copy > 0:
                for fact in document.facts:
                    kept[fact.field, document.entity].append(keeps_clue(text, document, fact))
    return np.array([[_mean(kept[field, one]) for one in entities] for field in fields])


def keeps_clue(text: TrainingText, document: Document, fact: Fact) -> bool:
    """Whether a copy keeps a mention of the entity and the fact's value whole."""
    return any(_is_kept(span, text.kept) for span in document.heads) and _is_kept(
        (fact.start, fact.end), text.kept
    )


def _is_kept(span: Span, kept: list[Span]) -> bool:
    """Whether a span lies in one that is kept."""
    return any(start <= span[0] and span[1] <= end for start, end in kept)


def _scores(
    cells: list[CellResult], metric: str, fields: list[str], entities: list[str]
) -> np.ndarray:
    """Mean of a metric over an arm's questions and seeds.  # (field, entity)."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for cell in cells:
        for p in cell.predictions:
            found[p.field, p.entity].append(getattr(p, metric))
    return np.array([[_mean(found[field, one]) for one in entities] for field in fields])


def _mean(values: list[float]) -> float:
    """Mean; no number of nothing."""
    return float(np.mean(values)) if values else np.nan


def _resampled_weights(count: int, seed: int) -> np.ndarray:
    """How often each entity is drawn; the first row is everybody once.  # (resample, entity)."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    return np.vstack([np.ones(count), drawn])


def _correlation(
    metric: str, recall: np.ndarray, gained: np.ndarray, weights: np.ndarray
) -> Correlation:
    """Correlations over the points, with percentile intervals over entities.

    Args:
        metric: its name.
        recall: of each arm, field and entity.  # (arm, field, entity)
        gained: alike.
        weights: of entities, everybody once in the first row.  # (resample, entity)
    """
    xs, ys = (_weighted_means(each, weights) for each in (recall, gained))  # (resample, point)
    pearson = _pearson(xs, ys)
    spearman = _pearson(rankdata(xs, axis=1), rankdata(ys, axis=1))
    return Correlation(metric, _estimate(pearson), _estimate(spearman))


def _weighted_means(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean over entities of each point.  # (arm, field, entity) -> (resample, point)."""
    flat = values.reshape(-1, values.shape[-1])
    known = ~np.isnan(flat)
    sums = weights @ np.where(known, flat, 0.0).T
    return sums / np.maximum(weights @ known.T, 1e-12)


def _pearson(xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Pearson's correlation of each row; 0 where one is constant.  # (resample,)."""
    xs, ys = xs - xs.mean(1, keepdims=True), ys - ys.mean(1, keepdims=True)
    scale = np.sqrt((xs**2).sum(1) * (ys**2).sum(1))
    return np.where(scale > 1e-12, (xs * ys).sum(1) / np.maximum(scale, 1e-12), 0.0)


def _estimate(values: np.ndarray) -> Estimate:
    """The first value, with the 95% interval of the others."""
    low, high = np.percentile(values[1:], [2.5, 97.5])
    return Estimate(float(values[0]), float(low), float(high))
