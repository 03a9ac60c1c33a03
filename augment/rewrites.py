"""Arms that rewrite the copies instead of dropping tokens from them."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from elusive.augment.config import AugmentConfig
from elusive.augment.eda import apply_eda
from elusive.augment.paraphrase import find_kept, write_paraphrases
from elusive.common.dataset.records import Document, Question, Span
from elusive.common.errors import InputError
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


@dataclass(frozen=True)
class RewriteInputs:
    """What a rewrite may use besides the documents."""

    config: AugmentConfig
    questions: Sequence[Question] = ()
    """Questions of the dataset."""
    epoch: int = 0


PrepareRewrites = Callable[[list[Document], RewriteInputs], list[Rewrite]]
"""Takes documents, and returns what rewrites each of them."""


def _rewrite_each(rewrite: Rewrite) -> PrepareRewrites:
    """Turn a function that rewrites one document into one that prepares the same for all."""
    return lambda documents, inputs: [rewrite] * len(documents)


def _prepare_paraphrases(documents: list[Document], inputs: RewriteInputs) -> list[Rewrite]:
    paraphrases = write_paraphrases(documents, inputs.config, inputs.epoch)
    return [partial(_take_paraphrase, texts) for texts in paraphrases]


def _take_paraphrase(
    texts: list[str], document: Document, rng: np.random.Generator, copy: int
) -> tuple[str, list[Span]]:
    text = texts[copy - 1]
    if text == document.text:
        return repeat_original(document, rng, copy)
    return text, find_kept(text, document)


def _prepare_questions(documents: list[Document], inputs: RewriteInputs) -> list[Rewrite]:
    """Source: question text as training text, arXiv 2603.01097."""
    solved: dict[str, list[str]] = defaultdict(list)
    for question in inputs.questions:
        if not question.held_out:
            text = f"Question: {question.question}\nAnswer: {question.answers[0]}\n"
            solved[question.doc_id].append(text)
    if not any(question.held_out for question in inputs.questions):
        raise InputError(
            "method 'questions' would train on the very questions that are asked: generate the "
            "dataset with --held-out-phrasing, so that other phrasings are asked"
        )
    return [partial(_join_questions, solved[document.doc_id]) for document in documents]


def _join_questions(
    solved: list[str], document: Document, rng: np.random.Generator, copy: int
) -> tuple[str, list[Span]]:
    text = "".join(solved[index] for index in rng.permutation(len(solved)))
    return text, find_kept(text, document)


REWRITES: dict[str, PrepareRewrites] = {
    "plain": _rewrite_each(repeat_original),
    "permute": _rewrite_each(permute_sentences),
    "eda": _rewrite_each(apply_eda),
    "reverse-training": _rewrite_each(reverse_words),
    "paraphrase": _prepare_paraphrases,
    "questions": _prepare_questions,
}
"""The arms of kind `rewrite` in `augment/arms.py`, each with the function that prepares how every
document is rewritten."""
