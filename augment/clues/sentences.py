"""The clue benchmark by sentence: is the span that a sentence looks back at most a name?"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from scipy.stats import rankdata

from elusive.augment.clue_spans import name_distance
from elusive.augment.scores.log_probability import score_log_probability
from elusive.augment.scores.model_scores import Reading
from elusive.augment.scores.sentence_scores import contrast_sentences, score_sentences
from elusive.augment.scores.token_scores import TokenScores
from elusive.augment.sentences.candidates import (
    Candidates,
    find_candidates,
    is_function_word,
    list_words,
)
from elusive.augment.sentences.span_scores import (
    SPAN_SCORES,
    average_over_spans,
    score_without_model,
)
from elusive.augment.sentences.subjects import score_agreement
from elusive.common.dataset.records import WIKIPEDIA, Document, Span
from elusive.common.intervals import COUNT, RATE, RATE_DIFFERENCE, Estimate, estimate_mean
from elusive.common.lm.loading import LoadedModel
from elusive.common.text.languages import count_words_between
from elusive.common.text.text_spans import find_whole_words

MIN_PART = 3
"""Fewest characters of a part of a title that counts as a mention."""
ALL = "all"
LAST_SUBJECT = "last-subject"
"""The rule that all scores are compared with."""
SEED = 0
"""Of the spans that are drawn at random."""
BOUNDS = (RATE, RATE, COUNT, RATE_DIFFERENCE)
"""Of the measures of a `SentenceRow`."""


@dataclass(frozen=True)
class SentenceRow:
    """How well one score finds the name for sentences that do not have it."""

    scorer: str
    distance: str
    """Words from the last mention to the sentence, such as `1-10`; `all` for all sentences."""
    sentences: int
    overlaps: Estimate
    """Share of the sentences whose best earlier span shares a character with a mention."""
    equals: Estimate
    """Share whose best earlier span is a mention, from its first to its last character."""
    mean_rank: Estimate
    """Mean rank of the best span that overlaps a mention, from 0 for the highest score; ties share
    their mean rank."""
    over_last_subject: Estimate
    """Difference of `overlaps` from that of `last-subject`, a rule that reads no model, over the
    same sentences."""


@dataclass(frozen=True)
class SentenceScores:
    """A model's scores of all documents, by sentence."""

    attention: list[TokenScores]
    depth_contrast: list[TokenScores]
    surprisal: list[TokenScores]
    agreement: list[list[np.ndarray]]
    """Of the spans before each sentence."""


def read_sentences(
    documents: list[Document], loaded: LoadedModel, depth: float, words: int
) -> SentenceScores:
    """Read what the benchmark by sentence needs of a model; spans have at most `words` words."""
    candidates = [find_candidates(document, words) for document in documents]
    log_probabilities = score_log_probability(documents, loaded)
    return SentenceScores(
        score_sentences(documents, loaded),
        score_sentences(documents, loaded, Reading(minus_depth=depth)),
        [TokenScores(scores.units, -scores.scores) for scores in log_probabilities],
        score_agreement(documents, candidates, partial(score_log_probability, scorer=loaded)),
    )


def measure_sentences(
    documents: list[Document],
    by_model: dict[str, SentenceScores],
    words: int,
    by_head: dict[str, np.ndarray] | None = None,
) -> list[SentenceRow]:
    """Measure how often each score's best span before a sentence is a mention of the entity.

    Only sentences that mention neither it nor other people, and that stand after a mention, count:
    a sentence that names someone else may be about that person. In Wikipedia
    paragraphs, the content words of the title are mentions, too.

    Args:
        documents: with gold spans.
        by_model: what each model gives, larger models first.
        words: most words of a span.
        by_head: what `measure_heads` gives, for rows of single heads.
    """
    candidates = [find_candidates(document, words) for document in documents]
    counted = [list(list_counted(*pair)) for pair in zip(documents, candidates, strict=True)]
    distances = np.array([sentence.distance for own in counted for sentence in own])
    pairs = zip(documents, counted, strict=True)
    entities = np.array([document.entity for document, own in pairs for _ in own])
    measured = {
        scorer: _measure_sentences(counted, scored)
        for scorer, scored in _score_all(documents, candidates, by_model)
    } | (by_head or {})
    rule = measured[LAST_SUBJECT][:, 0]
    rows = []
    for scorer, measures in measured.items():
        columns = np.column_stack([measures, measures[:, 0] - rule])
        for distance in [ALL, *dict.fromkeys(distances)] if len(distances) else []:
            where = (distances == distance) | (distance == ALL)
            own = [
                estimate_mean(values, list(entities[where]), bounds=bounds)
                for values, bounds in zip(columns[where].T, BOUNDS, strict=True)
            ]
            rows.append(SentenceRow(scorer, str(distance), int(where.sum()), *own))
    return rows


def _score_all(
    documents: list[Document], candidates: list[Candidates], by_model: dict[str, SentenceScores]
) -> Iterator[tuple[str, list[list[np.ndarray]]]]:
    """Yield every scorer's name, and its scores of the spans before each sentence."""
    by_units: dict[str, list[TokenScores]] = {}
    for name, scores in by_model.items():
        by_units[f"attention, {name}"] = scores.attention
        by_units[f"depth-contrast, {name}"] = scores.depth_contrast
        by_units[f"surprisal, {name}"] = scores.surprisal
    for large, small in combinations(by_model, 2):
        pairs = zip(by_model[large].attention, by_model[small].attention, strict=True)
        by_units[f"contrast, {large} - {small}"] = [contrast_sentences(*pair) for pair in pairs]
    for scorer, scored in by_units.items():
        pairs = zip(candidates, scored, strict=True)
        yield scorer, [average_over_spans(*pair) for pair in pairs]
    for name, scores in by_model.items():
        yield f"agreement, {name}", scores.agreement
    for finder in SPAN_SCORES:
        yield finder, score_without_model(documents, candidates, finder, SEED)


@dataclass(frozen=True)
class CountedSentence:
    """A sentence without the name, after a mention of it."""

    number: int
    spans: list[range]
    """The spans before it, as indices of the document's words."""
    overlaps: np.ndarray
    """Whether each span shares a character with a mention, as some do.  # (span,)"""
    equals: np.ndarray
    """Whether each span is a mention.  # (span,)"""
    distance: str
    """Words from the last mention, such as `1-10`."""


def list_counted(document: Document, candidates: Candidates) -> Iterator[CountedSentence]:
    """Yield the sentences of a document that count: after a mention, and without anyone's name."""
    mentions = list_mentions(document)
    for number, (start, end) in enumerate(candidates.sentences):
        before = [mention for mention in mentions if mention[1] <= start]
        named = [*mentions, *document.others]
        if not before or any(start <= first < end for first, _ in named):
            continue
        spans = candidates.list_before(number)
        places = [candidates.locate(span) for span in spans]
        overlaps = [any(a < last and first < b for first, last in before) for a, b in places]
        if any(overlaps):
            equals = [place in before for place in places]
            last = max(last for _, last in before)
            words = count_words_between(document.text, last, start, document.language)
            distance = name_distance(words)
            yield CountedSentence(number, spans, np.array(overlaps), np.array(equals), distance)


def _measure_sentences(
    counted: list[list[CountedSentence]], scored: list[list[np.ndarray]]
) -> np.ndarray:
    """Measure overlap, equality and rank of one scorer.  # (sentence, 3)."""
    measures = [
        _measure_sentence(sentence, scores[sentence.number])
        for own, scores in zip(counted, scored, strict=True)
        for sentence in own
    ]
    return np.array(measures, float).reshape(-1, 3)


def _measure_sentence(sentence: CountedSentence, scores: np.ndarray) -> tuple[float, float, float]:
    best = int(scores.argmax())
    rank = (rankdata(-scores) - 1)[sentence.overlaps].min()
    return float(sentence.overlaps[best]), float(sentence.equals[best]), float(rank)


def list_mentions(document: Document) -> list[Span]:
    """List the mentions of the entity; in Wikipedia, also of parts of its title."""
    if document.variant != WIKIPEDIA:
        return document.heads
    parts = [
        word
        for word in list_words((document.name or "").partition(" (")[0])
        if len(word) >= MIN_PART and not is_function_word(word)
    ]
    found = find_whole_words(document.text, parts)
    others = [
        (start, end)
        for start, end in found
        if not any(start < last and first < end for first, last in document.heads)
    ]
    return sorted([*document.heads, *others])
