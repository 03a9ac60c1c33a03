"""People with unique names and five values each; any one can be made without the others."""

import calendar
import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from elusive.biogen import pools
from elusive.biogen.config import BiogenConfig
from elusive.common.errors import InputError
from elusive.common.seeding import derived_seed, stream

EARLIEST_BIRTH = datetime.date(1900, 1, 1)
LATEST_BIRTH = datetime.date(2005, 12, 31)
FEISTEL_ROUNDS = 4


@dataclass(frozen=True)
class Person:
    """A person whose facts are known."""

    index: int
    name: str
    gender: Literal["female", "male"]
    values: dict[str, str]
    """Value of each field, in the order in which biographies state them."""

    @property
    def doc_id(self) -> str:
        """Identifier of the person's biography."""
        return f"bio-{self.index:07d}"


def num_names() -> int:
    """How many different names there are."""
    return len(pools.first_names()) * len(pools.last_names())


def people(config: BiogenConfig) -> Iterator[Person]:
    """The people of the corpus, in order.

    Raises:
        InputError: more people than unique names.
    """
    check_size(config)
    for index in range(config.people):
        yield person(config.seed, index)


def shot_people(config: BiogenConfig) -> Iterator[Person]:
    """The people of the shots: at the far end of the names, so never in the corpus."""
    check_size(config)
    for index in range(num_names() - config.num_shot_people, num_names()):
        yield person(config.seed, index)


def check_size(config: BiogenConfig) -> None:
    """Raise InputError if the corpus and the shots need more names than there are."""
    limit = num_names() - config.num_shot_people
    if config.people > limit:
        raise InputError(
            f"people {config.people} is more than the {limit} unique names left beside "
            f"num_shot_people {config.num_shot_people}: ask for at most {limit}"
        )


def person(seed: int, index: int) -> Person:
    """The person at `index`, the same whichever others are made."""
    place = permuted(index, num_names(), derived_seed(seed, "names"))
    first, last = divmod(place, len(pools.last_names()))
    first_name, gender = pools.first_names()[first]
    rng = stream(seed, "person", index)
    return Person(
        index=index,
        name=f"{first_name} {pools.last_names()[last]}",
        gender=gender,  # type: ignore[arg-type]
        values={
            "birth_date": _sample_date(rng),
            "birth_city": _sample(rng, pools.cities()),
            "university": _sample(rng, pools.universities()),
            "major": _sample(rng, pools.majors()),
            "company": _sample(rng, pools.companies()),
        },
    )


def _sample(rng: np.random.Generator, pool: tuple[str, ...]) -> str:
    """One element, all equally likely."""
    return pool[rng.integers(len(pool))]


def _sample_date(rng: np.random.Generator) -> str:
    """A birth date such as `January 5, 1990`, all days equally likely."""
    days = (LATEST_BIRTH - EARLIEST_BIRTH).days + 1
    date = EARLIEST_BIRTH + datetime.timedelta(days=int(rng.integers(days)))
    return f"{calendar.month_name[date.month]} {date.day}, {date.year}"


def permuted(index: int, size: int, key: int) -> int:
    """Where a keyed permutation of range(size) sends `index`.

    A Feistel network over an even number of bits; results beyond `size` are sent on until they
    fall inside (cycle walking: Black and Rogaway, Ciphers with Arbitrary Finite Domains, 2002).

    >>> sorted(permuted(index, 10, key=7) for index in range(10)) == list(range(10))
    True
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    while True:
        left, right = divmod(index, 1 << half)
        for turn in range(FEISTEL_ROUNDS):
            mixed = derived_seed(key, turn, right) & ((1 << half) - 1)
            left, right = right, left ^ mixed
        index = (left << half) | right
        if index < size:
            return index
