"""Everything that a config fixes before the first person is drawn."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.fields import FactField
from elusive.biogen.people.names import Names, check_size
from elusive.biogen.people.values import Values, add_values, check_dependencies
from elusive.biogen.texts.pieces import Pieces, Strings
from elusive.biogen.texts.question_templates import Phrasings, add_phrasings
from elusive.biogen.texts.sentence_templates import Wordings, add_wordings
from elusive.common.errors import InputError
from elusive.common.seeding import derived_seed, draw_integers, hashed


@dataclass(frozen=True)
class CompiledConfig:
    """A compiled config: every constant string is a piece of `strings`."""

    config: BiogenConfig
    names: Names
    fields: tuple[FactField, ...]
    strings: Strings
    values: Values
    wordings: Wordings
    phrasings: Phrasings
    field_names: np.ndarray  # (field,) piece of the field's name

    def derive_seed(self, *purpose: object) -> int:
        """Return the seed of one purpose."""
        return derived_seed(self.config.seed, *purpose)

    def draw_integers(
        self, size: int | np.ndarray, items: np.ndarray, *purpose: object
    ) -> np.ndarray:
        """Draw one integer in [0, size) per item, for one purpose."""
        return draw_integers(size, self.derive_seed(*purpose), items)

    def draw_mask(self, rate: float, items: np.ndarray, *purpose: object) -> np.ndarray:
        """Draw a random share of `rate` of the items: True for each that belongs to it."""
        return hashed(self.derive_seed(*purpose), items) >> np.uint64(11) < rate * 2**53


@lru_cache(maxsize=4)
def compile_config(config: BiogenConfig) -> CompiledConfig:
    """Compile a config.

    Raises:
        InputError: there are not enough names, or fields and templates do not fit the config.
    """
    names = Names(config)
    fields = tuple(config.find_field(name) for name in config.fields)
    check_size(config, names)
    check_dependencies(config)
    if config.distractors and all(field.relation for field in fields):
        raise InputError("distractors needs a field that is not a relation: add one to fields")
    for name, count, most in (
        ("wordings", config.wordings, max(len(field.templates) for field in fields)),
        ("phrasings", config.phrasings, max(len(field.questions) for field in fields)),
    ):
        if count > most:
            raise InputError(
                f"{name} {count} is more than any of the fields has: ask for at most {most}"
            )
    pieces = Pieces()
    values = add_values(pieces, fields)
    wordings = add_wordings(pieces, config, fields)
    phrasings = add_phrasings(pieces, config, fields)
    field_names = pieces.add_all([field.name for field in fields])
    strings = pieces.compile()
    return CompiledConfig(config, names, fields, strings, values, wordings, phrasings, field_names)
