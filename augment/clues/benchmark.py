"""The clue benchmark: how well scorers find names, values and relation words, on one dataset."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np

from elusive.augment.clues.targets import found_clues, rank_correlation
from elusive.augment.diagnostics import NOISE_LIMIT, POSITION_LIMIT
from elusive.augment.scores.alignment import moved_scores
from elusive.augment.scores.layer_choice import chosen_indices
from elusive.augment.scores.scoring import TokenScores, score_heads
from elusive.common.dataset.records import Document, Span
from elusive.common.intervals import Estimate, mean_over_entities
from elusive.common.lm.loading import LoadedModel, load_model

ALL, EVEN, ODD = slice(None), slice(0, None, 2), slice(1, None, 2)
"""Heads of which scores are taken: all, and two halves."""
MEASURES = ("auroc", "recall", "mean_rank")


@dataclass(frozen=True)
class ClueScorer:
    """A scorer of the benchmark."""

    name: str
    units: list[list[Span]]
    """Droppable units of every document."""
    scores: Callable[[slice], list[np.ndarray]]
    """Scores of every document from some of the heads.  # each (unit,)"""


@dataclass(frozen=True)
class ClueRow:
    """How well one scorer finds one kind of clue."""

    scorer: str
    target: str
    documents: int
    auroc: Estimate
    recall: Estimate
    """Share of the clue among the ten highest scores."""
    mean_rank: Estimate


@dataclass(frozen=True)
class ScorerRow:
    """What else is known about a scorer."""

    scorer: str
    stability: float | None
    """Rank correlation between two halves of the heads, mean over documents; None without heads."""
    position: float
    """Rank correlation with the position, earlier being higher, mean over documents."""


@dataclass(frozen=True)
class LayerRow:
    """How well the attention of one layer finds names."""

    model: str
    layer: int
    auroc: Estimate


@dataclass(frozen=True)
class ClueReport:
    """The benchmark's result."""

    rows: list[ClueRow]
    scorers: list[ScorerRow]
    layers: list[LayerRow]
    seconds: dict[str, float]
    """Time that each model took to read all documents."""

    def as_json(self) -> dict[str, object]:
        """Plain lists and numbers."""
        return asdict(self)

    def warnings(self) -> list[str]:
        """What speaks against trusting a scorer, and what to do."""
        found = []
        for row in self.scorers:
            if row.scorer != "position" and row.position > POSITION_LIMIT:
                found.append(
                    f"{row.scorer}: ranks are those of the position (correlation "
                    f"{row.position:.2f}): are attention weights summed over keys, not queries?"
                )
            if row.stability is not None and row.stability < NOISE_LIMIT:
                found.append(
                    f"{row.scorer}: two halves of the heads hardly agree (correlation "
                    f"{row.stability:.2f}): few heads carry it, or it is noise; try other layers, "
                    "depth-contrast, or models further apart"
                )
        return found


def run_clues(
    documents: list[Document],
    models: list[str],
    depth: float,
    load: Callable[[str], LoadedModel] = load_model,
) -> ClueReport:
    """Score the documents under every model, and see what each scorer finds.

    Scorers: attention and depth-contrast of each model, the contrast of each pair in the order
    given (large before small), and the position.

    Args:
        documents: with gold spans.
        models: references, larger before smaller; one is in memory at a time.
        depth: share of the layers that depth-contrast subtracts.
        load: from a reference to the model.

    Raises:
        InputError: a model cannot be loaded or exposes no attention.
    """
    maps = {name: score_heads(documents, load(name)) for name in models}
    scorers = list(_scorers(maps, depth))
    rows = [row for scorer in scorers for row in _rows(documents, scorer)]
    layers = [row for name, scored in maps.items() for row in _layer_rows(documents, name, scored)]
    seconds = {name: sum(one.seconds for one in scored) for name, scored in maps.items()}
    return ClueReport(rows, [_scorer_row(scorer) for scorer in scorers], layers, seconds)


def _scorers(maps: dict[str, list[TokenScores]], depth: float) -> Iterator[ClueScorer]:
    """Every scorer, simple ones first."""
    for name, scored in maps.items():
        units = [one.units for one in scored]
        yield ClueScorer(f"attention, {name}", units, _mean_of(scored))
        yield ClueScorer(f"depth-contrast, {name}", units, _late_minus_early(scored, depth))
    names = list(maps)
    for first, large in enumerate(names):
        for small in names[first + 1 :]:
            units = [one.units for one in maps[large]]
            scores = _large_minus_small(maps[large], maps[small])
            yield ClueScorer(f"contrast, {large} - {small}", units, scores)
    units = [one.units for one in maps[names[0]]]
    yield ClueScorer("position", units, lambda heads: [-np.arange(len(u)) for u in units])


def _mean_of(scored: list[TokenScores]) -> Callable[[slice], list[np.ndarray]]:
    """Attention received, mean over layers and heads."""
    return lambda heads: [one.scores[:, heads].mean((0, 1)) for one in scored]


def _late_minus_early(
    scored: list[TokenScores], depth: float
) -> Callable[[slice], list[np.ndarray]]:
    """Mean over all layers minus over the first."""

    def scores(heads: slice) -> list[np.ndarray]:
        early = chosen_indices(f"0.0-{depth:.6f}", len(scored[0].scores), "layers")
        by_layer = [one.scores[:, heads].mean(1) for one in scored]
        return [one.mean(0) - one[early].mean(0) for one in by_layer]

    return scores


def _large_minus_small(
    large: list[TokenScores], small: list[TokenScores]
) -> Callable[[slice], list[np.ndarray]]:
    """Attention under the large model minus under the small one, on the large one's tokens."""

    def scores(heads: slice) -> list[np.ndarray]:
        pairs = zip(large, _mean_of(large)(heads), small, _mean_of(small)(heads), strict=True)
        return [
            by_large - moved_scores(by_small, other.units, one.units)
            for one, by_large, other, by_small in pairs
        ]

    return scores


def _rows(documents: list[Document], scorer: ClueScorer) -> Iterator[ClueRow]:
    """What one scorer finds, by kind of clue."""
    values: dict[str, list[tuple[str, tuple[float, ...]]]] = defaultdict(list)
    for document, units, scores in zip(documents, scorer.units, scorer.scores(ALL), strict=True):
        for found in found_clues(document, units, scores):
            numbers = tuple(getattr(found, measure) for measure in MEASURES)
            values[found.target].append((document.entity, numbers))
    for target, measured in values.items():
        entities = [entity for entity, _ in measured]
        columns = zip(*(numbers for _, numbers in measured), strict=True)
        estimates = [mean_over_entities(column, entities) for column in columns]
        named = dict(zip(MEASURES, estimates, strict=True))
        yield ClueRow(scorer.name, target, len(measured), **named)


def _layer_rows(
    documents: list[Document], model: str, scored: list[TokenScores]
) -> Iterator[LayerRow]:
    """How well each layer alone finds names."""
    for layer in range(len(scored[0].scores)):
        values, entities = [], []
        for document, one in zip(documents, scored, strict=True):
            for found in found_clues(document, one.units, one.scores[layer].mean(0)):
                if found.target == "name":
                    values.append(found.auroc)
                    entities.append(document.entity)
        if values:
            yield LayerRow(model, layer, mean_over_entities(values, entities))


def _scorer_row(scorer: ClueScorer) -> ScorerRow:
    """Stability over heads, and likeness to the position."""
    has_heads = scorer.name != "position"
    halves = zip(scorer.scores(EVEN), scorer.scores(ODD), strict=True)
    stability = _mean_correlation(halves) if has_heads else None
    positions = ((one, -np.arange(len(one))) for one in scorer.scores(ALL))
    return ScorerRow(scorer.name, stability, _mean_correlation(positions))


def _mean_correlation(pairs: Iterator[tuple[np.ndarray, np.ndarray]]) -> float:
    """Mean rank correlation of pairs of scores, one per document."""
    return float(np.mean([rank_correlation(one, other) for one, other in pairs]))
