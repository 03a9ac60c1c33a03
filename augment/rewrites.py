"""Arms that rewrite the copies instead of dropping tokens from them."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np

from elusive.augment.arrays.texts import SpanArrays, count_within, flatten_spans
from elusive.augment.clue_spans import list_entity_spans, split_sentences
from elusive.augment.config import AugmentConfig
from elusive.augment.eda import apply_eda
from elusive.augment.paraphrase import find_kept, write_paraphrases
from elusive.common.dataset.records import Document, Question, Span
from elusive.common.errors import InputError
from elusive.common.seeding import hash_names, hashed
from elusive.common.text.sentences import find_spaced

Rewrite = Callable[[Document, np.random.Generator, int], tuple[str, list[Span]]]
"""Takes a document, a source of randomness and the number of the copy, from 1; returns the copy and
the spans of the original that it keeps, in the copy's order."""
Arrange = Callable[[int, int], tuple[SpanArrays, np.ndarray]]
"""Takes the number of a copy, from 1, and the key of its draws; returns the pieces of each document
that make up this copy, in the copy's order, and whether a blank follows each.  # (piece,)"""
Rearrange = Callable[[list[Document]], Arrange]
"""Takes documents; returns what arranges their copies."""


def permute_sentences(documents: list[Document], first: int = 0) -> Arrange:
    """Put the sentences of each document in random order.

    Where the language puts no blanks between words, sentences that none separated stay without.

    Args:
        documents: to be copied.
        first: the number of sentences at the beginning that stay where they are.

    Source: `permute` of the bioS data (arXiv 2309.14316, section 2), here for any text.
    """
    by_document = [split_sentences(document) for document in documents]
    sentences = flatten_spans(by_document)
    is_spaced = _mark_spaced(documents, by_document)
    names = hash_names(document.doc_id for document in documents)
    owners = sentences.documents
    indices = count_within(sentences.offsets)

    def permute(copy: int, key: int) -> tuple[SpanArrays, np.ndarray]:
        draws = hashed(hashed(key, names)[owners], indices)
        order = np.lexsort((draws, np.minimum(indices, first), owners))
        permuted = SpanArrays(sentences.starts[order], sentences.ends[order], sentences.offsets)
        return permuted, is_spaced[order]

    return permute


def _mark_spaced(documents: list[Document], pieces: list[list[Span]]) -> np.ndarray:
    """Mark the pieces of documents that a blank follows.  # (piece,)."""
    pairs = zip(documents, pieces, strict=True)
    marks = [find_spaced(document.text, own, document.language) for document, own in pairs]
    return np.array(list(chain.from_iterable(marks)), bool)


def reverse_words(documents: list[Document]) -> Arrange:
    """Reverse the order of the words, with names and values whole; keep every second copy as it is.

    The authors, too, train on as many texts in one direction as in the other.

    Source: entity-preserving reversal, Golovneva et al. 2024, arXiv 2403.13799, section 3.
    """
    words = [
        _find_words(document.text, list_entity_spans(document))[::-1] for document in documents
    ]
    reversed_words = flatten_spans(words), np.ones(sum(map(len, words)), bool)
    texts = flatten_spans([(0, len(document.text))] for document in documents)
    whole = texts, np.ones(len(documents), bool)
    return lambda copy, key: reversed_words if copy % 2 else whole


REARRANGEMENTS: dict[str, Rearrange | None] = {
    "plain": None,
    "permute": permute_sentences,
    "permute-rest": partial(permute_sentences, first=1),
    "restate": None,  # its documents are restated before copies are made
    "reverse-training": reverse_words,
}
"""The rewrites that put pieces of a document in another order; None for those that leave documents
as they are."""


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


def _prepare_eda(documents: list[Document], inputs: RewriteInputs) -> list[Rewrite]:
    return [apply_eda] * len(documents)


def _prepare_paraphrases(documents: list[Document], inputs: RewriteInputs) -> list[Rewrite]:
    paraphrases = write_paraphrases(documents, inputs.config, inputs.epoch)
    return [partial(_take_paraphrase, texts) for texts in paraphrases]


def _take_paraphrase(
    texts: list[str], document: Document, rng: np.random.Generator, copy: int
) -> tuple[str, list[Span]]:
    text = texts[copy - 1]
    if text == document.text:
        return text, [(0, len(text))]
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


NEW_WORDS: dict[str, PrepareRewrites] = {
    "eda": _prepare_eda,
    "paraphrase": _prepare_paraphrases,
    "questions": _prepare_questions,
}
"""The rewrites whose copies have words that the original lacks."""
