"""Arms that write a text anew in place of dropping its tokens."""

import re
from collections.abc import Callable

import numpy as np

from elusive.augment.eda import eda
from elusive.common.dataset.records import Document, Span
from elusive.common.sentences import sentence_spans

Rewrite = Callable[[Document, np.random.Generator, int], tuple[str, list[Span]]]
"""From a document, randomness and the copy's number, from 1, to a text and the spans of the
original that stand in it, in their order."""


def permuted_sentences(
    document: Document, rng: np.random.Generator, copy: int
) -> tuple[str, list[Span]]:
    """The document's sentences in random order, joined with single spaces.

    Source: `permute` of the bioS data (arXiv 2309.14316, section 2), for a text that is there.
    """
    spans = sentence_spans(document.text, _entities(document))
    kept = [spans[index] for index in rng.permutation(len(spans))]
    return " ".join(document.text[start:end] for start, end in kept), kept


def reversed_words(
    document: Document, rng: np.random.Generator, copy: int
) -> tuple[str, list[Span]]:
    """The document's words from last to first, names and values whole; every second copy as it was.

    With as many texts in one direction as in the other, as its authors train.

    Source: entity-preserving reversal, Golovneva et al. 2024, arXiv 2403.13799, section 3.
    """
    if copy % 2 == 0:
        return document.text, [(0, len(document.text))]
    kept = _words(document.text, _entities(document))[::-1]
    return " ".join(document.text[start:end] for start, end in kept), kept


def _entities(document: Document) -> list[Span]:
    """Names and values, which must not be cut."""
    return [*document.heads, *((fact.start, fact.end) for fact in document.facts)]


def _words(text: str, whole: list[Span]) -> list[Span]:
    """What white space parts, but for white space inside of `whole`."""
    words: list[Span] = []
    for match in re.finditer(r"\S+", text):
        start, end = match.span()
        if words and any(first < words[-1][1] and start < last for first, last in whole):
            words[-1] = (words[-1][0], end)
        else:
            words.append((start, end))
    return words


REWRITES: dict[str, Rewrite] = {
    "permute": permuted_sentences,
    "eda": eda,
    "reverse-training": reversed_words,
}
"""Nothing is dropped by these; what they write has not the order of the original."""
