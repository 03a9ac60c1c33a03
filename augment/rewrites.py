"""Arms that rewrite the copies instead of dropping tokens from them."""

import re
from collections.abc import Callable

import numpy as np

from elusive.augment.eda import apply_eda
from elusive.common.dataset.records import Document, Span
from elusive.common.text_spans import find_sentences

Rewrite = Callable[[Document, np.random.Generator, int], tuple[str, list[Span]]]
"""Takes a document, a source of randomness and the number of the copy, from 1; returns the copy and
the spans of the original that it keeps, in the copy's order."""


def repeat_original(
    document: Document, rng: np.random.Generator, copy: int
) -> tuple[str, list[Span]]:
    """Return the document unchanged."""
    return document.text, [(0, len(document.text))]


def permute_sentences(
    document: Document, rng: np.random.Generator, copy: int
) -> tuple[str, list[Span]]:
    """Put the document's sentences in random order, joined with single spaces.

    Source: `permute` of the bioS data (arXiv 2309.14316, section 2), here for any text.
    """
    sentences = find_sentences(document.text, _find_entities(document))
    spans = [sentences[index] for index in rng.permutation(len(sentences))]
    return " ".join(document.text[start:end] for start, end in spans), spans


def reverse_words(
    document: Document, rng: np.random.Generator, copy: int
) -> tuple[str, list[Span]]:
    """Reverse the order of the words, with names and values whole; keep every second copy as it is.

    The authors, too, train on as many texts in one direction as in the other.

    Source: entity-preserving reversal, Golovneva et al. 2024, arXiv 2403.13799, section 3.
    """
    if copy % 2 == 0:
        return repeat_original(document, rng, copy)
    spans = _find_words(document.text, _find_entities(document))[::-1]
    return " ".join(document.text[start:end] for start, end in spans), spans


def _find_entities(document: Document) -> list[Span]:
    """Find names and values, which must stay whole."""
    return [*document.heads, *((fact.start, fact.end) for fact in document.facts)]


def _find_words(text: str, unbroken: list[Span]) -> list[Span]:
    """Cut a text at white space, except within the spans that must stay unbroken."""
    words: list[Span] = []
    for match in re.finditer(r"\S+", text):
        start, end = match.span()
        if words and any(first < words[-1][1] and start < last for first, last in unbroken):
            words[-1] = (words[-1][0], end)
        else:
            words.append((start, end))
    return words


REWRITES: dict[str, Rewrite] = {
    "plain": repeat_original,
    "permute": permute_sentences,
    "eda": apply_eda,
    "reverse-training": reverse_words,
}
"""The arms of kind `rewrite` in `augment/arms.py`, each with the function that writes a copy."""
