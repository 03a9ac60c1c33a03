"""Values of people: an independent draw per person and field, a function of another, a relation."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.fields import FactField
from elusive.biogen.texts.pieces import Pieces, Strings
from elusive.common.errors import InputError
from elusive.common.seeding import derived_seed, integers_below

PARTNER_BITS = {"sibling": 1, "colleague": 2}
"""The bit of a person's number that is turned to get the partner's."""


@dataclass(frozen=True)
class Values:
    """The values of the fields in use as piece numbers; relations have none of their own."""

    base: np.ndarray  # (field,) number of the first value
    count: np.ndarray  # (field,) values
    answers: list[np.ndarray]
    """Per field (value + 1,): where each value's gold answers begin among the pieces."""


def add_values(pieces: Pieces, fields: tuple[FactField, ...]) -> Values:
    """Put all values and their other writings among the pieces."""
    compiled = [_compiled(field) for field in fields]
    return Values(
        base=np.array([pieces.add_compiled(values) for values, _, _ in compiled]),
        count=np.array([len(values) for values, _, _ in compiled]),
        answers=[pieces.add_compiled(writings) + begins for _, writings, begins in compiled],
    )


@lru_cache(maxsize=64)
def _compiled(field: FactField) -> tuple[Strings, Strings, np.ndarray]:
    """A field's values, their writings, and where the writings of each value begin."""
    writings = field.answers()
    begins = np.cumsum([0, *map(len, writings)])
    every = [text for group in writings for text in group]
    return Strings.of(field.pool_values()), Strings.of(every), begins


def check_dependencies(config: BiogenConfig) -> None:
    """Raise InputError if a field depends on one that is no plain draw, or on none."""
    for name in config.fields:
        parent = config.field_named(name).depends_on
        if parent is None:
            continue
        base = config.field_named(parent)
        if base.depends_on or base.relation:
            raise InputError(
                f"field {name!r} depends_on {parent!r}, which is not drawn by itself: "
                "choose a field with values of its own"
            )
        if config.two_hop_rate and parent not in config.fields:
            raise InputError(
                f"two_hop_rate needs the field that {name!r} depends on: add --fields {parent}"
            )
    if config.two_hop_rate and not any(config.field_named(n).depends_on for n in config.fields):
        raise InputError(
            "two_hop_rate needs a field that depends on another: add --fields company_city"
        )


def draw_values(config: BiogenConfig, people: np.ndarray) -> np.ndarray:
    """Number of the value of every field, (person, field); a relation's value is a person."""
    columns = [draw_value(config, config.field_named(name), people) for name in config.fields]
    return np.stack(columns, axis=1)


def draw_value(config: BiogenConfig, field: FactField, people: np.ndarray) -> np.ndarray:
    """Number of the value of one field, (person,); a relation's value is a person."""
    if field.relation:
        return people ^ PARTNER_BITS[field.relation]
    size = len(field.pool_values())
    if field.depends_on:
        parents = draw_value(config, config.field_named(field.depends_on), people)
        return integers_below(size, derived_seed("function", field.name), parents)
    if field.name == "company" and "colleague" in config.fields:
        people = people & ~PARTNER_BITS["colleague"]
    return integers_below(size, derived_seed(config.seed, "value", field.name), people)
