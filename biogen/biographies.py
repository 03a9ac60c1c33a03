"""Biographies whose names and values are located while they are put together."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.draw import People, draw_people, people_ranges
from elusive.biogen.texts.piece_layout import Layout, layout_of
from elusive.biogen.texts.pieces import (
    Strings,
    characters,
    digits,
    integers,
    list_array,
    repeated,
    sentence_ends,
    spaces,
    starts,
    strings_array,
    struct_array,
)
from elusive.biogen.texts.sentence_order import Sentences, rows_of, sentences_of
from elusive.biogen.world import World, build_world
from elusive.common.dataset.records import SCHEMAS, Document, from_table

_SPLITS = strings_array(["train", "dev"])


def biographies(config: BiogenConfig) -> Iterator[Document]:
    """The documents of the corpus in order, person by person; spans are exact by construction.

    Each person has `config.multi` documents of the split train and, with `held_out_wordings`, one
    of the split dev.

    Raises:
        InputError: what the config asks of names, fields or templates cannot be had.
    """
    world = build_world(config)
    for numbers in people_ranges(config.start, config.people):
        batch = biography_batch(world, draw_people(world, numbers))
        yield from from_table(pa.Table.from_batches([batch]), Document)


def biography_batch(world: World, people: People) -> pa.RecordBatch:
    """The documents of some people as rows of the corpus."""
    rows = rows_of(world, people)
    strings, sentences = sentences_of(world, people, rows)
    layout = layout_of(world, rows, sentences)
    columns = _text_columns(world, strings, sentences, layout)
    columns |= {
        "doc_id": document_ids(world, people.numbers[rows.person], rows.entry),
        "entity": strings.take(people.names[rows.person]),
        "split": _SPLITS.take(integers(rows.entry == world.config.multi)),
        "templates": _template_ids(world, strings, sentences),
        "variant": repeated(world.config.variant, len(rows)),
    }
    schema = SCHEMAS[Document]
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _text_columns(
    world: World, strings: Strings, sentences: Sentences, layout: Layout
) -> dict[str, pa.Array]:
    """The columns text, heads, others and facts."""
    measures = strings.measures[layout.pieces]
    begins = starts(measures)
    row = np.arange(begins.shape[1])[:, None]
    value_begin, name_begin = begins[layout.value, row], begins[layout.name, row]
    name_end = begins[layout.name + 1, row]
    about_head = sentences.is_head & sentences.is_shown
    heads, others = layout.has_name & about_head, layout.has_name & ~sentences.is_head
    schema = SCHEMAS[Document]
    distance = _distances(spaces(value_begin), spaces(name_end), heads, layout)[about_head]
    value = sentences.value[about_head]
    begin = characters(value_begin[about_head])
    facts = {
        "field": strings.take(world.field_names + sentences.field[about_head]),
        "value": strings.take(value),
        "start": integers(begin),
        "end": integers(begin + characters(strings.measures[value])),
        "distance": integers(distance, is_null=distance < 0),
        "position": integers(sentence_ends(value_begin[about_head])),
    }
    spans = {"heads": heads, "others": others}
    columns: dict[str, pa.Array] = {
        name: list_array(
            mask,
            struct_array(
                schema.field(name).type.value_type,
                {
                    "start": integers(characters(name_begin[mask])),
                    "end": integers(characters(name_end[mask])),
                },
            ),
        )
        for name, mask in spans.items()
    }
    fact_type = schema.field("facts").type.value_type
    columns["facts"] = list_array(about_head, struct_array(fact_type, facts))
    columns["text"] = strings.join_text(layout.pieces.T)
    return columns


def _distances(
    value_begin: np.ndarray, name_end: np.ndarray, heads: np.ndarray, layout: Layout
) -> np.ndarray:
    """Words from the nearest head mention before each value, (row, sentence); -1: there is none.

    As many as there are spaces between, since words are single-spaced.
    """
    ends = np.where(heads, name_end, -1)
    upto = np.maximum.accumulate(ends, axis=1)
    before = np.concatenate([np.full((len(ends), 1), -1), upto[:, :-1]], axis=1)
    nearest = np.where(layout.name < layout.value, upto, before)
    return np.where(nearest < 0, -1, value_begin - nearest)


def _template_ids(world: World, strings: Strings, sentences: Sentences) -> pa.ListArray:
    """Identifiers of the templates that state the facts of each row, in order.

    They are numbers in the field's list, where held-out templates stand at the end.
    """
    sizes = np.array([len(field.templates) for field in world.fields])[sentences.field]
    wordings = world.wordings
    num_train = wordings.num_train[sentences.field]
    held_out = sentences.template >= num_train
    shift = np.where(held_out, sizes - num_train - wordings.num_held_out[sentences.field], 0)
    numbers = wordings.template_ids[sentences.field] + sentences.template + shift
    about_head = sentences.is_head & sentences.is_shown
    return list_array(about_head, strings.take(numbers[about_head]))


def document_ids(world: World, numbers: np.ndarray, entry: np.ndarray) -> pa.StringArray:
    """Identifiers such as bio-0000007, or bio-0000007-3 where a person has several documents."""
    config = world.config
    endings = [f"-{number}" for number in range(config.multi)] + ["-held-out"]
    if config.multi == 1:
        endings[0] = ""
    parts = Strings.of(["bio-", *endings]).array
    ids = pa.concat_arrays([parts, digits(numbers, 7)])
    pieces = np.stack(
        [np.zeros_like(numbers), len(parts) + np.arange(len(numbers)), 1 + entry], axis=1
    )
    return Strings(ids, np.zeros(0)).join_text(pieces)
