"""Subjects of earlier sentences: the last one, and the last one that a pronoun agrees with."""

import re
from bisect import bisect_right
from collections.abc import Callable

import numpy as np
from faker.providers.person.en_US import Provider as Names

from elusive.augment.scores.token_scores import TokenScores
from elusive.augment.sentences.candidates import Candidates
from elusive.common.dataset.records import Document

OPENING_PRONOUN = re.compile(r"\W*(?:s?he|it|they|his|hers?|its|theirs?)\b", re.IGNORECASE)
GENDERED = re.compile(r"\b(?:(?P<she>she|hers?)|he|him|his)\b", re.IGNORECASE)
PROBES = ("She", "He")
"""What is read after a name: the model finds one of them more probable."""

Measure = Callable[[list[Document]], list[TokenScores]]
"""Measures the log-probability of each token of documents."""


def list_subjects(document: Document, candidates: Candidates, spans: list[range]) -> dict[int, int]:
    """List the spans that are taken for subjects, each with the number of its sentence.

    It is the first span of a sentence that does not open with a pronoun.

    Args:
        document: in English.
        candidates: of the document.
        spans: in the order of the text.
    """
    subjects, last = {}, -1
    ends = [end for _, end in candidates.sentences]
    for index, span in enumerate(spans):
        sentence = bisect_right(ends, candidates.locate(span)[0])
        start, end = candidates.sentences[sentence]
        if sentence > last and not OPENING_PRONOUN.match(document.text, start, end):
            subjects[index] = sentence
        last = sentence
    return subjects


def score_last_subject(
    document: Document, candidates: Candidates, sentence: int, spans: list[range], seed: int
) -> np.ndarray:
    """Score each subject by the number of its sentence, other spans by -1.

    >>> from elusive.augment.sentences.candidates import find_candidates
    >>> text = "Bo Lie left. Ada Lovelace met Bo Lie. She was glad. She won."
    >>> document = Document("", "", text, [], [], [], "train", [], "")
    >>> candidates = find_candidates(document, 2)
    >>> spans = candidates.list_before(3)
    >>> best = spans[score_last_subject(document, candidates, 3, spans, 0).argmax()]
    >>> text[slice(*candidates.locate(best))]
    'Ada Lovelace'
    """
    scores = np.full(len(spans), -1.0)
    for index, number in list_subjects(document, candidates, spans).items():
        scores[index] = number
    return scores


def score_name_list(
    document: Document, candidates: Candidates, sentence: int, spans: list[range], seed: int
) -> np.ndarray:
    """Score the last subject highest whose first name has the gender of the sentence's pronoun.

    Faker's lists of American first names tell the gender. As in `score_agreement`, subjects that
    do not agree score below those that do, other spans below all.

    >>> from elusive.augment.sentences.candidates import find_candidates
    >>> text = "Anna Lovelace won. John Doe left. She was glad."
    >>> document = Document("", "", text, [], [], [], "train", [], "")
    >>> candidates = find_candidates(document, 2)
    >>> spans = candidates.list_before(2)
    >>> best = spans[score_name_list(document, candidates, 2, spans, 0).argmax()]
    >>> text[slice(*candidates.locate(best))]
    'Anna Lovelace'
    """
    return _score_agreeing(document, candidates, sentence, spans, look_up_gender)


def score_agreement(
    documents: list[Document], candidates: list[Candidates], measure: Measure
) -> list[list[np.ndarray]]:
    """Score the last subject that agrees with the sentence's pronoun highest.

    A subject agrees with she if log P(She | "NAME.") is above log P(He | "NAME.") under a model,
    and with he if it is below. Subjects that do not agree score below those that do, other spans
    below all. Sentences with neither pronoun are scored by the last subject.

    Args:
        documents: in English.
        candidates: of each document.
        measure: reads them with a model.

    Returns:
        For each document and sentence, one score for each span of `list_before`.
    """
    fits = _measure_fits(_list_names(documents, candidates), measure)
    return [
        [
            _score_agreeing(document, own, number, own.list_before(number), fits.__getitem__)
            for number in range(len(own.sentences))
        ]
        for document, own in zip(documents, candidates, strict=True)
    ]


def _score_agreeing(
    document: Document,
    candidates: Candidates,
    sentence: int,
    spans: list[range],
    fit: Callable[[str], float],
) -> np.ndarray:
    """Score as `score_last_subject` does, with those first for whom `fit` has the pronoun's sign.

    It is above 0 for the name of a woman, and below 0 for that of a man.
    """
    scores = score_last_subject(document, candidates, sentence, spans, 0)
    if sign := find_gender(document.text, *candidates.sentences[sentence]):
        for index in np.flatnonzero(scores >= 0):
            name = document.text[slice(*candidates.locate(spans[index]))]
            if sign * fit(name) > 0:
                scores[index] += len(candidates.sentences)
    return scores


def find_gender(text: str, start: int, end: int) -> int:
    """Return 1 if the first gendered pronoun between two characters is of she, -1 of he, else 0."""
    pronoun = GENDERED.search(text, start, end)
    return 0 if pronoun is None else 1 if pronoun["she"] else -1


def look_up_gender(name: str) -> int:
    """Return 1 for a first name of women only, -1 for one of men only, 0 for others, by Faker."""
    first = name.split()[0]
    return (first in Names.first_names_female) - (first in Names.first_names_male)


def _list_names(documents: list[Document], candidates: list[Candidates]) -> list[str]:
    """List the texts of all spans that are a subject to any sentence."""
    names: dict[str, None] = {}
    for document, own in zip(documents, candidates, strict=True):
        for number in range(len(own.sentences)):
            spans = own.list_before(number)
            for index in list_subjects(document, own, spans):
                names[document.text[slice(*own.locate(spans[index]))]] = None
    return list(names)


def _measure_fits(names: list[str], measure: Measure) -> dict[str, float]:
    """Measure by how much likelier she is than he after each name, in nats."""
    probes = [
        Document(name, "", f"{name}. {probe}", [], [], [], "train", [], "")
        for name in names
        for probe in PROBES
    ]
    sums = [
        sum(
            score
            for (_, end), score in zip(scores.units, scores.scores, strict=True)
            if end > len(probe.doc_id) + 2
        )
        for probe, scores in zip(probes, measure(probes), strict=True)
    ]
    return {name: sums[2 * n] - sums[2 * n + 1] for n, name in enumerate(names)}
