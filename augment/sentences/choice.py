"""Which clue each sentence says again in the arm `restate`, and how."""

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from elusive.augment.clue_spans import list_entity_spans, split_sentences
from elusive.augment.scores.arm_scores import Scorers
from elusive.augment.sentences.candidates import find_candidates, is_function_word, list_words
from elusive.augment.sentences.named_subjects import find_named_subjects, follows_preposition
from elusive.augment.sentences.restatements import DocumentRestatements, Restatement
from elusive.augment.sentences.span_scores import score_spans
from elusive.common.dataset.records import Document, Span
from elusive.common.text.languages import get_base_code, is_unspaced
from elusive.common.text.text_spans import find_whole_words

RESTATING = 3
"""To be raised when the same choices would write another text."""
PRONOUN = re.compile(r"\b(?:he|she|him|his|hers?|their|them)\b", re.IGNORECASE)
"""Pronouns that a name can replace. `they` is not one of them, because its verb is a plural."""
SINGULAR = re.compile(r"\b(?:he|she|him|his|hers?)\b", re.IGNORECASE)
"""Those that a named subject replaces: in most text, *their* and *them* are several."""
POSSESSIVE = ("his", "her", "hers", "their")
NEXT_WORD = re.compile(r" (\w+)")

Clue = tuple[Span, str, Span | None]
"""A sentence, the words of its clue, and where they stand in the document."""


def choose_restatements(documents: list[Document], scorers: Scorers) -> list[DocumentRestatements]:
    """Choose what each sentence that lacks its clue says again, as the config of an arm says.

    The clue is the best span before the sentence by the score `restate_by`; a title or a gold name
    is said in every sentence that lacks it. A sentence that has any content word of its clue lacks
    nothing.

    Raises:
        InputError: a model that the score reads cannot be used.
    """
    finder = scorers.config.clue_finder
    if choose := NAME_FINDERS.get(finder):
        chosen = [choose(document) for document in documents]
    else:
        chosen = _choose_spans(documents, scorers)
    only_pronouns = scorers.config.restate_in == "pronouns"
    pronoun = SINGULAR if finder == "named-subject" else PRONOUN
    return [
        DocumentRestatements(
            document.doc_id, len(clues), list(_restate_all(document, clues, only_pronouns, pronoun))
        )
        for document, clues in zip(documents, chosen, strict=True)
    ]


def _restate_all(
    document: Document, clues: list[Clue | None], only_pronouns: bool, pronoun: re.Pattern[str]
) -> Iterator[Restatement]:
    """Yield what the sentences of a document say again, in the order of its text."""
    for clue in clues:
        if clue and _is_lacking(document, *clue):
            restatement = _restate(document, *clue, pronoun)
            if restatement.end > restatement.start or not only_pronouns:
                yield restatement


def _choose_title(document: Document) -> list[Clue | None]:
    sentences = split_sentences(document)
    return [(sentence, document.name, None) if document.name else None for sentence in sentences]


def _choose_gold_name(document: Document) -> list[Clue | None]:
    longest = max(document.heads, key=lambda span: span[1] - span[0], default=None)
    return _say_spans(document, [longest] * len(split_sentences(document)))


def _choose_named_subjects(document: Document) -> list[Clue | None]:
    clues = _say_spans(document, find_named_subjects(document))
    # A line break within a name is a blank where the name is said again.
    return [clue and (clue[0], re.sub(r"\s", " ", clue[1]), clue[2]) for clue in clues]


def _say_spans(document: Document, spans: Sequence[Span | None]) -> list[Clue | None]:
    """Return a clue for each sentence: the words of its span."""
    pairs = zip(split_sentences(document), spans, strict=True)
    return [span and (sentence, document.text[slice(*span)], span) for sentence, span in pairs]


NAME_FINDERS: dict[str, Callable[[Document], list[Clue | None]]] = {
    "title": _choose_title,
    "oracle": _choose_gold_name,
    "named-subject": _choose_named_subjects,
}
"""The ways to find a clue that choose a name for each sentence, without scores."""


def _choose_spans(documents: list[Document], scorers: Scorers) -> list[list[Clue | None]]:
    config = scorers.config
    candidates = [find_candidates(document, config.restate_words) for document in documents]
    scored = score_spans(documents, candidates, scorers, config.clue_finder)
    chosen = []
    for document, own, scores in zip(documents, candidates, scored, strict=True):
        clues: list[Clue | None] = []
        for number, sentence in enumerate(own.sentences):
            best = find_best(scores[number], config.restate_above)
            if best is None:
                clues.append(None)
                continue
            start, end = own.locate(own.list_before(number)[best])
            clues.append((sentence, document.text[start:end], (start, end)))
        chosen.append(clues)
    return chosen


def find_best(scores: np.ndarray, least_lead: float | None) -> int | None:
    """Find the highest score, the first one of several; None if there is none, or no clear one.

    Args:
        scores: of spans.  # (span,)
        least_lead: how far the highest must lie above the mean of all, in standard deviations.

    >>> find_best(np.array([1.0, 3.0, 2.0]), least_lead=1.5) is None
    True
    """
    if not len(scores):
        return None
    best = int(scores.argmax())
    if least_lead is not None and scores[best] - scores.mean() < least_lead * scores.std():
        return None
    return best


def _is_lacking(document: Document, sentence: Span, clue: str, _: Span | None) -> bool:
    """Whether a sentence has no content word of a clue; without blanks, not the clue."""
    words = [word for word in list_words(clue) if not is_function_word(word)]
    if is_unspaced(document.language):
        words = [clue]
    return not find_whole_words(document.text[slice(*sentence)], words or [clue])


def _restate(
    document: Document, sentence: Span, clue: str, where: Span | None, pronoun: re.Pattern[str]
) -> Restatement:
    """Say a clue in place of the first pronoun of a sentence, or before the sentence.

    Where it opens the sentence, it gets a capital, without which no sentence would begin there.
    """
    start, end = where or (None, None)
    first = clue[0].upper()
    capital = first + clue[1:] if len(first) == 1 else clue
    # 1) The first pronoun that is no part of a name or a value, and not bound in the sentence.
    entities = list_entity_spans(document)
    for match in pronoun.finditer(document.text, *sentence):
        if any(first < match.end() and match.start() < last for first, last in entities):
            continue
        is_possessive = _is_possessive(document.text, match)
        if is_possessive and _has_name(document.text[sentence[0] : match.start()]):
            continue  # in "Bo drew her first breath", her is Bo's
        if pronoun is SINGULAR and is_possessive and _may_be_object(document.text, sentence, match):
            continue
        suffix = "'s" if is_possessive else ""
        words = capital if match.start() == sentence[0] else clue
        return Restatement(*match.span(), words + suffix, len(clue), start, end)
    # 2) Else before the sentence.
    colon = "\uff1a" if get_base_code(document.language) in ("ja", "yue", "zh") else ": "
    return Restatement(sentence[0], sentence[0], capital + colon, len(clue), start, end)


def _has_name(text: str) -> bool:
    """Whether a word with a capital, which may be a name, stands in a text."""
    return any(word[0].isupper() and not is_function_word(word) for word in list_words(text))


def _may_be_object(text: str, sentence: Span, match: re.Match[str]) -> bool:
    """Whether *her* before a content word may be an object, as in "It made her happy"."""
    opens = match.start() == sentence[0]
    is_her = match.group().casefold() == "her"
    return is_her and not opens and not follows_preposition(text, sentence[0], match.start())


def _is_possessive(text: str, match: re.Match[str]) -> bool:
    """Whether a pronoun is a possessive; "her" is one before a content word."""
    pronoun = match.group().casefold()
    if pronoun != "her":
        return pronoun in POSSESSIVE
    word = NEXT_WORD.match(text, match.end())
    return word is not None and not is_function_word(word.group(1))
