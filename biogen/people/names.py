"""Unique names, each a function of a person's number alone."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from elusive.biogen.config import BiogenConfig
from elusive.biogen.people import pools
from elusive.biogen.texts.pieces import Pieces, Strings
from elusive.common.errors import InputError
from elusive.common.seeding import derived_seed, hashed, permute_items

SHOT_MARGIN = 8
"""Numbers kept free at the end, so that the people of the shots have relatives there."""


@dataclass(frozen=True)
class Names:
    """All full names that a config allows, numbered from 0; different numbers, different names.

    A name is a cell of the grid first x middle x last. By default a keyed permutation maps a
    number to its cell. With `people_per_first_name` k, the people k g to k g + k - 1 have the
    g-th first name of a permuted list; likewise for last names. With both, blocks of people fill a
    whole grid of first and last names.
    """

    config: BiogenConfig

    @cached_property
    def _first(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Female and male first names, without those that make two full names equal."""
        female, male = pools.list_first_names(self.config.locale)
        known = {*female, *male}
        last = [f"{name} " for name in pools.list_last_names(self.config.locale) if " " in name]

        def is_clear(name: str) -> bool:
            """With Ana, Ana Maria and Maria Silva, Ana Maria Silva could be two people."""
            words = name.split()
            if len(words) == 1 or self.config.middle_names:
                return len(words) == 1
            splits = [(" ".join(words[:k]), " ".join(words[k:])) for k in range(1, len(words))]
            return not any(
                head in known and any(entry.startswith(f"{tail} ") for entry in last)
                for head, tail in splits
            )

        return tuple(filter(is_clear, female)), tuple(filter(is_clear, male))

    @cached_property
    def _num_first(self) -> int:
        return sum(map(len, self._first))

    @cached_property
    def _num_middle(self) -> int:
        """Middle names for each first name: the other first names of the smaller gender."""
        return min(map(len, self._first)) - 1 if self.config.middle_names else 1

    @cached_property
    def _num_last(self) -> int:
        return len(pools.list_last_names(self.config.locale))

    @cached_property
    def _pieces(self) -> tuple[Strings, np.ndarray, np.ndarray, np.ndarray]:
        """Strings, and the pieces of first, middle and last names, the latter two with a space."""
        pieces = Pieces()
        names = [name for gender in self._first for name in gender]
        last_names = pools.list_last_names(self.config.locale)
        first = pieces.add_all(names)
        middle, last = (
            pieces.add_all(f" {name}" for name in group) for group in (names, last_names)
        )
        return pieces.compile(), first, middle, last

    @cached_property
    def num_people(self) -> int:
        """People who can have different names."""
        first, rest = self._num_first, self._num_middle * self._num_last
        per_first, per_last = self._sharing
        if per_first and per_last:
            return min(first // per_last, self._num_last // per_first) * per_first * per_last
        if per_first:
            return first * min(per_first, rest)
        if per_last:
            return self._num_last * min(per_last, first * self._num_middle)
        return first * rest

    @property
    def _sharing(self) -> tuple[int | None, int | None]:
        """People per first name and per last name, where the config fixes them."""
        return self.config.people_per_first_name, self.config.people_per_last_name

    def build_names(self, people: np.ndarray) -> Strings:
        """Return the full names of people, (person,)."""
        return self.build_names_and_gender(people)[0]

    def build_names_and_gender(self, people: np.ndarray) -> tuple[Strings, np.ndarray]:
        """Return full names of people, and whether their first names are female, (person,)."""
        strings, first_pieces, middle_pieces, last_pieces = self._pieces
        first, middle, last = self._find_cells(people)
        is_female = first < len(self._first[0])
        columns = [first_pieces[first], last_pieces[last]]
        if self.config.middle_names:
            # Another name of the same gender: the name's own index is skipped.
            begin = np.where(is_female, 0, len(self._first[0]))
            columns.insert(1, middle_pieces[begin + middle + (middle >= first - begin)])
        return strings.join(np.stack(columns, axis=1)), is_female

    def _find_cells(self, people: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the numbers of the first, middle and last name of people, (person,) each."""
        per_first, per_last = self._sharing
        if per_first and per_last:
            block, within = np.divmod(people, per_first * per_last)
            first = block * per_last + within // per_first
            last = block * per_first + within % per_first
            return self._shuffle_first(first), np.zeros_like(first), self._shuffle_last(last)
        if per_first:
            group, within = np.divmod(people, per_first)
            rest = self._scatter(group, within, self._num_middle * self._num_last)
            middle, last = np.divmod(rest, self._num_last)
            return self._shuffle_first(group), middle, last
        if per_last:
            group, within = np.divmod(people, per_last)
            rest = self._scatter(group, within, self._num_first * self._num_middle)
            first, middle = np.divmod(rest, self._num_middle)
            return first, middle, self._shuffle_last(group)
        num_cells = self._num_first * self._num_middle * self._num_last
        cell = permute_items(people, num_cells, derived_seed(self.config.seed, "names"))
        rest, last = np.divmod(cell, self._num_last)
        return *np.divmod(rest, self._num_middle), last

    def _shuffle_first(self, groups: np.ndarray) -> np.ndarray:
        return permute_items(groups, self._num_first, derived_seed(self.config.seed, "first_names"))

    def _shuffle_last(self, groups: np.ndarray) -> np.ndarray:
        return permute_items(groups, self._num_last, derived_seed(self.config.seed, "last_names"))

    def _scatter(self, groups: np.ndarray, within: np.ndarray, size: int) -> np.ndarray:
        """Return different numbers below `size` for the members of each group."""
        keys = hashed(derived_seed(self.config.seed, "name_groups"), groups)
        return permute_items(within, size, keys)


def check_size(config: BiogenConfig, names: Names) -> None:
    """Check that there are enough names for the corpus, its distractors and the shots.

    Raises:
        InputError: there are not.
    """
    people = config.start + config.people
    reserved = config.num_shot_people + SHOT_MARGIN
    if people * (1 + config.distractors) + reserved <= names.num_people:
        return
    most = max(0, (names.num_people - reserved) // (1 + config.distractors))
    hint = "" if config.middle_names else ", or add middle_names"
    raise InputError(
        f"people {people} (start included) is more than the {most} who can have unique names "
        f"beside num_shot_people {config.num_shot_people} and distractors {config.distractors}: "
        f"ask for at most {most}{hint}"
    )
