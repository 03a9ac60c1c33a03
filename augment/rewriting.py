"""Arms that write a text anew in place of dropping its tokens."""

from collections.abc import Callable

import numpy as np

from elusive.common.records import Document, Span
from elusive.common.sentences import sentence_spans

Rewrite = Callable[[Document, np.random.Generator], tuple[str, list[Span]]]
"""From a document to a text and the spans of the original that it consists of, in their order."""


def permuted_sentences(document: Document, rng: np.random.Generator) -> tuple[str, list[Span]]:
    """The document's sentences in random order, joined with single spaces.

    Source: `permute` of the bioS data (arXiv 2309.14316, section 2), for a text that is there.
    """
    values = [(fact.start, fact.end) for fact in document.facts]
    spans = sentence_spans(document.text, [*document.heads, *values])
    kept = [spans[index] for index in rng.permutation(len(spans))]
    return " ".join(document.text[start:end] for start, end in kept), kept


REWRITES: dict[str, Rewrite] = {"permute": permuted_sentences}
"""Nothing is dropped by these; what they write has not the order of the original."""
