"""Unique names, each a function of a person's number alone."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from elusive.biogen.config import BiogenConfig
from elusive.biogen.people import pools
from elusive.biogen.texts.pieces import Strings
from elusive.common.errors import InputError
from elusive.common.seeding import derived_seed, hashed, permuted


@dataclass(frozen=True)
class Names:
    """All full names that a config allows, numbered from 0; different numbers, different names.

    A name is a place in the grid first x middle x last. By default a keyed permutation sends a
    number to its place. With `people_per_first_name` k, the people k g to k g + k - 1 have the
    g-th first name of a permuted list; likewise for last names; with both, blocks of people fill a
    whole grid of first and last names.
    """

    config: BiogenConfig

    @cached_property
    def _first(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return pools.first_names(self.config.locale)

    @cached_property
    def _num_first(self) -> int:
        return sum(map(len, self._first))

    @cached_property
    def _num_middle(self) -> int:
        """Middle names for each first name: the other first names of the smaller gender."""
        return min(map(len, self._first)) - 1 if self.config.middle_names else 1

    @cached_property
    def _num_last(self) -> int:
        return len(pools.last_names(self.config.locale))

    @cached_property
    def pieces(self) -> Strings:
        """First names, then middle and last names with the space before them."""
        female, male = self._first
        first = [*female, *male]
        last = pools.last_names(self.config.locale)
        return Strings.of([*first, *(f" {name}" for name in (*first, *last))])

    def num_people(self) -> int:
        """How many people can have different names."""
        first, rest = self._num_first, self._num_middle * self._num_last
        per_first, per_last = self._sharing()
        if per_first and per_last:
            return min(first // per_last, self._num_last // per_first) * per_first * per_last
        if per_first:
            return first * min(per_first, rest)
        if per_last:
            return self._num_last * min(per_last, first * self._num_middle)
        return first * rest

    def _is_female(self, first: np.ndarray) -> np.ndarray:
        """Whether first names, by number, are women's."""
        return first < len(self._first[0])

    def names_of(self, people: np.ndarray) -> Strings:
        """Full names of people, (person,)."""
        return self.names_and_gender(people)[0]

    def names_and_gender(self, people: np.ndarray) -> tuple[Strings, np.ndarray]:
        """Full names of people, and whether the first names are women's, (person,)."""
        first, middle, last = self._places(people)
        columns = [first, 2 * self._num_first + last]
        if self.config.middle_names:
            columns.insert(1, self._num_first + self._middle_of(first, middle))
        return self.pieces.join(np.stack(columns, axis=1)), self._is_female(first)

    def _middle_of(self, first: np.ndarray, middle: np.ndarray) -> np.ndarray:
        """Numbers of the middle names among the first names: same gender, another name."""
        begin = np.where(self._is_female(first), 0, len(self._first[0]))
        return begin + middle + (middle >= first - begin)

    def _places(self, people: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """First, middle and last name of people, as numbers within each."""
        per_first, per_last = self._sharing()
        if per_first and per_last:
            block, within = np.divmod(people, per_first * per_last)
            first = block * per_last + within // per_first
            last = block * per_first + within % per_first
            return self._shuffled_first(first), np.zeros_like(first), self._shuffled_last(last)
        if per_first:
            group, within = np.divmod(people, per_first)
            rest = self._scattered(group, within, self._num_middle * self._num_last)
            middle, last = np.divmod(rest, self._num_last)
            return self._shuffled_first(group), middle, last
        if per_last:
            group, within = np.divmod(people, per_last)
            rest = self._scattered(group, within, self._num_first * self._num_middle)
            first, middle = np.divmod(rest, self._num_middle)
            return first, middle, self._shuffled_last(group)
        total = self._num_first * self._num_middle * self._num_last
        place = permuted(people, total, derived_seed(self.config.seed, "names"))
        rest, last = np.divmod(place, self._num_last)
        return *np.divmod(rest, self._num_middle), last

    def _sharing(self) -> tuple[int | None, int | None]:
        """People per first and per last name, as asked for."""
        return self.config.people_per_first_name, self.config.people_per_last_name

    def _shuffled_first(self, groups: np.ndarray) -> np.ndarray:
        """First name of each group of people."""
        return permuted(groups, self._num_first, derived_seed(self.config.seed, "first_names"))

    def _shuffled_last(self, groups: np.ndarray) -> np.ndarray:
        """Last name of each group of people."""
        return permuted(groups, self._num_last, derived_seed(self.config.seed, "last_names"))

    def _scattered(self, groups: np.ndarray, within: np.ndarray, size: int) -> np.ndarray:
        """Different places below `size` for the members of each group."""
        keys = hashed(derived_seed(self.config.seed, "name_groups"), groups)
        return permuted(within, size, keys)


def check_size(config: BiogenConfig, names: Names) -> None:
    """Raise InputError if corpus, distractors and shots need more names than there are."""
    people = config.start + config.people
    needed = people * (1 + config.distractors) + config.num_shot_people + SHOT_MARGIN
    if needed <= names.num_people():
        return
    most = (names.num_people() - config.num_shot_people - SHOT_MARGIN) // (1 + config.distractors)
    hint = "" if config.middle_names else ", or add middle_names"
    raise InputError(
        f"people {people} (start included) is more than the {max(0, most)} for whom there are "
        f"unique names beside num_shot_people {config.num_shot_people} and distractors "
        f"{config.distractors}: ask for at most {max(0, most)}{hint}"
    )


SHOT_MARGIN = 8
"""Numbers kept free at the end, so that the people of the shots have relatives there."""
