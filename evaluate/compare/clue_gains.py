"""Clue recall against gain: do arms whose copies keep more clues teach more?"""

import itertools
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
from elusive.evaluate.compare.metrics import choose_drawn_metrics

BASELINE = "random"
FEWEST_POINTS = 3
LEAST_RANGE = 1e-12
"""Of recalls or gains that are not alike."""
LARGEST = 1 - 1e-9
"""Of correlations on Fisher's scale, which ends at infinity."""
NORMAL_95 = 1.96
"""Standard deviations of half a 95% interval of the normal distribution."""


@dataclass(frozen=True)
class GainRow:
    """One arm and field: the clues that its copies keep, and its gain over random dropping."""

    arm: str
    field: str
    recall: float
    """Share of the copies that keep a mention of the name and the whole value."""
    gains: dict[str, float]
    """Gain over random by metric, the two of `choose_drawn_metrics`; rates in [-1, 1]."""


@dataclass(frozen=True)
class Correlation:
    """Correlation of clue recall and gain over arms and fields."""

    metric: str
    pearson: Estimate
    spearman: Estimate


@dataclass(frozen=True)
class ClueGains:
    """Rows of arms and fields, and the correlations over them."""

    rows: list[GainRow]
    correlations: list[Correlation]
    """Of each metric, except those whose gains are all alike, and of none if all recalls are."""


def measure_gains(
    arms: dict[str, list[CellResult]], dataset: DatasetFolder, run: Path, seed: int = 0
) -> ClueGains:
    """Measure each arm's clue recall by field, and its gain over random dropping.

    Left out are arms that drop nothing, whose recall says nothing, and random itself.

    Args:
        arms: cells by arm.
        dataset: the dataset, which has gold spans.
        run: folder that holds the training texts.
        seed: of the resampling.

    Raises:
        InputError: there is no arm `random`, or there are too few points for a correlation.
    """
    names = [name for name, cells in arms.items() if _is_dropping(cells) and name != BASELINE]
    if BASELINE not in arms or not names:
        lacking = BASELINE if BASELINE not in arms else "another arm that drops tokens"
        raise InputError(
            f"gains of arms that drop tokens are measured against {BASELINE!r}: run {lacking}, too"
        )
    stated = {fact.field for document in dataset.documents for fact in document.facts}
    asked = dict.fromkeys(p.field for p in arms[BASELINE][0].predictions)
    fields = [field for field in asked if field in stated]  # two hops join facts of two texts
    entities = sorted({p.entity for cell in arms[BASELINE] for p in cell.predictions})
    if len(names) * len(fields) < FEWEST_POINTS:
        raise InputError(
            f"a correlation over arms and fields needs at least {FEWEST_POINTS} points (got "
            f"{len(names) * len(fields)}): run more arms that drop tokens"
        )
    # 1) Compute recall and gain of every arm, field and entity.  # both (arm, field, entity)
    texts = find_training_texts(run)
    recall = np.stack(
        [_measure_recall(arms[name], texts, dataset, fields, entities) for name in names]
    )
    trained = [arms[BASELINE], *(arms[name] for name in names)]
    gains = {}
    for metric in choose_drawn_metrics(itertools.chain(*trained)):
        baseline = _average(arms[BASELINE], metric, fields, entities)
        scores = [_average(arms[name], metric, fields, entities) for name in names]
        gains[metric] = np.stack([score - baseline for score in scores])
    # 2) Average both over entities; one row per arm and field.
    rows = [
        GainRow(
            name,
            field,
            float(np.nanmean(recall[i, j])),
            {metric: float(np.nanmean(gain[i, j])) for metric, gain in gains.items()},
        )
        for i, name in enumerate(names)
        for j, field in enumerate(fields)
    ]
    # 3) Correlate over the rows, with intervals from resampled entities and seeds.
    weights = _resample_weights(len(entities), seed)
    correlations: list[Correlation] = []
    for metric, gain in gains.items():
        by_seed = [_average_seeds(cells, metric, fields, entities) for cells in trained]
        noise = _resample_seeds(by_seed, seed)
        correlations += _correlate(metric, recall, gain, weights, noise)
    return ClueGains(rows, correlations)


def _is_dropping(cells: list[CellResult]) -> bool:
    return drops_tokens(cells[0].parameters["augment"]["method"])


def _measure_recall(
    cells: list[CellResult],
    texts: dict[str, TrainingTextFolder],
    dataset: DatasetFolder,
    fields: list[str],
    entities: list[str],
) -> np.ndarray:
    """Compute the share of an arm's copies that keep the clue.  # (field, entity)."""
    kept: dict[tuple[str, str], list[float]] = defaultdict(list)
    for cell in cells:
        folder = texts.get(cell.parameters["train"])
        if folder is None:
            raise InputError(f"the training text of {cell.folder.name} is missing: rerun the plan")
        documents = {source.doc_id: source for source in folder.get_sources(dataset.documents)}
        for text in folder.read_texts():
            document = documents[text.doc_id]
            if text.copy > 0:
                for fact in document.facts:
                    kept[fact.field, document.entity].append(keeps_clue(text, document, fact))
    return np.array([[_mean(kept[field, entity]) for entity in entities] for field in fields])


def keeps_clue(text: TrainingText, document: Document, fact: Fact) -> bool:
    """Whether a copy keeps a mention of the entity and the whole value of a fact."""
    return any(_is_kept(span, text.kept) for span in document.heads) and _is_kept(
        (fact.start, fact.end), text.kept
    )


def _is_kept(span: Span, kept: list[Span]) -> bool:
    return any(start <= span[0] and span[1] <= end for start, end in kept)


def _average(
    cells: list[CellResult], metric: str, fields: list[str], entities: list[str]
) -> np.ndarray:
    """Average a metric over an arm's questions and seeds.  # (field, entity)."""
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    for cell in cells:
        for prediction in cell.predictions:
            values[prediction.field, prediction.entity].append(getattr(prediction, metric))
    return np.array([[_mean(values[field, entity]) for entity in entities] for field in fields])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else np.nan


def _resample_weights(count: int, seed: int) -> np.ndarray:
    """Sample how often each resample draws each entity.  # (1 + resample, entity).

    The first row is the original sample: each entity once.
    """
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    return np.vstack([np.ones(count), draws])


def _average_seeds(
    cells: list[CellResult], metric: str, fields: list[str], entities: list[str]
) -> np.ndarray:
    """Average a metric over entities, for each seed.  # (seed, field)."""
    return np.stack([np.nanmean(_average([c], metric, fields, entities), axis=1) for c in cells])


def _resample_seeds(by_seed: list[np.ndarray], seed: int) -> np.ndarray:
    """Sample how far resampled seeds move the gains.  # (1 + resample, arm x field).

    Each arm's seeds are resampled for themselves, since its trainings are. A bootstrap over n seeds
    has (n - 1) / n of the variance, so deviations are scaled up. With one seed, all are 0, as they
    are in the first row.

    Args:
        by_seed: means of the baseline and of each arm, which may have other seeds.
            # each (seed, field)
        seed: of the resampling.
    """
    rng = np.random.default_rng([seed, 1])
    moved = []
    for means in by_seed:
        count = len(means)
        draws = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES) / count
        scale = np.sqrt(count / (count - 1)) if count > 1 else 0.0
        moved.append(scale * draws @ (means - means.mean(axis=0)))  # (resample, field)
    noise = np.concatenate([arm - moved[0] for arm in moved[1:]], axis=1)
    return np.vstack([np.zeros(noise.shape[1]), noise])


def _correlate(
    metric: str, recall: np.ndarray, gains: np.ndarray, weights: np.ndarray, noise: np.ndarray
) -> list[Correlation]:
    """Correlate recall and gain over arms and fields, with intervals from resamples.

    Returns nothing if all recalls, or all gains, are alike: then there is no correlation.

    Args:
        metric: name of the metric of the gains.
        recall: of each arm, field and entity.  # (arm, field, entity)
        gains: of the same.  # (arm, field, entity)
        weights: how often each entity is drawn; the first row is 1.  # (1 + resample, entity)
        noise: how far seeds move the gains; the first row is 0.  # (1 + resample, arm x field)
    """
    xs, ys = (_weight_means(values, weights) for values in (recall, gains))  # (resample, point)
    if np.ptp(xs[0]) < LEAST_RANGE or np.ptp(ys[0]) < LEAST_RANGE:
        return []
    ys = ys + noise
    pearson = _compute_pearson(xs, ys)
    spearman = _compute_pearson(rankdata(xs, axis=1), rankdata(ys, axis=1))
    return [Correlation(metric, _estimate(pearson), _estimate(spearman))]


def _weight_means(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average each point over weighted entities.  # (arm, field, entity) -> (resample, point)."""
    flat = values.reshape(-1, values.shape[-1])
    is_known = ~np.isnan(flat)
    sums = weights @ np.where(is_known, flat, 0.0).T
    return sums / np.maximum(weights @ is_known.T, 1e-12)


def _compute_pearson(xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Compute Pearson's correlation of each row; 0 if either is constant.  # (resample,)."""
    xs, ys = xs - xs.mean(1, keepdims=True), ys - ys.mean(1, keepdims=True)
    scale = np.sqrt((xs**2).sum(1) * (ys**2).sum(1))
    return np.where(scale > 1e-12, (xs * ys).sum(1) / np.maximum(scale, 1e-12), 0.0)


def _estimate(values: np.ndarray) -> Estimate:
    """Return the first correlation with a 95% interval from the others.

    Resampling adds noise to both variables, which pulls resampled correlations towards 0, so that
    their percentiles may leave out the correlation itself. The interval therefore also covers their
    spread laid around it, on Fisher's scale, where it depends least on where they lie.
    """
    scaled = np.arctanh(values.clip(-LARGEST, LARGEST))
    spread = np.tanh(scaled[0] + NORMAL_95 * scaled[1:].std() * np.array([-1, 1]))
    bounds = [values[0], *spread, *np.percentile(values[1:], [2.5, 97.5])]
    return Estimate(float(values[0]), float(min(bounds)), float(max(bounds)))
