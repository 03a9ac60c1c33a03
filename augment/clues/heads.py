"""Single heads, and the one that finds names best: chosen on some entities, measured on others."""

import re
from collections.abc import Iterator, Sequence

import numpy as np

from elusive.augment.clues.sentences import list_counted
from elusive.augment.scores.sentence_scores import score_sentences_by_head
from elusive.augment.sentences.candidates import find_candidates, score_words
from elusive.common.dataset.records import Document
from elusive.common.errors import InputError
from elusive.common.lm.loading import LoadedModel

Head = tuple[int, int]
"""A layer and a head in it, both counted from 0."""

TOGETHER = 16
"""Documents whose scores by head are in memory at a time."""


def measure_heads(
    documents: list[Document],
    name: str,
    loaded: LoadedModel,
    words: int,
    asked: Sequence[Head] = (),
) -> dict[str, np.ndarray]:
    """Measure how often the span that a sentence attends to most in one head is a mention.

    A head chosen on the same sentences would look better than it is. So the best head of each half
    of the entities is the one that is best on the other half. Its row is named after the layer and
    the head that are best on all.

    Args:
        documents: with gold spans.
        name: of the model.
        loaded: the model.
        words: most words of a span.
        asked: heads that get a row of their own, in the order of the rows.

    Returns:
        Overlap, equality and rank by name of the row, for the sentences that count, in the order of
        the documents; no best head if fewer than two entities have such sentences.
        # each (sentence, 3)

    Raises:
        InputError: the model lacks a head that is asked for.
    """
    entities: list[str] = []
    measured: list[np.ndarray] = []
    for start in range(0, len(documents), TOGETHER):
        for entity, measures in _measure_heads(documents[start : start + TOGETHER], loaded, words):
            if not measured:
                _check_heads(name, measures.shape[1:], asked)
            entities.append(entity)
            measured.append(measures)
    if not measured:
        return {}
    by_head = np.stack(measured)  # (sentence, measure, layer, head)
    rows = {f"head {layer}.{head}, {name}": by_head[:, :, layer, head] for layer, head in asked}
    if len(set(entities)) > 1:
        layer, head = _choose_best(by_head)
        rows[f"best head {layer}.{head}, {name}"] = _measure_best(by_head, entities)
    return rows


def parse_head(text: str) -> Head:
    """Read a layer and a head, both counted from 0.

    >>> parse_head("16.5")
    (16, 5)

    Raises:
        InputError: the text is something else.
    """
    match = re.fullmatch(r"(\d+)\.(\d+)", text)
    if not match:
        raise InputError(
            f"head: should be a layer and a head, both counted from 0, such as 16.5 (got {text!r})"
        )
    return int(match[1]), int(match[2])


def _check_heads(name: str, shape: tuple[int, int], asked: Sequence[Head]) -> None:
    for layer, head in asked:
        if layer >= shape[0] or head >= shape[1]:
            raise InputError(
                f"head {layer}.{head}: {name} has layers 0 to {shape[0] - 1}, with heads 0 to "
                f"{shape[1] - 1} in each"
            )


def _measure_best(by_head: np.ndarray, entities: list[str]) -> np.ndarray:
    """Measure each half of the entities by the head that is best on the other.  # (sentence, 3)."""
    halves = np.unique(entities, return_inverse=True)[1] % 2
    own = np.empty(by_head.shape[:2])
    for half in (0, 1):
        layer, head = _choose_best(by_head[halves != half])
        own[halves == half] = by_head[halves == half, :, layer, head]
    return own


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
