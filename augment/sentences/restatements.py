"""What sentences say again, and the documents in which they do; this imports no PyTorch."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pyarrow as pa

from elusive.common.dataset.records import Document, Fact, Span
from elusive.common.text.languages import count_words_between


@dataclass(frozen=True)
class Restatement:
    """A clue that is said again in a sentence."""

    start: int
    """First character of the document that it replaces."""
    end: int
    """One past the last; the same as `start` where the clue is put before the sentence."""
    text: str
    """What is written in their place: the clue, and `'s` or a colon after it."""
    said: int
    """Number of characters of `text` that are the clue; they come first."""
    clue_start: int | None
    """First character of the clue in the document; None for a title, which need not occur there."""
    clue_end: int | None
    """One past its last character."""

    def overlaps(self, spans: Sequence[Span]) -> bool:
        """Whether the clue shares a character with any of some spans of its document."""
        if self.clue_start is None or self.clue_end is None:
            return False
        return any(start < self.clue_end and self.clue_start < end for start, end in spans)


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
    restated = replace(document, text=text, heads=heads, others=others)
    return replace(restated, facts=[_move_fact(fact, move, restated) for fact in document.facts])


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


def _move_fact(fact: Fact, move: Callable[[Span], Span], restated: Document) -> Fact:
    start, end = move((fact.start, fact.end))
    before = [head_end for _, head_end in restated.heads if head_end <= start]
    distance = None
    if before:
        distance = count_words_between(restated.text, max(before), start, restated.language)
    return replace(fact, start=start, end=end, distance=distance)
