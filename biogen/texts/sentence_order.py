"""Which sentences each document has: their order, their templates, and whom they name."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from elusive.biogen.people.draw import People, distractor_numbers, draw_people
from elusive.biogen.texts.pieces import Strings, concatenated
from elusive.biogen.world import World
from elusive.common.seeding import hashed, permuted

LEFT_OUT = 1e9
"""Sorts after every sentence that is shown."""


@dataclass(frozen=True)
class Rows:
    """Which person and which of the person's documents each row is."""

    person: np.ndarray  # (row,) place of the person in the batch
    entry: np.ndarray  # (row,) 0 to multi - 1; multi: the dev document
    item: np.ndarray  # (row,) number for random draws, unique over all rows

    def __len__(self) -> int:
        return len(self.person)


@dataclass(frozen=True)
class Sentences:
    """The sentences of each row that state a fact, in order; those left out come last."""

    field: np.ndarray  # (row, sentence) number of the field
    template: np.ndarray  # (row, sentence) number among the field's templates in use
    value: np.ndarray  # (row, sentence) piece of the value
    name: np.ndarray  # (row, sentence) piece of the name of the one whom it is about
    pronouns: np.ndarray  # (row, sentence) 0, 1 or 2
    is_head: np.ndarray  # (row, sentence) bool: about the person, not about a distractor
    is_shown: np.ndarray  # (row, sentence) bool
    order: np.ndarray  # (row, sentence) sorts the sentences of a row

    def combined(self, combine: Callable[..., np.ndarray], *others: "Sentences") -> "Sentences":
        """Sentences whose arrays are made from the same arrays of these and of others."""
        every = (self, *others)
        return Sentences(
            **{
                each.name: combine(*(getattr(one, each.name) for one in every))
                for each in fields(self)
            }
        )


def rows_of(world: World, people: People) -> Rows:
    """All documents of the people, person by person."""
    per_person = world.config.documents_per_person
    person = np.repeat(np.arange(len(people)), per_person)
    entry = np.tile(np.arange(per_person), len(people))
    return Rows(person, entry, people.numbers[person] + (entry << 40))


def sentences_of(world: World, people: People, rows: Rows) -> tuple[Strings, Sentences]:
    """The sentences of each row in order, and the strings that their pieces refer to."""
    strings, sentences = people.strings, _about_heads(world, people, rows)
    if world.config.distractors:
        strings, others = _about_others(world, people, rows)
        sentences = sentences.combined(lambda *arrays: np.concatenate(arrays, axis=1), others)
    if (np.diff(sentences.order, axis=1) < 0).any():
        order = np.argsort(sentences.order, axis=1, kind="stable")
        sentences = sentences.combined(lambda each: np.take_along_axis(each, order, axis=1))
    return strings, sentences


def _about_heads(world: World, people: People, rows: Rows) -> Sentences:
    """One sentence per field about the person of each row."""
    shape = (len(rows), len(world.fields))
    is_shown = _is_shown(world, people)[rows.person]
    order = np.broadcast_to(np.arange(shape[1], dtype=float), shape)
    if world.config.permute:
        drawn = [hashed(world.key("order", field.name), rows.item) for field in world.fields]
        order = np.argsort(np.argsort(np.stack(drawn, axis=1), axis=1), axis=1).astype(float)
    return Sentences(
        field=np.broadcast_to(np.arange(shape[1]), shape),
        template=_templates(world, people, rows),
        value=people.value_pieces[rows.person],
        name=np.broadcast_to(people.names[rows.person][:, None], shape),
        pronouns=np.broadcast_to(people.pronouns[rows.person][:, None], shape),
        is_head=np.ones(shape, bool),
        is_shown=is_shown,
        order=np.where(is_shown, order, LEFT_OUT),
    )


def _is_shown(world: World, people: People) -> np.ndarray:
    """Which fields a person's texts state, (person, field)."""
    columns = range(len(world.fields))
    return ~np.stack([is_left_out(world, people.numbers, column) for column in columns], axis=1)


def is_left_out(world: World, numbers: np.ndarray, column: int) -> np.ndarray:
    """Whether people's texts leave a field out, as they may if it depends on another, (person,)."""
    field = world.fields[column]
    if not field.depends_on or not world.config.two_hop_rate:
        return np.zeros(len(numbers), bool)
    return world.chosen(world.config.two_hop_rate, numbers, "left_out", field.name)


def _templates(world: World, people: People, rows: Rows) -> np.ndarray:
    """Template of every field, (row, field): another one for each document of a person."""
    wordings = world.wordings
    columns = []
    for column, field in enumerate(world.fields):
        num_train, num_held_out = (
            int(wordings.num_train[column]),
            int(wordings.num_held_out[column]),
        )
        if num_train == 1 and not num_held_out:
            columns.append(np.zeros(len(rows), np.int64))
            continue
        keys = hashed(world.key("wording", field.name), people.numbers[rows.person])
        template = permuted(rows.entry % num_train, num_train, keys)
        if num_held_out:
            held_out = world.integers(num_held_out, rows.item, "held_out_wording", field.name)
            is_dev = rows.entry == world.config.multi
            template = np.where(is_dev, num_train + held_out, template)
        columns.append(template)
    return np.stack(columns, axis=1)


def _about_others(world: World, people: People, rows: Rows) -> tuple[Strings, Sentences]:
    """One sentence about each distractor of each row, behind a random sentence about the person."""
    count = world.config.distractors
    numbers = distractor_numbers(world, people.numbers)
    others = draw_people(world, numbers.ravel())
    shape = (len(rows), count)
    items = rows.item[:, None] * count + np.arange(count)
    stated = np.array([c for c, field in enumerate(world.fields) if not field.relation])
    field = stated[world.integers(len(stated), items, "distractor_field")]
    place = rows.person[:, None] * count + np.arange(count)
    sentences = Sentences(
        field=field,
        template=_templates_of_others(world, rows, field, items),
        value=others.value_pieces[place, field],
        name=len(people.strings) + place,
        pronouns=others.pronouns[place],
        is_head=np.zeros(shape, bool),
        is_shown=np.ones(shape, bool),
        order=world.integers(len(world.fields), items, "distractor_place") + 0.5,
    )
    names = Strings(
        others.strings.array.slice(len(world.strings), len(others)),
        others.strings.measures[len(world.strings) :][: len(others)],
    )
    return concatenated([people.strings, names]), sentences


def _templates_of_others(
    world: World, rows: Rows, field: np.ndarray, items: np.ndarray
) -> np.ndarray:
    """Templates of sentences about distractors, held-out ones in dev documents."""
    num_train, num_held_out = world.wordings.num_train[field], world.wordings.num_held_out[field]
    is_dev = (rows.entry == world.config.multi)[:, None]
    drawn = world.integers(np.where(is_dev, num_held_out, num_train), items, "distractor_wording")
    return np.where(is_dev, num_train + drawn, drawn)


def is_named(world: World, rows: Rows, sentences: Sentences) -> np.ndarray:
    """Which sentences have the name rather than a pronoun, (row, sentence).

    After a sentence that names someone else the name is said again, as a pronoun would mean the
    other. With `distance`, the name stands in a sentence of its own before each one.
    """
    config = world.config
    about_head = sentences.is_head & sentences.is_shown
    if config.distance:
        return sentences.is_shown & ~sentences.is_head
    if config.fullname:
        return sentences.is_shown
    count = about_head.sum(1)
    if config.name_position == "any":
        chosen = world.integers(count, rows.item, "name_position")
    else:
        chosen = count - 1 if config.name_position == "last" else np.zeros_like(count)
    named = about_head & (np.cumsum(about_head, axis=1) - 1 == chosen[:, None])
    relations = np.array([field.relation is not None for field in world.fields])
    if config.distractors or relations.any():
        names_other = ~sentences.is_head | relations[sentences.field]
        named |= sentences.is_shown & ~sentences.is_head
        named[:, 1:] |= about_head[:, 1:] & names_other[:, :-1]
    return named
