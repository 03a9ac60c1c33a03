"""The clue benchmark: how well scorers find names, values and relation words in a dataset."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations

import numpy as np

from elusive.augment.clues.heads import Head, measure_heads
from elusive.augment.clues.sentences import SentenceRow, measure_sentences, read_sentences
from elusive.augment.clues.targets import ClueMeasure, compute_rank_correlation, measure_clues
from elusive.augment.diagnostics import NOISE_LIMIT, POSITION_LIMIT
from elusive.augment.scores.alignment import contrast_scores
from elusive.augment.scores.layer_choice import choose_first_layers
from elusive.augment.scores.model_scores import score_heads
from elusive.augment.scores.token_scores import TokenScores
from elusive.common.dataset.records import Document
from elusive.common.intervals import COUNT, RATE, Estimate, estimate_mean
from elusive.common.lm.loading import LoadedModel, load_model

ALL, EVEN, ODD = slice(None), slice(0, None, 2), slice(1, None, 2)
"""Choices of heads: all of them, and the two halves."""
MEASURES = {"auroc": RATE, "recall": RATE, "mean_rank": COUNT}
"""Measures of clues, with their bounds."""


@dataclass(frozen=True)
class ClueScorer:
    """A score that the benchmark measures."""

    name: str
    score: Callable[[slice], list[TokenScores]]
    """Scores every document, using some of the heads.  # each (unit,)"""
    has_heads: bool = True


@dataclass(frozen=True)
class ClueRow:
    """How well one scorer finds one kind of clue."""

    scorer: str
    target: str
    documents: int
    auroc: Estimate
    recall: Estimate
    """Share of the clue's tokens among the ten highest scores."""
    mean_rank: Estimate


@dataclass(frozen=True)
class ScorerRow:
    """What can be said about a scorer as a whole."""

    scorer: str
    stability: float | None
    """Rank correlation between two halves of the heads, mean over documents; None if the scorer
    uses no heads."""
    position: float
    """Rank correlation with the position, where earlier is higher, mean over documents."""


@dataclass(frozen=True)
class LayerRow:
    """How well the attention of one layer finds names."""

    model: str
    layer: int
    auroc: Estimate


@dataclass(frozen=True)
class ClueReport:
    """The result of the benchmark."""

    rows: list[ClueRow]
    scorers: list[ScorerRow]
    layers: list[LayerRow]
    sentences: list[SentenceRow]
    seconds: dict[str, float]
    """Seconds that each model took to read all documents."""

    def as_json(self) -> dict[str, object]:
        """Return plain dicts, lists and numbers."""
        return asdict(self)

    def list_warnings(self) -> list[str]:
        """List what speaks against trusting a scorer, and what to do about it."""
        warnings = []
        for row in self.scorers:
            if row.scorer != "position" and row.position > POSITION_LIMIT:
                warnings.append(
                    f"{row.scorer}: tokens are ranked by position (correlation "
                    f"{row.position:.2f}): check that attention weights are summed over queries, "
                    "not over keys"
                )
            if row.stability is not None and row.stability < NOISE_LIMIT:
                other = "" if row.scorer.startswith("depth-contrast") else "depth-contrast, or "
                warnings.append(
                    f"{row.scorer}: two halves of the heads hardly agree (correlation "
                    f"{row.stability:.2f}): the score rests on few heads, or it is noise; try "
                    f"{other}other models"
                )
        return warnings


def run_clues(
    documents: list[Document],
    models: list[str],
    depth: float,
    load: Callable[[str], LoadedModel] = load_model,
    words: int = 2,
    heads: Sequence[Head] = (),
) -> ClueReport:
    """Score the documents under every model, and measure what each scorer finds.

    The scorers are attention and depth-contrast of each model, the contrast of each pair of models
    (the earlier one minus the later one), and the position; by sentence, also the best head.

    Args:
        documents: with gold spans.
        models: references, larger before smaller; only one is in memory at a time.
        depth: share of the layers, from the first, that depth-contrast subtracts.
        load: loads the model of a reference.
        words: most words of the spans that sentences could take up again.
        heads: single heads of the first model, to be measured by sentence, too.

    Raises:
        InputError: a model cannot be loaded or exposes no attention, or the first one lacks a head.
    """
    by_head, by_sentence, single = {}, {}, {}
    for name in models:
        loaded = load(name)
        single |= measure_heads(documents, name, loaded, words, heads if name == models[0] else ())
        by_head[name] = score_heads(documents, loaded)
        by_sentence[name] = read_sentences(documents, loaded, depth, words)
    scorers = list(_build_scorers(by_head, depth))
    rows = [row for scorer in scorers for row in _measure_scorer(documents, scorer)]
    layers = [
        row for name, scored in by_head.items() for row in _measure_layers(documents, name, scored)
    ]
    seconds = {
        name: sum((scores.seconds for scores in scored), 0.0) for name, scored in by_head.items()
    }
    sentences = measure_sentences(documents, by_sentence, words, single)
    described = [_describe_scorer(scorer) for scorer in scorers]
    return ClueReport(rows, described, layers, sentences, seconds)


def _build_scorers(by_head: dict[str, list[TokenScores]], depth: float) -> Iterator[ClueScorer]:
    for name, scored in by_head.items():
        yield ClueScorer(f"attention, {name}", partial(_average, scored))
        yield ClueScorer(f"depth-contrast, {name}", partial(_average, scored, depth=depth))
    for large, small in combinations(by_head, 2):
        contrast = partial(_contrast, by_head[large], by_head[small])
        yield ClueScorer(f"contrast, {large} - {small}", contrast)
    first = next(iter(by_head.values()))
    positions = [TokenScores(scores.units, -np.arange(len(scores.units))) for scores in first]
    yield ClueScorer("position", lambda heads: positions, has_heads=False)


def _average(
    scored: list[TokenScores], heads: slice, depth: float | None = None
) -> list[TokenScores]:
    """Average over layers and some heads; subtract the mean over the first layers, if any."""
    averages = []
    for scores in scored:
        by_layer = scores.scores[:, heads].mean(1)  # (layer, unit)
        mean = by_layer.mean(0)
        if depth is not None:
            mean = mean - by_layer[choose_first_layers(depth, len(by_layer))].mean(0)
        averages.append(TokenScores(scores.units, mean))
    return averages


def _contrast(
    large: list[TokenScores], small: list[TokenScores], heads: slice
) -> list[TokenScores]:
    pairs = zip(_average(large, heads), _average(small, heads), strict=True)
    return [contrast_scores(*pair) for pair in pairs]


def _measure_scorer(documents: list[Document], scorer: ClueScorer) -> Iterator[ClueRow]:
    measures: dict[str, list[tuple[str, ClueMeasure]]] = defaultdict(list)
    for document, scores in zip(documents, scorer.score(ALL), strict=True):
        for measure in measure_clues(document, scores.units, scores.scores):
            measures[measure.target].append((document.entity, measure))
    for target, pairs in measures.items():
        entities = [entity for entity, _ in pairs]
        estimates = {
            name: estimate_mean(
                [getattr(measure, name) for _, measure in pairs], entities, bounds=bounds
            )
            for name, bounds in MEASURES.items()
        }
        yield ClueRow(scorer.name, target, len(pairs), **estimates)


def _measure_layers(
    documents: list[Document], model: str, scored: list[TokenScores]
) -> Iterator[LayerRow]:
    for layer in range(len(scored[0].scores)):
        values, entities = [], []
        for document, scores in zip(documents, scored, strict=True):
            for measure in measure_clues(document, scores.units, scores.scores[layer].mean(0)):
                if measure.target == "name":
                    values.append(measure.auroc)
                    entities.append(document.entity)
        if values:
            yield LayerRow(model, layer, estimate_mean(values, entities, bounds=RATE))


def _describe_scorer(scorer: ClueScorer) -> ScorerRow:
    stability = None
    if scorer.has_heads:
        halves = zip(scorer.score(EVEN), scorer.score(ODD), strict=True)
        stability = _average_correlation((even.scores, odd.scores) for even, odd in halves)
    positions = ((s.scores, -np.arange(len(s.scores))) for s in scorer.score(ALL))
    return ScorerRow(scorer.name, stability, _average_correlation(positions))


def _average_correlation(pairs: Iterator[tuple[np.ndarray, np.ndarray]]) -> float:
    """Average the rank correlation of pairs of scores, one pair per document."""
    return float(np.mean([compute_rank_correlation(first, second) for first, second in pairs]))
