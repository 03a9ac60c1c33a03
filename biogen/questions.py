"""Closed-book questions about the people of a corpus, and solved ones about others."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from elusive.biogen.biographies import document_ids
from elusive.biogen.config import BiogenConfig
from elusive.biogen.people import (
    People,
    distractor_numbers,
    draw_people,
    people_ranges,
    shot_numbers,
)
from elusive.biogen.phrasings import Asking
from elusive.biogen.sentences import is_left_out
from elusive.biogen.values import PARTNER_BITS, draw_values
from elusive.biogen.world import World, build_world
from elusive.common.records import SCHEMAS, Question, Shot, from_table
from elusive.common.strings import Strings, booleans, concatenated, integers

EMPTY = 0
STRANGER_BITS = PARTNER_BITS["sibling"] | PARTNER_BITS["colleague"]
"""Turned in a person's number, they give someone who is neither sibling nor colleague."""


def questions(config: BiogenConfig) -> Iterator[Question]:
    """The questions about the people of the corpus, in order; dev and test are split by person.

    Raises:
        InputError: what the config asks of names, fields or templates cannot be had.
    """
    world = build_world(config)
    for numbers in people_ranges(config.start, config.people):
        batch = question_batch(world, draw_people(world, numbers))
        yield from from_table(pa.Table.from_batches([batch]), Question)


def shots(config: BiogenConfig) -> Iterator[Shot]:
    """Solved questions of every field and kind about people outside the corpus."""
    world = build_world(config)
    batch = shot_batch(world, draw_people(world, shot_numbers(world)))
    yield from from_table(pa.Table.from_batches([batch]), Shot)


def question_batch(world: World, people: People) -> pa.RecordBatch:
    """The questions about some people as rows."""
    answers = [_answered(world, people, asking) for asking in world.phrasings.askings]
    strings = _strings(world, people)
    asked = np.stack([answer.asked for answer in answers], axis=1)
    person = np.broadcast_to(np.arange(len(people))[:, None], asked.shape)[asked]
    asking = np.broadcast_to(np.arange(asked.shape[1]), asked.shape)[asked]
    doc_ids = document_ids(world, people.numbers, np.zeros_like(people.numbers))
    is_dev = dev_mask(world, people.numbers)[person]
    columns = {
        "question_id": _question_ids(world, doc_ids, person, asking),
        "doc_id": doc_ids.take(integers(person)),
        "entity": strings.take(people.names[person]),
        "field": strings.take(_of_askings(world, "label")[asking]),
        "question": strings.join_text(np.stack([a.text for a in answers], axis=1)[asked]),
        "answers": _answer_lists(strings, answers, asked),
        "split": strings.take(np.where(is_dev, world.phrasings.dev, world.phrasings.test)),
        "kind": strings.take(_of_askings(world, "kind_piece")[asking]),
        "phrasing": integers(np.stack([a.phrasing for a in answers], axis=1)[asked]),
        "held_out": booleans(_of_askings(world, "held_out")[asking]),
        "hops": integers(np.stack([a.hops for a in answers], axis=1)[asked]),
    }
    schema = SCHEMAS[Question]
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def shot_batch(world: World, people: People) -> pa.RecordBatch:
    """Solved questions about people outside the corpus; never in a held-out phrasing."""
    askings = [asking for asking in world.phrasings.askings if not asking.held_out]
    answers = [_answered(world, people, asking, in_corpus=False) for asking in askings]
    strings = _strings(world, people)
    asked = np.stack([answer.asked for answer in answers], axis=1)
    person = np.broadcast_to(np.arange(len(people))[:, None], asked.shape)[asked]
    number = np.broadcast_to(np.arange(asked.shape[1]), asked.shape)[asked]
    labels = np.array([[asking.label, asking.kind_piece] for asking in askings])[number]
    columns = {
        "entity": strings.take(people.names[person]),
        "field": strings.take(labels[:, 0]),
        "question": strings.join_text(np.stack([a.text for a in answers], axis=1)[asked]),
        "answer": strings.take(np.stack([a.first for a in answers], axis=1)[asked]),
        "kind": strings.take(labels[:, 1]),
    }
    schema = SCHEMAS[Shot]
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


@dataclass(frozen=True)
class _Answered:
    """One kind of question about each of some people, with its gold answers."""

    asked: np.ndarray  # (person,) bool: whether it is asked at all
    text: np.ndarray  # (person, 5) pieces of the question
    first: np.ndarray  # (person,) piece of the first gold answer
    count: np.ndarray  # (person,) gold answers, which stand one after the other
    phrasing: np.ndarray  # (person,)
    hops: np.ndarray  # (person,)


def _strings(world: World, people: People) -> Strings:
    """What pieces refer to: the people's strings, then a stranger's name for each."""
    strangers = world.names.names_of(people.numbers ^ STRANGER_BITS)
    return concatenated([people.strings, strangers])


def _answered(world: World, people: People, asking: Asking, in_corpus: bool = True) -> _Answered:
    """Ask one kind of question about each person."""
    size = len(people)
    drawn = world.integers(len(asking.parts), people.numbers, "phrasing", asking.name)
    parts = asking.parts[drawn]
    empty = np.full(size, EMPTY)
    name, value = people.names, people.value_pieces[:, asking.field]
    first, count = _gold(world, people.values[:, asking.field], value, asking.field)
    asked, hops, slots = np.ones(size, bool), np.ones(size, np.int64), (name, empty)
    left_out = _is_left_out(world, people.numbers, asking.field)
    if asking.kind == "direct" and left_out.any():
        known = _is_told(world, people.numbers, asking.field)
        asked, hops = ~left_out | known, 1 + left_out
    elif asking.kind == "yes-no":
        guess, first = _guessed(world, people, asking)
        asked, count, slots = ~left_out, np.ones(size, np.int64), (name, guess)
    elif asking.kind == "reverse":
        wanted = 1 if in_corpus else 0
        owners = num_owners(world.config, asking.field)[people.values[:, asking.field]]
        asked = (owners == wanted) & ~left_out
        first, count, slots = name, np.ones(size, np.int64), (empty, value)
    elif asking.kind == "multi-hop":
        assert asking.relation is not None
        partners = people.values[:, asking.relation]
        values = draw_values(world.config, partners)[:, asking.field]
        pieces = world.values.base[asking.field] + values
        first, count = _gold(world, values, pieces, asking.field)
        asked = ~_is_left_out(world, partners, asking.field)
        asked &= _in_corpus(world.config, partners) | (not in_corpus)
        hops = np.full(size, 2)
    one, other = reversed(slots) if asking.value_first else slots
    text = np.stack([parts[:, 0], one, parts[:, 1], other, parts[:, 2]], axis=1)
    return _Answered(asked, text, first, count, asking.first_phrasing + drawn, hops)


def _gold(
    world: World, values: np.ndarray, pieces: np.ndarray, field: int
) -> tuple[np.ndarray, np.ndarray]:
    """First gold answer and number of gold answers of values, (person,) each."""
    if world.fields[field].relation:
        return pieces, np.ones(len(pieces), np.int64)
    begins = world.values.answers[field]
    return begins[values], begins[values + 1] - begins[values]


def _guessed(world: World, people: People, asking: Asking) -> tuple[np.ndarray, np.ndarray]:
    """The value that a yes-no question names, right or wrong, and the piece of yes or no."""
    is_right = world.chosen(0.5, people.numbers, "yes-no", asking.name)
    right = people.value_pieces[:, asking.field]
    if world.fields[asking.field].relation:
        wrong = len(people.strings) + np.arange(len(people))
    else:
        size = int(world.values.count[asking.field])
        shift = 1 + world.integers(size - 1, people.numbers, "wrong", asking.name)
        wrong = (people.values[:, asking.field] + shift) % size + world.values.base[asking.field]
    answer = np.where(is_right, world.phrasings.yes, world.phrasings.no)
    return np.where(is_right, right, wrong), answer


def _is_left_out(world: World, numbers: np.ndarray, field: int) -> np.ndarray:
    """Whether the texts of people leave a field out, (person,)."""
    if not world.config.two_hop_rate or not world.fields[field].depends_on:
        return np.zeros(len(numbers), bool)
    return is_left_out(world, numbers, world.fields[field].name)


def _is_told(world: World, numbers: np.ndarray, field: int) -> np.ndarray:
    """Whether some text of the corpus tells what a field is that people's own texts leave out."""
    parent = world.config.field_named(world.fields[field].depends_on or "")
    column = world.config.fields.index(parent.name)
    return _told_parents(world.config, field, column)[draw_values(world.config, numbers)[:, column]]


@lru_cache(maxsize=8)
def _told_parents(config: BiogenConfig, field: int, column: int) -> np.ndarray:
    """Values of the field `column` on which `field` is stated in some text, (value,) bool."""
    world = build_world(config)
    told = np.zeros(int(world.values.count[column]), bool)
    for numbers in people_ranges(config.start, config.people):
        stated = numbers[~_is_left_out(world, numbers, field)]
        told[draw_values(config, stated)[:, column]] = True
    return told


@lru_cache(maxsize=16)
def num_owners(config: BiogenConfig, field: int) -> np.ndarray:
    """How many people of the corpus, distractors included, have each value of a field, (value,)."""
    world = build_world(config)
    owners = np.zeros(int(world.values.count[field]), np.int64)
    for numbers in people_ranges(config.start, config.people, size=1 << 16):
        everyone = np.concatenate([numbers, distractor_numbers(world, numbers).ravel()])
        values = draw_values(config, everyone)[:, field]
        owners += np.bincount(values, minlength=len(owners))
    return owners


def _in_corpus(config: BiogenConfig, numbers: np.ndarray) -> np.ndarray:
    """Which people belong to the corpus."""
    return (numbers >= config.start) & (numbers < config.start + config.people)


def dev_mask(world: World, numbers: np.ndarray) -> np.ndarray:
    """Whose questions are for development, (person,) bool; relatives go together.

    Spread evenly over the numbers, so that any part of a corpus has its share, and nobody's split
    depends on how many people there are. The first person is never one of them, the next one is.
    """
    rate = world.config.dev_rate
    unit = numbers // _people_together(world)
    before, upto = (np.ceil(np.round((unit - shift) * rate, 9)) for shift in (1, 0))
    return (upto > before) & (unit > 0)


def _people_together(world: World) -> int:
    """How many people in a row are related to each other."""
    bits = [PARTNER_BITS[field.relation] for field in world.fields if field.relation]
    return 2 * max(bits) if bits else 1


def _of_askings(world: World, attribute: str) -> np.ndarray:
    """One attribute of all kinds of questions, (asking,)."""
    return np.array([getattr(asking, attribute) for asking in world.phrasings.askings])


def _question_ids(
    world: World, doc_ids: pa.StringArray, person: np.ndarray, asking: np.ndarray
) -> pa.StringArray:
    """Identifiers such as bio-0000007/major."""
    suffixes = world.strings.take(_of_askings(world, "suffix"))
    strings = Strings(pa.concat_arrays([suffixes, doc_ids]), np.zeros(0))
    return strings.join_text(np.stack([len(suffixes) + person, asking], axis=1))


def _answer_lists(strings: Strings, answers: list[_Answered], asked: np.ndarray) -> pa.ListArray:
    """The gold answers of every question that is asked."""
    first = np.stack([answer.first for answer in answers], axis=1)[asked]
    count = np.stack([answer.count for answer in answers], axis=1)[asked]
    ends = np.cumsum(np.concatenate([[0], count]))
    numbers = np.repeat(first - ends[:-1], count) + np.arange(ends[-1])
    return pa.ListArray.from_arrays(integers(ends), strings.take(numbers))
