"""What the arm `restate` says again in each sentence, and the documents in which it is said."""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pyarrow as pa

from elusive.augment.clue_spans import list_entity_spans
from elusive.augment.scores.arm_scores import Scorers
from elusive.augment.sentences.candidates import WORD, find_candidates, is_function_word
from elusive.augment.sentences.span_scores import score_spans
from elusive.common.dataset.records import Document, Fact, Span
from elusive.common.text.text_spans import find_whole_words

PRONOUN = re.compile(r"\b(?:he|she|him|his|hers?|their|them)\b", re.IGNORECASE)
"""Pronouns that a name can replace. `they` is not one of them, because its verb is a plural."""
POSSESSIVE = ("his", "her", "hers", "their")
NEXT_WORD = re.compile(r" (\w+)")


@dataclass(frozen=True)
class Restatement:
    """A clue that is said again in a sentence."""

    start: int
    """First character of the document that it replaces."""
    end: int
    """One past the last; the same as `start` where the clue is put before the sentence."""
    text: str
    """What is written in their place: the clue, and `'s` or `: ` after it."""
    said: int
    """Number of characters of `text` that are the clue; they come first."""
    clue_start: int | None
    """First character of the clue in the document; None for a title, which need not occur there."""
    clue_end: int | None
    """One past its last character."""


@dataclass(frozen=True)
class DocumentRestatements:
    """All that is said again in a document, in the order of its text."""

    doc_id: str
    sentences: int
    """Number of its sentences."""
    restatements: list[Restatement]

    def __post_init__(self) -> None:
        parsed = [Restatement(**row) if isinstance(row, dict) else row for row in self.restatements]
        object.__setattr__(self, "restatements", parsed)


RESTATED = "restated"
"""Name of the table of `DocumentRestatements` in a training text."""
SCHEMA = pa.schema(
    [
        ("doc_id", pa.string()),
        ("sentences", pa.int32()),
        (
            "restatements",
            pa.list_(
                pa.struct(
                    [
                        ("start", pa.int32()),
                        ("end", pa.int32()),
                        ("text", pa.string()),
                        ("said", pa.int32()),
                        ("clue_start", pa.int32()),
                        ("clue_end", pa.int32()),
                    ]
                )
            ),
        ),
    ]
)


def choose_restatements(documents: list[Document], scorers: Scorers) -> list[DocumentRestatements]:
    """Choose what each sentence that lacks its clue says again, as the config of an arm says.

    The clue is the best span before the sentence by the score `restate_by`; a title or a gold name
    is said in every sentence that lacks it. A sentence that has any content word of its clue lacks
    nothing.

    Raises:
        InputError: a model that the score reads cannot be used.
    """
    if scorers.config.clue_finder in ("title", "oracle"):
        chosen = [_choose_names(document, scorers.config.clue_finder) for document in documents]
    else:
        chosen = _choose_spans(documents, scorers)
    return [
        DocumentRestatements(
            document.doc_id,
            len(clues),
            [_restate(document, *clue) for clue in clues if clue and _is_lacking(document, *clue)],
        )
        for document, clues in zip(documents, chosen, strict=True)
    ]


Clue = tuple[Span, str, Span | None]
"""A sentence, the words of its clue, and where they stand in the document."""


def _choose_names(document: Document, finder: str) -> list[Clue | None]:
    sentences = find_candidates(document, 1).sentences
    if finder == "title":
        return [(sentence, document.entity, None) for sentence in sentences]
    if not document.heads:
        return [None] * len(sentences)
    start, end = max(document.heads, key=lambda span: span[1] - span[0])
    return [(sentence, document.text[start:end], (start, end)) for sentence in sentences]


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
    """Whether a sentence has no content word of a clue."""
    words = [word for word in WORD.findall(clue) if not is_function_word(word)]
    return not find_whole_words(document.text[slice(*sentence)], words or [clue])


def _restate(document: Document, sentence: Span, clue: str, where: Span | None) -> Restatement:
    """Say a clue in place of the first pronoun of a sentence, or before the sentence.

    Where it opens the sentence, it gets a capital, without which no sentence would begin there.
    """
    start, end = where or (None, None)
    first = clue[0].upper()
    capital = first + clue[1:] if len(first) == 1 else clue
    # 1) The first pronoun that is no part of a name or a value.
    entities = list_entity_spans(document)
    for match in PRONOUN.finditer(document.text, *sentence):
        if any(first < match.end() and match.start() < last for first, last in entities):
            continue
        suffix = "'s" if _is_possessive(document.text, match) else ""
        words = capital if match.start() == sentence[0] else clue
        return Restatement(*match.span(), words + suffix, len(clue), start, end)
    # 2) Else before the sentence.
    return Restatement(sentence[0], sentence[0], f"{capital}: ", len(clue), start, end)


def _is_possessive(text: str, match: re.Match[str]) -> bool:
    """Whether a pronoun is a possessive; "her" is one before a content word."""
    pronoun = match.group().casefold()
    if pronoun != "her":
        return pronoun in POSSESSIVE
    word = NEXT_WORD.match(text, match.end())
    return word is not None and not is_function_word(word.group(1))


def restate_document(document: Document, restatements: Sequence[Restatement]) -> Document:
    """Write a document with all its restatements; spans move with the text.

    A clue that is said again is a mention of the entity, or of someone else, only as far as it was
    one where it stood. A title is a mention of the entity.

    >>> text = "Ada Lovelace wrote. She died in 1852."
    >>> fact = Fact("death", "1852", 32, 36, 4, 1)
    >>> document = Document("", "", text, [(0, 12)], [], [fact], "train", [], "")
    >>> restated = restate_document(document, [Restatement(20, 23, "Ada Lovelace", 12, 0, 12)])
    >>> restated.text, restated.heads, restated.facts[0].distance
    ('Ada Lovelace wrote. Ada Lovelace died in 1852.', [(0, 12), (20, 32)], 3)
    """
    text, last, places = "", 0, []
    for restatement in restatements:
        text += document.text[last : restatement.start]
        places.append(len(text))
        text, last = text + restatement.text, restatement.end
    text += document.text[last:]
    changes = np.array([len(r.text) - (r.end - r.start) for r in restatements], int)
    starts = np.array([r.start for r in restatements], int)

    def move(span: Span) -> Span:
        shifts = [int(changes[starts <= at].sum()) for at in (span[0], span[1] - 1)]
        return span[0] + shifts[0], span[1] + shifts[1]

    def move_all(spans: list[Span], is_head: bool) -> list[Span]:
        said = [
            mention
            for place, restatement in zip(places, restatements, strict=True)
            for mention in _list_said(restatement, place, spans, is_head)
        ]
        return sorted([*map(move, spans), *said])

    heads = move_all(document.heads, True)
    others = move_all(document.others, False)
    facts = [_move_fact(fact, move, heads, text) for fact in document.facts]
    return replace(document, text=text, heads=heads, others=others, facts=facts)


def restate_documents(
    documents: Sequence[Document], restated: Sequence[DocumentRestatements]
) -> list[Document]:
    """Write documents with their restatements, in the same order."""
    return [
        restate_document(document, own.restatements)
        for document, own in zip(documents, restated, strict=True)
    ]


def restatements_to_batch(restated: list[DocumentRestatements]) -> pa.RecordBatch:
    """Build an Arrow table of restatements, one row per document."""
    rows = [asdict(own) for own in restated]
    return pa.Table.from_pylist(rows, schema=SCHEMA).combine_chunks().to_batches()[0]


def _list_said(
    restatement: Restatement, place: int, spans: list[Span], is_head: bool
) -> list[Span]:
    """List the mentions among `spans` that a clue says again, where it says them."""
    if restatement.clue_start is None or restatement.clue_end is None:
        return [(place, place + restatement.said)] if is_head else []
    shift = place - restatement.clue_start
    return [
        (start + shift, end + shift)
        for start, end in spans
        if restatement.clue_start <= start and end <= restatement.clue_end
    ]


def _move_fact(fact: Fact, move: Callable[[Span], Span], heads: list[Span], text: str) -> Fact:
    start, end = move((fact.start, fact.end))
    before = [head_end for _, head_end in heads if head_end <= start]
    distance = text.count(" ", max(before), start) if before else None
    return replace(fact, start=start, end=end, distance=distance)
