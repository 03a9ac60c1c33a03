"""Pools of names and values, built once with Faker or read from `words/`."""

import calendar
import datetime
import re
from functools import cache
from pathlib import Path

from faker import Faker
from faker.config import AVAILABLE_LOCALES
from faker.providers.address.en_US import Provider as AddressProvider
from faker.providers.geo import Provider as GeoProvider

from elusive.common.errors import InputError, build_unknown_name_error

POOL_SEED = 2409
"""Seed of the pools; it is fixed, so they do not change with the seed of a dataset."""

NUM_COMPANIES = 263
"""Companies, as many as in bioS (arXiv 2309.14316)."""

FEWEST_NAMES = 5
"""Fewest last names of a usable locale: with fewer, most people would share theirs."""

MAX_VALUES = 1_000_000
"""Most values of a pool; they are kept in memory."""

UNIVERSITY_PATTERNS = (
    "{} University",
    "{} State University",
    "{} Institute of Technology",
    "{} Polytechnic University",
    "{} Wesleyan University",
    "{} College",
)

ODD_NAME = re.compile(r"[,;()\[\]{}]|[^\s.\-]{2,}\.(?=\s|$)")
"""A remark in brackets, words in another order than spoken, or a title; initials are names."""

_MONTHS = list(calendar.month_name)  # indexing calendar's own list formats a date each time

WORDS = Path(__file__).parent.parent / "words"


@cache
def read_words(name: str) -> tuple[str, ...]:
    """Read the lines of a word list that comes with the package."""
    return tuple((WORDS / f"{name}.txt").read_text(encoding="utf-8").splitlines())


@cache
def list_first_names(locale: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the female and the male first names of a Faker locale, sorted.

    Names that both genders have are left out.

    Raises:
        InputError: there is no such locale, or it has no female and male first names.
    """
    female, male = (
        {name for name in _read_names(locale, f"first_names_{gender}") if not name[0].islower()}
        for gender in ("female", "male")
    )
    pair = tuple(sorted(female - male)), tuple(sorted(male - female))
    if not all(pair):
        raise InputError(
            f"locale {locale!r} has no separate first names for women and men: "
            "choose another, such as en_US, de_DE or es_ES"
        )
    return pair


@cache
def list_last_names(locale: str) -> tuple[str, ...]:
    """Return the last names of a Faker locale, sorted.

    Raises:
        InputError: there is no such locale, or it has hardly any last names.
    """
    names = tuple(sorted(_read_names(locale, "last_names")))
    if len(names) < FEWEST_NAMES:
        raise InputError(
            f"Faker has too few last names for locale {locale!r} ({len(names)}): choose another, "
            "such as en_US, de_DE or es_ES"
        )
    return names


def _read_names(locale: str, kind: str) -> set[str]:
    """Return one of Faker's lists of names for a locale, without commas, brackets and titles.

    Raises:
        InputError: there is no such locale, or Faker falls back on another language for it.
    """
    if locale not in AVAILABLE_LOCALES:
        raise build_unknown_name_error("locale", locale, AVAILABLE_LOCALES)
    (provider,) = (
        provider
        for provider in Faker(locale).get_providers()
        if getattr(provider, "__provider__", None) == "faker.providers.person"
    )
    source = type(provider).__module__.rpartition(".")[2]
    if source.partition("_")[0] != locale.partition("_")[0]:
        raise InputError(
            f"Faker has no names for locale {locale!r}, only those of {source}: choose that one"
        )
    names = {" ".join(name.split()) for name in getattr(provider, kind, ())}
    return {name for name in names if not ODD_NAME.search(name)}


@cache
def list_cities() -> tuple[str, ...]:
    """Return real places from all over the world whose names are in ASCII, sorted."""
    places = {coordinates[2] for coordinates in GeoProvider.land_coords}
    return tuple(sorted(place for place in places if place.isascii() and place[0].isupper()))


@cache
def list_universities() -> tuple[str, ...]:
    """Return 300 universities, as in bioS, named after the states of the USA, sorted."""
    states = AddressProvider.states
    return tuple(
        sorted(pattern.format(state) for state in states for pattern in UNIVERSITY_PATTERNS)
    )


POOLS = {
    "cities": list_cities,
    "universities": list_universities,
    "majors": lambda: read_words("majors"),
    "companies": lambda: fake_values("company", NUM_COMPANIES),
    "languages": lambda: read_words("languages"),
    "instruments": lambda: read_words("instruments"),
    "sports": lambda: read_words("sports"),
}
"""Pools that a field can name."""


@cache
def list_dates(first: datetime.date, last: datetime.date) -> tuple[str, ...]:
    """Return every day from `first` to `last`, such as `January 5, 1990`.

    Raises:
        InputError: `last` is not after `first`.
    """
    if last <= first:
        raise InputError(f"dates: the last, {last}, should be after the first, {first}")
    return tuple(f"{_MONTHS[day.month]} {day.day}, {day.year}" for day in _days(first, last))


def list_other_dates(first: datetime.date, last: datetime.date) -> tuple[list[str], list[str]]:
    """Return the same days as `5 January 1990` and as `1990-01-05`."""
    days = _days(first, last)
    return (
        [f"{day.day} {_MONTHS[day.month]} {day.year}" for day in days],
        [day.isoformat() for day in days],
    )


def _days(first: datetime.date, last: datetime.date) -> list[datetime.date]:
    ordinals = range(first.toordinal(), last.toordinal() + 1)
    return [datetime.date.fromordinal(ordinal) for ordinal in ordinals]


def list_numbers(lowest: int, highest: int) -> tuple[str, ...]:
    """Return every whole number from `lowest` to `highest`.

    Raises:
        InputError: there are fewer than two, or too many.
    """
    if not 1 < highest - lowest + 1 <= MAX_VALUES:
        raise InputError(
            f"numbers: {lowest} to {highest} should cover 2 to {MAX_VALUES} different numbers"
        )
    return tuple(str(number) for number in range(lowest, highest + 1))


@cache
def fake_values(method: str, count: int) -> tuple[str, ...]:
    """Return up to `count` different strings from a method of Faker, sorted.

    Strings that end in a full stop or do not have single spaces are left out.

    Raises:
        InputError: Faker has no such method, or the method does not return a string.
    """
    faker = Faker("en_US")
    faker.seed_instance(POOL_SEED)
    draw = getattr(faker, method, None) if not method.startswith("_") else None
    values: set[str] = set()
    for _ in range(20 * count):
        try:
            value = draw() if callable(draw) else None
        except (AttributeError, TypeError, ValueError):
            value = None
        if not isinstance(value, str):
            raise InputError(
                f"Faker has no method {method!r} that returns a string and needs no arguments: "
                "see faker.readthedocs.io"
            )
        if not value.endswith(".") and value == " ".join(value.split()):
            values.add(value)
        if len(values) == count:
            break
    return tuple(sorted(values))
