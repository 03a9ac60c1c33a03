"""Scores of the spans that sentences could take up again, by the names of `CLUE_FINDERS`."""

from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np

from elusive.augment.scores.arm_scores import Scorers
from elusive.augment.scores.sentence_scores import contrast_sentences
from elusive.augment.scores.token_scores import TokenScores
from elusive.augment.sentences.candidates import Candidates, score_words
from elusive.augment.sentences.subjects import (
    score_agreement,
    score_last_subject,
    score_name_list,
)
from elusive.common.dataset.records import Document
from elusive.common.seeding import derived_seed, hashed

SpanScore = Callable[[Document, Candidates, int, list[range], int], np.ndarray]
"""Takes a document, its candidates, the number of a sentence, the spans before it and a seed;
returns one score per span."""
DocumentScore = Callable[[list[Document], list[Candidates], Scorers], list[list[np.ndarray]]]
"""Scores the spans before each sentence of documents."""
UnitScore = Callable[[list[Document], Scorers], list[TokenScores]]
"""Scores the units of documents, each for every sentence or for all of them alike."""


def score_spans(
    documents: list[Document], candidates: list[Candidates], scorers: Scorers, finder: str
) -> list[list[np.ndarray]]:
    """Score the spans before each sentence of every document; higher is better.

    Args:
        documents: whose spans are scored.
        candidates: of each document.
        scorers: name the models that a finder reads, and the seed.
        finder: a key of `DOCUMENT_SCORES`, `UNIT_SCORES` or `SPAN_SCORES`.

    Returns:
        For each document and sentence, one score for each span of `list_before`.
    """
    if finder in DOCUMENT_SCORES:
        return DOCUMENT_SCORES[finder](documents, candidates, scorers)
    if finder in UNIT_SCORES:
        scored = UNIT_SCORES[finder](documents, scorers)
        return [
            average_over_spans(own, scores) for own, scores in zip(candidates, scored, strict=True)
        ]
    return score_without_model(documents, candidates, finder, scorers.config.seed)


def score_without_model(
    documents: list[Document], candidates: list[Candidates], finder: str, seed: int
) -> list[list[np.ndarray]]:
    """Score as `score_spans` does, by a key of `SPAN_SCORES`."""
    score = SPAN_SCORES[finder]
    return [
        [
            score(document, own, sentence, own.list_before(sentence), seed)
            for sentence in range(len(own.sentences))
        ]
        for document, own in zip(documents, candidates, strict=True)
    ]


def average_over_spans(candidates: Candidates, scores: TokenScores) -> list[np.ndarray]:
    """Average the scores of the words of each span, each the highest of its units.

    Args:
        candidates: of a document.
        scores: of its units.  # (sentence, unit) or (unit,)
    """
    by_word = score_words(scores.scores, scores.units, candidates.words)  # (..., word)
    rows = np.broadcast_to(by_word, (len(candidates.sentences), by_word.shape[-1]))
    return [
        np.array([row[span[0] : span[-1] + 1].mean() for span in candidates.list_before(sentence)])
        for sentence, row in enumerate(rows)
    ]


def _attention(documents: list[Document], scorers: Scorers) -> list[TokenScores]:
    return scorers.score_sentences("model", documents)


def _depth_contrast(documents: list[Document], scorers: Scorers) -> list[TokenScores]:
    return scorers.score_sentences("model", documents, minus_depth=scorers.config.depth)


def _contrast(documents: list[Document], scorers: Scorers) -> list[TokenScores]:
    large, small = (scorers.score_sentences(role, documents) for role in ("large", "small"))
    return [contrast_sentences(*pair) for pair in zip(large, small, strict=True)]


def _surprisal(documents: list[Document], scorers: Scorers) -> list[TokenScores]:
    scored = scorers.score_log_probability("model", documents)
    return [TokenScores(scores.units, -scores.scores, scores.seconds) for scores in scored]


def _at_random(
    document: Document, candidates: Candidates, sentence: int, spans: list[range], seed: int
) -> np.ndarray:
    key = derived_seed(seed, "random-span", document.doc_id, sentence)
    return hashed(key, np.array([span[0] for span in spans], int)) / 2.0**64


def _earlier_higher(
    document: Document, candidates: Candidates, sentence: int, spans: list[range], seed: int
) -> np.ndarray:
    return -np.arange(len(spans), dtype=float)


def _by_frequency(
    document: Document, candidates: Candidates, sentence: int, spans: list[range], seed: int
) -> np.ndarray:
    """Count how often the words of a span occur together before a sentence."""
    texts = [document.text[slice(*candidates.locate(span))].casefold() for span in spans]
    counts = Counter(texts)
    return np.array([counts[text] for text in texts], float)


def _agreement(
    documents: list[Document], candidates: list[Candidates], scorers: Scorers
) -> list[list[np.ndarray]]:
    return score_agreement(documents, candidates, partial(scorers.score_log_probability, "model"))


DOCUMENT_SCORES: dict[str, DocumentScore] = {"agreement": _agreement}
UNIT_SCORES: dict[str, UnitScore] = {
    "attention": _attention,
    "contrast": _contrast,
    "depth-contrast": _depth_contrast,
    "surprisal": _surprisal,
}
SPAN_SCORES: dict[str, SpanScore] = {
    "random-span": _at_random,
    "first-words": _earlier_higher,
    "last-subject": score_last_subject,
    "name-list": score_name_list,
    "most-frequent": _by_frequency,
}
