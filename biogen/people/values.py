"""Values of people: independent draws per person and field, functions of others, and relations."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.fields import FactField
from elusive.biogen.texts.pieces import Pieces, Strings
from elusive.common.errors import InputError
from elusive.common.seeding import derived_seed, draw_integers

PARTNER_BITS = {"sibling": 1, "colleague": 2}
"""The bit of a person's number that is flipped to get the partner's number."""


@dataclass(frozen=True)
class Values:
    """The values of the fields in use as piece numbers; a relation has none of its own."""

    pieces: list[np.ndarray]
    """Per field (value,): the piece of each value."""
    first_answers: list[np.ndarray]
    """Per field (value,): the piece of each value's first gold answer; the others follow it."""
    num_answers: list[np.ndarray]
    """Per field (value,): gold answers of each value."""


def add_values(pieces: Pieces, fields: tuple[FactField, ...]) -> Values:
    """Add all values and all their gold answers to the pieces."""
    compiled = [_compile_field(field) for field in fields]
    return Values(
        pieces=[pieces.add_strings(values) for values, _, _ in compiled],
        first_answers=[
            pieces.add_strings(answers)[np.cumsum(counts) - counts]
            for _, answers, counts in compiled
        ],
        num_answers=[counts for _, _, counts in compiled],
    )


@lru_cache(maxsize=64)
def _compile_field(field: FactField) -> tuple[Strings, Strings, np.ndarray]:
    """Return the values of a field, the gold answers of all values, and their number per value."""
    answers = field.list_answers()
    texts = [text for writings in answers for text in writings]
    counts = np.array([len(writings) for writings in answers], np.int64)
    return Strings.from_values(field.list_values()), Strings.from_values(texts), counts


def check_dependencies(config: BiogenConfig) -> None:
    """Check that every field that depends on another depends on one that is drawn by itself.

    Raises:
        InputError: it does not, or `two_hop_rate` has no field to leave out or to join with.
    """
    depends_on = {name: config.find_field(name).depends_on for name in config.fields}
    for name, parent in depends_on.items():
        if parent is None:
            continue
        parent_field = config.find_field(parent)
        if parent_field.depends_on or parent_field.relation:
            raise InputError(
                f"field {name!r} depends_on {parent!r}, which is not drawn by itself: "
                "choose a field with values of its own"
            )
        if config.two_hop_rate and parent not in config.fields:
            raise InputError(
                f"two_hop_rate needs the field that {name!r} depends on: add --fields {parent}"
            )
    if config.two_hop_rate and not any(depends_on.values()):
        raise InputError(
            "two_hop_rate needs a field that depends on another: add --fields company_city"
        )


def draw_values(config: BiogenConfig, people: np.ndarray) -> np.ndarray:
    """Draw the number of the value of every field, (person, field); a relation's is a person."""
    columns = [draw_value(config, config.find_field(name), people) for name in config.fields]
    return np.stack(columns, axis=1)


def draw_value(config: BiogenConfig, field: FactField, people: np.ndarray) -> np.ndarray:
    """Draw the number of the value of one field, (person,); a relation's is a person."""
    if field.relation:
        return people ^ PARTNER_BITS[field.relation]
    size = len(field.list_values())
    if field.depends_on:
        parents = draw_value(config, config.find_field(field.depends_on), people)
        return draw_integers(size, derived_seed("function", field.name), parents)
    if field.name == "company" and "colleague" in config.fields:
        people = people & ~PARTNER_BITS["colleague"]  # colleagues share their company
    return draw_integers(size, derived_seed(config.seed, "value", field.name), people)
