"""Biographies in which the position of every name and value is known from the start."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from elusive.biogen.compiled_config import CompiledConfig, compile_config
from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.draw import People, draw_people, iterate_few_first
from elusive.biogen.texts.piece_layout import Layout, build_layout
from elusive.biogen.texts.pieces import Strings
from elusive.biogen.texts.sentence_order import Sentences, build_rows, build_sentences
from elusive.common.dataset.arrow_arrays import (
    build_digit_array,
    build_integer_array,
    build_list_array,
    build_string_array,
    build_struct_array,
    join_columns,
)
from elusive.common.dataset.records import SCHEMAS, Document, from_table

_SPLITS = build_string_array(["train", "dev"])


def generate_biographies(config: BiogenConfig) -> Iterator[Document]:
    """Generate the documents of the corpus in order, person by person; all spans are exact.

    Each person has `config.multi` documents of the split train and, with `held_out_wordings`, one
    of the split dev.

    Raises:
        InputError: there are not enough names, or fields and templates do not fit the config.
    """
    compiled = compile_config(config)
    for numbers in iterate_few_first(config.start, config.people):
        batch = build_biography_batch(compiled, draw_people(compiled, numbers))
        yield from from_table(pa.Table.from_batches([batch]), Document)


def build_biography_batch(compiled: CompiledConfig, people: People) -> pa.RecordBatch:
    """Return the documents of some people as rows of the corpus."""
    rows = build_rows(compiled, people)
    strings, sentences = build_sentences(compiled, people, rows)
    layout = build_layout(compiled, rows, sentences)
    stated = sentences.is_head & sentences.is_shown  # (row, sentence): the facts of each row
    template_ids = compiled.wordings.template_ids[layout.form[stated]]
    zeros = build_integer_array(np.zeros(len(rows)))
    columns = _build_text_columns(compiled, strings, sentences, layout)
    columns |= {
        "doc_id": build_document_ids(compiled, people.numbers[rows.person], rows.document),
        "entity": strings.take(people.names[rows.person]),
        "split": _SPLITS.take(build_integer_array(rows.is_dev)),
        "templates": build_list_array(stated, strings.take(template_ids)),
        "variant": build_string_array([compiled.config.variant]).take(zeros),
    }
    schema = SCHEMAS[Document]
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _build_text_columns(
    compiled: CompiledConfig, strings: Strings, sentences: Sentences, layout: Layout
) -> dict[str, pa.Array]:
    """Return the columns text, heads, others and facts."""
    schema = SCHEMAS[Document]
    # 1) Sums of the pieces' measures give the position of every value and name in its text.
    starts = strings.measures[layout.pieces].compute_starts()
    row = np.arange(layout.pieces.shape[1])[:, None]
    value_start, name_start = starts[layout.value, row], starts[layout.name, row]
    name_end = starts[layout.name + 1, row]  # a piece ends where the next one starts

    # 2) Names are mentions of the person or of a distractor.
    columns: dict[str, pa.Array] = {"text": strings.join_text(layout.pieces.T)}
    heads = layout.has_name & sentences.is_head
    for name, mask in (("heads", heads), ("others", layout.has_name & ~sentences.is_head)):
        spans = {
            "start": build_integer_array(name_start[mask].characters),
            "end": build_integer_array(name_end[mask].characters),
        }
        span_type = schema.field(name).type.value_type
        columns[name] = build_list_array(mask, build_struct_array(span_type, spans))

    # 3) Values of sentences about the person are facts.
    stated = sentences.is_head & sentences.is_shown
    distance = _compute_distances(value_start.spaces, name_end.spaces, heads, layout)[stated]
    value = sentences.value[stated]
    start = value_start[stated].characters
    facts = {
        "field": strings.take(compiled.field_names[sentences.field[stated]]),
        "value": strings.take(value),
        "start": build_integer_array(start),
        "end": build_integer_array(start + strings.measures[value].characters),
        "distance": build_integer_array(distance, is_null=distance < 0),
        "position": build_integer_array(value_start[stated].sentence_ends),
    }
    fact_type = schema.field("facts").type.value_type
    columns["facts"] = build_list_array(stated, build_struct_array(fact_type, facts))
    return columns


def _compute_distances(
    value_start: np.ndarray, name_end: np.ndarray, heads: np.ndarray, layout: Layout
) -> np.ndarray:
    """Return the words from the nearest head mention before each value, or -1, (row, sentence).

    Words are single-spaced, so there are as many words as spaces between the two.

    Args:
        value_start: (row, sentence) spaces before the value.
        name_end: (row, sentence) spaces before the end of the name.
        heads: (row, sentence) whether there is a head mention.
        layout: says which of name and value comes first.
    """
    ends = np.where(heads, name_end, -1)
    with_own = np.maximum.accumulate(ends, axis=1)  # mentions up to this sentence's own
    without_own = np.concatenate([np.full((len(ends), 1), -1), with_own[:, :-1]], axis=1)
    nearest = np.where(layout.name < layout.value, with_own, without_own)
    return np.where(nearest < 0, -1, value_start - nearest)


def build_document_ids(
    compiled: CompiledConfig, numbers: np.ndarray, document: np.ndarray
) -> pa.StringArray:
    """Return identifiers: bio-0000007, or bio-0000007-3 if a person has several documents."""
    config = compiled.config
    suffixes = [f"-{number}" for number in range(config.multi)] + ["-held-out"]
    if config.multi == 1:
        suffixes[0] = ""
    return join_columns(
        (build_string_array(["bio-"]), np.zeros_like(numbers)),
        (build_digit_array(numbers, 7), np.arange(len(numbers))),
        (build_string_array(suffixes), document),
    )
