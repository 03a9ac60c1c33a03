"""People with unique names and known values; any of them can be drawn without the others."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from elusive.biogen.compiled_config import CompiledConfig
from elusive.biogen.people.names import SHOT_MARGIN
from elusive.biogen.people.values import draw_values
from elusive.biogen.texts.pieces import Strings, concatenate

BATCH = 8192
"""People who are generated at a time."""
FEW = 16
THEY = 2
"""Number of the pronoun they; she and he are 0 and 1."""


@dataclass(frozen=True)
class People:
    """Some people as arrays, with the strings that piece numbers refer to."""

    numbers: np.ndarray  # (person,)
    pronouns: np.ndarray  # (person,) 0, 1 or 2 for she, he or they
    values: np.ndarray  # (person, field) number of the value; a relation's is the other person
    strings: Strings
    """Strings of the compiled config, and names of the people and of those related to them."""
    names: np.ndarray  # (person,) piece of the name
    value_pieces: np.ndarray  # (person, field) piece of the value

    def __len__(self) -> int:
        return len(self.numbers)


def iterate_numbers(start: int, count: int, size: int = BATCH) -> Iterator[np.ndarray]:
    """Yield the numbers of `count` people from `start` on, at most `size` at a time."""
    for begin in range(start, start + count, size):
        yield np.arange(begin, min(begin + size, start + count))


def iterate_few_first(start: int, count: int) -> Iterator[np.ndarray]:
    """Yield the numbers of `FEW` people, then of many at a time; who needs a few has them soon."""
    yield from iterate_numbers(start, min(FEW, count))
    yield from iterate_numbers(start + FEW, count - FEW)


def compute_shot_numbers(compiled: CompiledConfig) -> np.ndarray:
    """Return the numbers of the people of the shots, at the far end of the names.

    Nobody of the corpus has these numbers. They begin at a multiple of four, so that siblings and
    colleagues of these people are outside the corpus, too.
    """
    first = (compiled.names.num_people - compiled.config.num_shot_people - SHOT_MARGIN // 2) & ~3
    return np.arange(first, first + compiled.config.num_shot_people)


def compute_distractor_numbers(compiled: CompiledConfig, numbers: np.ndarray) -> np.ndarray:
    """Return the numbers of the other people in each person's text, (person, distractor).

    They occur in no other text: their numbers run down from those of the shots.
    """
    count = compiled.config.distractors
    last = (compiled.names.num_people - compiled.config.num_shot_people - SHOT_MARGIN) & ~3
    return last - 1 - (numbers[:, None] * count + np.arange(count))


def draw_people(compiled: CompiledConfig, numbers: np.ndarray) -> People:
    """Draw names, pronouns and values of people by their numbers."""
    values = draw_values(compiled.config, numbers)
    names, is_female = compiled.names.build_names_and_gender(numbers)
    related = [
        compiled.names.build_names(column)
        for field, column in zip(compiled.fields, values.T, strict=True)
        if field.relation
    ]
    strings, (_, name_pieces, *related_pieces) = concatenate([compiled.strings, names, *related])
    value_pieces = [
        related_pieces.pop(0) if field.relation else pieces[column]
        for field, pieces, column in zip(
            compiled.fields, compiled.values.pieces, values.T, strict=True
        )
    ]
    return People(
        numbers=numbers,
        pronouns=_draw_pronouns(compiled, numbers, is_female),
        values=values,
        strings=strings,
        names=name_pieces,
        value_pieces=np.stack(value_pieces, axis=1),
    )


def _draw_pronouns(
    compiled: CompiledConfig, numbers: np.ndarray, is_female: np.ndarray
) -> np.ndarray:
    gendered = np.where(is_female, 0, 1)
    if not compiled.config.they_rate:
        return gendered
    return np.where(compiled.draw_mask(compiled.config.they_rate, numbers, "they"), THEY, gendered)
