"""People with unique names and known values; any of them can be drawn without the others."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.names import SHOT_MARGIN
from elusive.biogen.people.values import draw_values
from elusive.biogen.texts.pieces import Strings, concatenate
from elusive.biogen.texts.templates import Pronouns
from elusive.biogen.texts.wordings import PRONOUN_ORDER
from elusive.biogen.world import World, build_world

BATCH = 8192
"""People who are generated at a time."""


@dataclass(frozen=True)
class Person:
    """A person whose facts are known."""

    index: int
    """Number of the person; everything else follows from it."""
    name: str
    pronouns: Pronouns
    """`she`, `he` or `they`."""
    values: dict[str, str]
    """Value of each field, in the order of the config."""


@dataclass(frozen=True)
class People:
    """Some people as arrays, with the strings that piece numbers refer to."""

    numbers: np.ndarray  # (person,)
    pronouns: np.ndarray  # (person,) 0, 1 or 2 for she, he or they
    values: np.ndarray  # (person, field) number of the value; a relation's is the other person
    strings: Strings
    """The strings of the world, names of the people, and names of the people related to them."""
    names: np.ndarray  # (person,) piece of the name
    value_pieces: np.ndarray  # (person, field) piece of the value

    def __len__(self) -> int:
        return len(self.numbers)


def generate_people(config: BiogenConfig) -> Iterator[Person]:
    """Generate the people of the corpus, in order.

    Raises:
        InputError: there are not enough names, or fields and templates do not fit the config.
    """
    world = build_world(config)
    for numbers in iterate_numbers(config.start, config.people):
        people = draw_people(world, numbers)
        names = people.strings.take(people.names).to_pylist()
        columns = [people.strings.take(column).to_pylist() for column in people.value_pieces.T]
        for position, values in enumerate(zip(*columns, strict=True)):
            yield Person(
                index=int(numbers[position]),
                name=names[position],
                pronouns=PRONOUN_ORDER[people.pronouns[position]],  # type: ignore[arg-type]
                values=dict(zip(config.fields, values, strict=True)),
            )


def iterate_numbers(start: int, count: int, size: int = BATCH) -> Iterator[np.ndarray]:
    """Yield the numbers of `count` people from `start` on, at most `size` at a time."""
    for begin in range(start, start + count, size):
        yield np.arange(begin, min(begin + size, start + count))


def compute_shot_numbers(world: World) -> np.ndarray:
    """Return the numbers of the people of the shots, at the far end of the names.

    Nobody of the corpus has these numbers. They begin at a multiple of four, so that siblings and
    colleagues of these people are outside the corpus, too.
    """
    first = (world.names.num_people - world.config.num_shot_people - SHOT_MARGIN // 2) & ~3
    return np.arange(first, first + world.config.num_shot_people)


def compute_distractor_numbers(world: World, numbers: np.ndarray) -> np.ndarray:
    """Return the numbers of the other people in each person's text, (person, distractor).

    They occur in no other text: their numbers run down from those of the shots.
    """
    count = world.config.distractors
    last = (world.names.num_people - world.config.num_shot_people - SHOT_MARGIN) & ~3
    return last - 1 - (numbers[:, None] * count + np.arange(count))


def draw_people(world: World, numbers: np.ndarray) -> People:
    """Draw names, pronouns and values of people by their numbers."""
    values = draw_values(world.config, numbers)
    names, is_female = world.names.build_names_and_gender(numbers)
    relations = [index for index, field in enumerate(world.fields) if field.relation]
    related_names = [world.names.build_names(values[:, relation]) for relation in relations]
    strings, (_, name_pieces, *related_pieces) = concatenate([world.strings, names, *related_names])
    value_pieces = np.empty_like(values)
    for index, pieces in enumerate(world.values.pieces):
        if index not in relations:
            value_pieces[:, index] = pieces[values[:, index]]
    for relation, pieces in zip(relations, related_pieces, strict=True):
        value_pieces[:, relation] = pieces
    return People(
        numbers=numbers,
        pronouns=world.draw_pronouns(numbers, is_female),
        values=values,
        strings=strings,
        names=name_pieces,
        value_pieces=value_pieces,
    )
