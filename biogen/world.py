"""All that a config fixes before the first person is drawn."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.fields import FactField
from elusive.biogen.people.names import Names, check_size
from elusive.biogen.people.values import Values, add_values, check_dependencies
from elusive.biogen.texts.phrasings import Phrasings, add_phrasings
from elusive.biogen.texts.pieces import Pieces, Strings
from elusive.biogen.texts.wordings import Wordings, add_wordings
from elusive.common.errors import InputError
from elusive.common.seeding import derived_seed, hashed, integers_below


@dataclass(frozen=True)
class World:
    """A compiled config: every constant string has a number in `strings`."""

    config: BiogenConfig
    names: Names
    fields: tuple[FactField, ...]
    strings: Strings
    values: Values
    wordings: Wordings
    phrasings: Phrasings
    field_names: int
    """Piece of the first field's name; the others follow."""

    def key(self, *purpose: object) -> int:
        """Seed of one purpose."""
        return derived_seed(self.config.seed, *purpose)

    def integers(self, size: int | np.ndarray, items: np.ndarray, *purpose: object) -> np.ndarray:
        """One integer in [0, size) per item, for one purpose."""
        return integers_below(size, self.key(*purpose), items)

    def chosen(self, rate: float, items: np.ndarray, *purpose: object) -> np.ndarray:
        """Which items belong to a random share of `rate`."""
        return hashed(self.key(*purpose), items) >> np.uint64(11) < rate * 2**53

    def pronouns(self, people: np.ndarray, is_female: np.ndarray) -> np.ndarray:
        """0, 1 or 2 for she, he or they, by people's numbers and gender."""
        gendered = np.where(is_female, 0, 1)
        if not self.config.they_rate:
            return gendered
        return np.where(self.chosen(self.config.they_rate, people, "they"), 2, gendered)


def _check_numbers(config: BiogenConfig, fields: tuple[FactField, ...]) -> None:
    """Raise InputError if more wordings or phrasings are asked for than any field has."""
    wordings = max(len(field.templates) for field in fields)
    phrasings = max(len(field.questions) for field in fields)
    for name, asked, most in (
        ("wordings", config.wordings, wordings),
        ("phrasings", config.phrasings, phrasings),
    ):
        if asked > most:
            raise InputError(f"{name} {asked} is more than any of the fields has: at most {most}")


@lru_cache(maxsize=4)
def build_world(config: BiogenConfig) -> World:
    """Compile a config.

    Raises:
        InputError: what the config asks of names, fields or templates cannot be had.
    """
    names = Names(config)
    fields = tuple(config.field_named(name) for name in config.fields)
    check_size(config, names)
    check_dependencies(config)
    if config.distractors and all(field.relation for field in fields):
        raise InputError("distractors needs a field that is no relation: add one to fields")
    _check_numbers(config, fields)
    pieces = Pieces()
    values = add_values(pieces, fields)
    wordings = add_wordings(pieces, config, fields)
    phrasings = add_phrasings(pieces, config, fields)
    field_names = pieces.add([field.name for field in fields])
    strings = pieces.compiled()
    return World(config, names, fields, strings, values, wordings, phrasings, field_names)
