"""The records that stages exchange, each with its Arrow schema.

All offsets are characters of `text`, half-open: `text[start:end] == value` for every fact.
"""

import re
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar

import pyarrow as pa

Record = TypeVar("Record")

Span = tuple[int, int]
"""(start, end) in characters, half-open."""
WIKIPEDIA = "wikipedia"
"""Variant of documents that are paragraphs of articles."""
NUMBERED = r"article \d+"
"""Pattern of the entities of articles without a title."""


@dataclass(frozen=True)
class Fact:
    """A value that the text states about its entity."""

    field: str
    value: str
    start: int
    """First character of the value in the text."""
    end: int
    """One past the last character of the value."""
    distance: int | None
    """Words from the last word of the nearest head mention before the value to the value's first
    word (1: the next word); None if no head mention precedes it. Where a script puts no blank
    between words, its characters are counted."""
    position: int
    """Index of the sentence that states it, from 0."""


@dataclass(frozen=True)
class Document:
    """A text about one entity, with the position of every mention and every fact."""

    doc_id: str
    entity: str
    text: str
    heads: list[Span]
    """Every mention of the entity by name."""
    others: list[Span]
    """Every mention of other people by name, except those that are values."""
    facts: list[Fact]
    split: Literal["train", "dev"]
    templates: list[str]
    """Identifiers of the templates that state the facts, one per fact; empty for real text."""
    variant: str
    """Variant of the generator, such as `single`."""
    language: str = "en"
    """Code of the text's language. The dataset states it, and no column holds it."""

    @property
    def name(self) -> str | None:
        """What the entity is called; None for an article without a title, which has a number."""
        is_numbered = self.variant == WIKIPEDIA and re.fullmatch(NUMBERED, self.entity)
        return None if is_numbered else self.entity


@dataclass(frozen=True)
class Question:
    """A question that is answered without the document at hand."""

    question_id: str
    doc_id: str
    entity: str
    field: str
    question: str
    answers: list[str]
    """Gold answers, each of which counts; the first is written as in the text."""
    split: Literal["dev", "test"]
    kind: str = "direct"
    """What is asked for: `direct` the value of a field, `yes-no` whether the field has this value,
    `reverse` whose value it is, `multi-hop` the value of someone who is named by a relation."""
    phrasing: int = 0
    """Index among the phrasings of the field."""
    held_out: bool = False
    """Whether no shot uses this phrasing."""
    hops: int = 1
    """Documents that one has to know to answer."""
    language: str = "en"
    """Code of the language in which its answers are scored. The dataset states it, and no column
    holds it."""


@dataclass(frozen=True)
class Link:
    """A link in a text to another article."""

    start: int
    """First character of the linked words."""
    end: int
    """One past their last character."""
    target: str
    """Title of the article."""


@dataclass(frozen=True, kw_only=True)
class WikiDocument(Document):
    """A paragraph of a Wikipedia article, with its source."""

    title: str
    """Title of the article, as the source writes it."""
    section: str
    """Headings above it, joined with ` > `; empty for the lead or if the source has none."""
    links: list[Link]
    revision: str
    """Identifier of the article's revision; empty if the source has none."""
    url: str
    licence: str


@dataclass(frozen=True, kw_only=True)
class WikiQuestion(Question):
    """A question about a paragraph."""

    answer_starts: list[int]
    """Character of the text at which each gold answer begins, or -1 for another name of the answer
    that the text lacks. The first is where the fact stands
    that the question asks for, which tells it apart from other facts of the same field."""
    blind: str
    """Grade of a model's answer without the paragraph: `right`, `wrong`, or empty if not asked."""
    informed: str
    """Grade of its answer with the paragraph."""
    licence: str


@dataclass(frozen=True)
class Shot:
    """A solved question about an entity outside the corpus, for prompts and format replay."""

    entity: str
    field: str
    question: str
    answer: str
    kind: str = "direct"
    """As in `Question`."""


@dataclass(frozen=True)
class TrainingText:
    """One copy of a document as the model reads it."""

    doc_id: str
    copy: int
    """0 is the original; 1 to k are the copies."""
    text: str
    kept: list[Span]
    """Characters of the original that the copy keeps, in the copy's order."""
    pieces: list[Span]
    """Characters of the original that the copy is made of before anything is dropped, in the copy's
    order and joined as `join_pieces` says; empty if the copy has words that the original lacks."""
    drop_rate: float
    """Share of the document's tokens that are dropped, in [0, 1]."""
    method: str
    alpha: float | None
    beta: float | None
    seed: int


@dataclass(frozen=True)
class DocumentScores:
    """The droppable units of a document, and how an arm scored each."""

    doc_id: str
    units: list[Span]
    """Characters of each unit."""
    scores: list[float]
    """One per unit; units with higher scores are kept more often, infinite ones always."""


@dataclass(frozen=True)
class Prediction:
    """An answered question, with all that is needed to score it again."""

    question_id: str
    entity: str
    field: str
    question: str
    answers: list[str]
    prediction: str
    em: float
    f1: float
    opens: float
    """1.0 if a gold answer opens the prediction."""
    contains: float
    """1.0 if a gold answer occurs in the prediction."""
    log_probability: float
    """Mean log-probability per token of the first gold answer, in nats."""
    answer_position: int | None
    """Word index at which a gold answer begins in the prediction; None if it does not occur."""
    kind: str = "direct"
    """As in `Question`, like the next three."""
    phrasing: int = 0
    held_out: bool = False
    hops: int = 1
    distance: int | None = None
    """As in the fact that is asked for; None if there is no such fact."""
    position: int | None = None
    """The same."""
    forced_choice: float | None = None
    """Share of distractors, gold answers of other questions of the topic, that have a lower mean
    log-probability per token than the first gold answer (a tie counts half); None if there are
    none."""


_SPANS = pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32())]))
_STRINGS = pa.list_(pa.string())
_FACTS = pa.list_(
    pa.struct(
        [
            ("field", pa.string()),
            ("value", pa.string()),
            ("start", pa.int32()),
            ("end", pa.int32()),
            ("distance", pa.int32()),
            ("position", pa.int32()),
        ]
    )
)

SCHEMAS: dict[type, pa.Schema] = {
    Document: pa.schema(
        [
            ("doc_id", pa.string()),
            ("entity", pa.string()),
            ("text", pa.string()),
            ("heads", _SPANS),
            ("others", _SPANS),
            ("facts", _FACTS),
            ("split", pa.string()),
            ("templates", _STRINGS),
            ("variant", pa.string()),
        ]
    ),
    Question: pa.schema(
        [
            ("question_id", pa.string()),
            ("doc_id", pa.string()),
            ("entity", pa.string()),
            ("field", pa.string()),
            ("question", pa.string()),
            ("answers", _STRINGS),
            ("split", pa.string()),
            ("kind", pa.string()),
            ("phrasing", pa.int32()),
            ("held_out", pa.bool_()),
            ("hops", pa.int32()),
        ]
    ),
    Shot: pa.schema(
        [
            ("entity", pa.string()),
            ("field", pa.string()),
            ("question", pa.string()),
            ("answer", pa.string()),
            ("kind", pa.string()),
        ]
    ),
    TrainingText: pa.schema(
        [
            ("doc_id", pa.string()),
            ("copy", pa.int32()),
            ("text", pa.string()),
            ("kept", _SPANS),
            ("pieces", _SPANS),
            ("drop_rate", pa.float32()),
            ("method", pa.string()),
            ("alpha", pa.float64()),
            ("beta", pa.float64()),
            ("seed", pa.int64()),
        ]
    ),
    DocumentScores: pa.schema(
        [
            ("doc_id", pa.string()),
            ("units", _SPANS),
            ("scores", pa.list_(pa.float32())),
        ]
    ),
    Prediction: pa.schema(
        [
            ("question_id", pa.string()),
            ("entity", pa.string()),
            ("field", pa.string()),
            ("question", pa.string()),
            ("answers", _STRINGS),
            ("prediction", pa.string()),
            ("em", pa.float64()),
            ("f1", pa.float64()),
            ("opens", pa.float64()),
            ("contains", pa.float64()),
            ("log_probability", pa.float64()),
            ("answer_position", pa.int32()),
            ("kind", pa.string()),
            ("phrasing", pa.int32()),
            ("held_out", pa.bool_()),
            ("hops", pa.int32()),
            ("distance", pa.int32()),
            ("position", pa.int32()),
            ("forced_choice", pa.float64()),
        ]
    ),
}
"""Arrow schema of each record, in which a span is a struct of start and end."""

_LINKS = pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32()), ("target", pa.string())]))
SCHEMAS[WikiDocument] = pa.schema(
    [
        *SCHEMAS[Document],
        pa.field("title", pa.string()),
        pa.field("section", pa.string()),
        pa.field("links", _LINKS),
        pa.field("revision", pa.string()),
        pa.field("url", pa.string()),
        pa.field("licence", pa.string()),
    ]
)
SCHEMAS[WikiQuestion] = pa.schema(
    [
        *SCHEMAS[Question],
        pa.field("answer_starts", pa.list_(pa.int32())),
        pa.field("blind", pa.string()),
        pa.field("informed", pa.string()),
        pa.field("licence", pa.string()),
    ]
)

NOT_STORED = "language"
"""Field of records that has no column."""
ADDED = ("forced_choice",)
"""Columns that files of earlier versions lack; the record's default stands for them."""
_SPAN_COLUMNS = ("heads", "others", "kept", "pieces", "units")


def to_table(records: list[Record], kind: type[Record]) -> pa.Table:
    """Build an Arrow table with one row per record, in order."""
    rows = [asdict(record) for record in records]  # type: ignore[call-overload]
    for column in _SPAN_COLUMNS:
        for row in rows:
            if column in row:
                row[column] = [{"start": start, "end": end} for start, end in row[column]]
    return pa.Table.from_pylist(rows, schema=SCHEMAS[kind])


def from_table(
    table: pa.Table | pa.RecordBatch, kind: type[Record], **unstored: str
) -> list[Record]:
    """Build the records of an Arrow table, in order; the inverse of `to_table`.

    Args:
        table: the rows.
        kind: of the records.
        unstored: the language of all records, if it is not English.
    """
    return [_from_row(row, kind, unstored) for row in table.to_pylist()]


def _from_row(row: dict, kind: type[Record], unstored: dict[str, str]) -> Record:
    names = [field.name for field in fields(kind) if field.name != NOT_STORED]  # type: ignore[arg-type]
    given = {name: row[name] for name in names if name in row or name not in ADDED}
    values: dict[str, Any] = given | unstored
    for column in _SPAN_COLUMNS:
        if column in values:
            values[column] = [(span["start"], span["end"]) for span in values[column]]
    if "facts" in values:
        values["facts"] = [Fact(**fact) for fact in values["facts"]]
    if "links" in values:
        values["links"] = [Link(**link) for link in values["links"]]
    return kind(**values)
