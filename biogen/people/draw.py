"""People with unique names and known values; any one can be made without the others."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.names import SHOT_MARGIN
from elusive.biogen.people.values import draw_values
from elusive.biogen.texts.pieces import Strings, concatenated
from elusive.biogen.texts.templates import Pronouns
from elusive.biogen.texts.wordings import PRONOUN_ORDER
from elusive.biogen.world import World, build_world

BATCH = 8192
"""People that are put together at a time."""


@dataclass(frozen=True)
class Person:
    """A person whose facts are known."""

    index: int
    """Number of the person, from which everything else follows."""
    name: str
    pronouns: Pronouns
    """`she`, `he` or `they`."""
    values: dict[str, str]
    """Value of each field, in the order of the config."""


@dataclass(frozen=True)
class People:
    """Some people as arrays, with the strings that their numbers refer to."""

    numbers: np.ndarray  # (person,)
    pronouns: np.ndarray  # (person,) 0, 1 or 2 for she, he or they
    values: np.ndarray  # (person, field) number of the value; of a relation, the other person
    strings: Strings
    """The world's strings, then the names of the people, then those of the related."""
    names: np.ndarray  # (person,) piece of the name
    value_pieces: np.ndarray  # (person, field) piece of the value

    def __len__(self) -> int:
        return len(self.numbers)


def people(config: BiogenConfig) -> Iterator[Person]:
    """The people of the corpus, in order.

    Raises:
        InputError: what the config asks of names, fields or templates cannot be had.
    """
    world = build_world(config)
    for numbers in people_ranges(config.start, config.people):
        drawn = draw_people(world, numbers)
        names = drawn.strings.take(drawn.names).to_pylist()
        columns = [drawn.strings.take(column).to_pylist() for column in drawn.value_pieces.T]
        for place, values in enumerate(zip(*columns, strict=True)):
            yield Person(
                index=int(numbers[place]),
                name=names[place],
                pronouns=PRONOUN_ORDER[drawn.pronouns[place]],  # type: ignore[arg-type]
                values=dict(zip(config.fields, values, strict=True)),
            )


def people_ranges(start: int, count: int, size: int = BATCH) -> Iterator[np.ndarray]:
    """Numbers of `count` people from `start` on, at most `size` at a time."""
    for begin in range(start, start + count, size):
        yield np.arange(begin, min(begin + size, start + count))


def shot_numbers(world: World) -> np.ndarray:
    """Numbers of the people of the shots: at the far end of the names, so never in the corpus.

    They begin at a multiple of four, so that their siblings and colleagues are there, too.
    """
    first = (world.names.num_people() - world.config.num_shot_people - SHOT_MARGIN // 2) & ~3
    return np.arange(first, first + world.config.num_shot_people)


def distractor_numbers(world: World, numbers: np.ndarray) -> np.ndarray:
    """Numbers of the other people in each person's text, (person, distractor): in no other text."""
    count = world.config.distractors
    last = (world.names.num_people() - world.config.num_shot_people - SHOT_MARGIN) & ~3
    return last - 1 - (numbers[:, None] * count + np.arange(count))


def draw_people(world: World, numbers: np.ndarray) -> People:
    """Names, pronouns and values of people by their numbers."""
    values = draw_values(world.config, numbers)
    names, is_female = world.names.names_and_gender(numbers)
    parts = [world.strings, names]
    pieces = values + world.values.base
    for column, field in enumerate(world.fields):
        if field.relation:
            pieces[:, column] = sum(map(len, parts)) + np.arange(len(numbers))
            parts.append(world.names.names_of(values[:, column]))
    return People(
        numbers=numbers,
        pronouns=world.pronouns(numbers, is_female),
        values=values,
        strings=concatenated(parts),
        names=len(world.strings) + np.arange(len(numbers)),
        value_pieces=pieces,
    )
