"""Closed-book questions about the people of a corpus, and solved questions about others."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from elusive.biogen.biographies import build_document_ids
from elusive.biogen.compiled_config import CompiledConfig, compile_config
from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.draw import People, compute_shot_numbers, draw_people, iterate_few_first
from elusive.biogen.people.values import PARTNER_BITS
from elusive.biogen.texts.pieces import Strings
from elusive.biogen.texts.question_kinds import Reply, build_replies
from elusive.biogen.texts.question_templates import Asking
from elusive.common.dataset.arrow_arrays import (
    build_boolean_array,
    build_integer_array,
    join_columns,
)
from elusive.common.dataset.records import SCHEMAS, Question, Shot, from_table


def generate_questions(config: BiogenConfig) -> Iterator[Question]:
    """Generate the questions about the people of the corpus, in order.

    All questions about a person are in the same split, dev or test.

    Raises:
        InputError: there are not enough names, or fields and templates do not fit the config.
    """
    compiled = compile_config(config)
    for numbers in iterate_few_first(config.start, config.people):
        batch = build_question_batch(compiled, draw_people(compiled, numbers))
        yield from from_table(pa.Table.from_batches([batch]), Question)


def generate_shots(config: BiogenConfig) -> Iterator[Shot]:
    """Generate solved questions of every field and kind about people outside the corpus.

    Raises:
        InputError: as `generate_questions`.
    """
    compiled = compile_config(config)
    batch = build_shot_batch(compiled, draw_people(compiled, compute_shot_numbers(compiled)))
    yield from from_table(pa.Table.from_batches([batch]), Shot)


def build_question_batch(compiled: CompiledConfig, people: People) -> pa.RecordBatch:
    """Return the questions about some people as rows."""
    rows = _build_rows(compiled, people, compiled.phrasings.askings, in_corpus=True)
    doc_ids = build_document_ids(compiled, people.numbers, np.zeros_like(people.numbers))
    suffixes = compiled.strings.take(np.array([asking.suffix for asking in rows.askings]))
    is_dev = _is_dev(compiled, people.numbers)[rows.person]
    columns = {
        "question_id": join_columns((doc_ids, rows.person), (suffixes, rows.asking)),
        "doc_id": doc_ids.take(build_integer_array(rows.person)),
        "answers": _build_answer_lists(rows),
        "split": rows.strings.take(
            np.where(is_dev, compiled.phrasings.dev, compiled.phrasings.test)
        ),
        "phrasing": build_integer_array(rows.phrasing),
        "held_out": build_boolean_array(rows.read_askings("held_out")),
        "hops": build_integer_array(rows.hops),
        **_build_common_columns(people, rows),
    }
    schema = SCHEMAS[Question]
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def build_shot_batch(compiled: CompiledConfig, people: People) -> pa.RecordBatch:
    """Return solved questions about people outside the corpus; none has a held-out phrasing."""
    askings = [asking for asking in compiled.phrasings.askings if not asking.held_out]
    rows = _build_rows(compiled, people, askings, in_corpus=False)
    answers = rows.strings.take(rows.first_answer)
    columns = {"answer": answers, **_build_common_columns(people, rows)}
    schema = SCHEMAS[Shot]
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


@dataclass(frozen=True)
class _QuestionRows:
    """Questions about some people, person by person."""

    strings: Strings
    """Strings that the pieces refer to."""
    askings: list[Asking]
    person: np.ndarray  # (question,) index of the person in the batch
    asking: np.ndarray  # (question,) index of the asking
    text: np.ndarray  # (question, 5) pieces
    phrasing: np.ndarray  # (question,)
    first_answer: np.ndarray  # (question,) piece of the first gold answer; the others follow it
    num_answers: np.ndarray  # (question,) gold answers
    hops: np.ndarray  # (question,)

    def read_askings(self, attribute: str) -> np.ndarray:
        """Return an attribute of the asking of each question, (question,)."""
        return np.array([getattr(asking, attribute) for asking in self.askings])[self.asking]


def _build_rows(
    compiled: CompiledConfig, people: People, askings: list[Asking], in_corpus: bool
) -> _QuestionRows:
    strings, replies = build_replies(compiled, people, askings, in_corpus)
    texts = [
        _build_texts(compiled, people, asking, reply)
        for asking, reply in zip(askings, replies, strict=True)
    ]
    mask = np.stack([reply.is_asked for reply in replies], axis=1)  # (person, asking)
    person, asking = np.nonzero(mask)

    def collect(attribute: str) -> np.ndarray:
        arrays = [np.broadcast_to(getattr(reply, attribute), len(people)) for reply in replies]
        return np.stack(arrays, axis=1)[mask]

    return _QuestionRows(
        strings=strings,
        askings=askings,
        person=person,
        asking=asking,
        text=np.stack([pieces for pieces, _ in texts], axis=1)[mask],
        phrasing=np.stack([phrasing for _, phrasing in texts], axis=1)[mask],
        first_answer=collect("first_answer"),
        num_answers=collect("num_answers"),
        hops=collect("hops"),
    )


def _build_texts(
    compiled: CompiledConfig, people: People, asking: Asking, reply: Reply
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a phrasing for each person; return its pieces (person, 5) and its number (person,)."""
    phrasing = compiled.draw_integers(len(asking.parts), people.numbers, "phrasing", asking.name)
    slots = (reply.value, reply.name) if asking.value_first else (reply.name, reply.value)
    pieces = np.empty((len(people), 5), np.int64)
    pieces[:, ::2] = asking.parts[phrasing]
    pieces[:, 1], pieces[:, 3] = slots
    return pieces, asking.first_phrasing + phrasing


def _build_common_columns(people: People, rows: _QuestionRows) -> dict[str, pa.Array]:
    return {
        "entity": rows.strings.take(people.names[rows.person]),
        "field": rows.strings.take(rows.read_askings("label")),
        "question": rows.strings.join_text(rows.text),
        "kind": rows.strings.take(rows.read_askings("kind_piece")),
    }


def _build_answer_lists(rows: _QuestionRows) -> pa.ListArray:
    ends = np.cumsum(np.concatenate([[0], rows.num_answers]))
    within = np.arange(ends[-1]) - np.repeat(ends[:-1], rows.num_answers)
    pieces = np.repeat(rows.first_answer, rows.num_answers) + within
    return pa.ListArray.from_arrays(build_integer_array(ends), rows.strings.take(pieces))


def _is_dev(compiled: CompiledConfig, numbers: np.ndarray) -> np.ndarray:
    """Return whose questions are in the split dev, (person,) bool; relatives go together.

    Dev people are spread evenly over the numbers, so that every part of a corpus has its share,
    and a person's split does not depend on how many people there are. The first group of
    relatives is never in dev; the second one is, unless the rate is 0.
    """
    bits = [PARTNER_BITS[field.relation] for field in compiled.fields if field.relation]
    group = numbers // (2 * max(bits) if bits else 1)
    before, including = (
        np.ceil(np.round((group - shift) * compiled.config.dev_rate, 9)) for shift in (1, 0)
    )
    return (including > before) & (group > 0)
