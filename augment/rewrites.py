"""Arms whose copies are written anew in place of dropping tokens from them."""

import re
from collections.abc import Callable

import numpy as np

from elusive.augment.eda import apply_eda
from elusive.common.dataset.records import Document, Span
from elusive.common.text_spans import find_sentences

Rewrite = Callable[[Document, np.random.Generator, int], tuple[str, list[Span]]]
"""From a document, randomness and the copy's number, from 1, to a text and the spans of the
original that it holds, in their order."""


def repeat_original(
    document: Document, rng: np.random.Generator, copy: int
) -> tuple[str, list[Span]]:
    """The document as it is."""
    return document.text, [(0, len(document.text))]


def permute_sentences(
    document: Document, rng: np.random.Generator, copy: int
) -> tuple[str, list[Span]]:
    """The document's sentences in random order, joined with single spaces.

    Source: `permute` of the bioS data (arXiv 2309.14316, section 2), for a given text.
    """
    sentences = find_sentences(document.text, _find_entities(document))
    spans = [sentences[index] for index in rng.permutation(len(sentences))]
    return " ".join(document.text[start:end] for start, end in spans), spans


def reverse_words(
    document: Document, rng: np.random.Generator, copy: int
) -> tuple[str, list[Span]]:
    """The document's words from last to first, names and values whole; every second copy unchanged.

    So as many texts run in one direction as in the other, as the authors train.

    Source: entity-preserving reversal, Golovneva et al. 2024, arXiv 2403.13799, section 3.
    """
    if copy % 2 == 0:
        return repeat_original(document, rng, copy)
    spans = _find_words(document.text, _find_entities(document))[::-1]
    return " ".join(document.text[start:end] for start, end in spans), spans


def _find_entities(document: Document) -> list[Span]:
    """Names and values, which must not be cut."""
    return [*document.heads, *((fact.start, fact.end) for fact in document.facts)]


def _find_words(text: str, unbroken: list[Span]) -> list[Span]:
    """Words between white space; white space within an unbroken span ends no word."""
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
