"""The head that finds names best: chosen on some entities, measured on the others."""

from collections.abc import Iterator

import numpy as np

from elusive.augment.clues.sentences import ALL, SentenceRow, list_counted
from elusive.augment.scores.sentence_scores import score_sentences_by_head
from elusive.augment.sentences.candidates import find_candidates, score_words
from elusive.common.dataset.records import Document
from elusive.common.intervals import estimate_mean
from elusive.common.lm.loading import LoadedModel

TOGETHER = 16
"""Documents whose scores by head are in memory at a time."""


def measure_best_head(
    documents: list[Document], name: str, loaded: LoadedModel, words: int
) -> list[SentenceRow]:
    """Measure how often the span that a sentence attends to most in one head is a mention.

    A head chosen on the same sentences would look better than it is. So the head of each half of
    the entities is the one that is best on the other half. The row is named after the layer and
    the head that are best on all.

    Args:
        documents: with gold spans.
        name: of the model.
        loaded: the model.
        words: most words of a span.

    Returns:
        One row over all distances; none if fewer than two entities have sentences that count.
    """
    entities: list[str] = []
    measured: list[np.ndarray] = []
    for start in range(0, len(documents), TOGETHER):
        for entity, measures in _measure_heads(documents[start : start + TOGETHER], loaded, words):
            entities.append(entity)
            measured.append(measures)
    if len(set(entities)) < 2:
        return []
    by_head = np.stack(measured)  # (sentence, measure, layer, head)
    halves = np.unique(entities, return_inverse=True)[1] % 2
    own = np.empty(by_head.shape[:2])  # (sentence, measure)
    for half in (0, 1):
        layer, head = _choose_best(by_head[halves != half])
        own[halves == half] = by_head[halves == half, :, layer, head]
    layer, head = _choose_best(by_head)
    estimates = (estimate_mean(list(values), entities) for values in own.T)
    scorer = f"best head {layer}.{head}, {name}"
    return [SentenceRow(scorer, ALL, len(own), *estimates)]


def _measure_heads(
    documents: list[Document], loaded: LoadedModel, words: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the entity, and overlap, equality and rank by head, of each sentence that counts."""
    scored = score_sentences_by_head(documents, loaded)
    for document, scores in zip(documents, scored, strict=True):
        candidates = find_candidates(document, words)
        by_word = score_words(scores.scores, scores.units, candidates.words)
        for sentence in list_counted(document, candidates):
            row = by_word[:, :, sentence.number]  # (layer, head, word)
            spans = [row[..., span[0] : span[-1] + 1].mean(-1) for span in sentence.spans]
            by_span = np.stack(spans, axis=-1)  # (layer, head, span)
            best = by_span.argmax(-1)
            highest = by_span[..., sentence.overlaps].max(-1)[..., None]
            rank = (by_span > highest).sum(-1) + ((by_span == highest).sum(-1) - 1) / 2
            measures = sentence.overlaps[best], sentence.equals[best], rank
            yield document.entity, np.stack(measures).astype(np.float32)


def _choose_best(by_head: np.ndarray) -> tuple[int, int]:
    """Return layer and head with the most overlaps; of several, the one of the lowest rank.

    Args:
        by_head: overlap, equality and rank.  # (sentence, measure, layer, head)
    """
    overlaps, _, ranks = by_head.mean(0)
    order = np.lexsort((ranks.ravel(), -overlaps.ravel()))
    layer, head = np.unravel_index(int(order[0]), overlaps.shape)
    return int(layer), int(head)
