"""Pools that names and values are drawn from, made once with Faker or read from `words/`."""

import calendar
import datetime
from functools import cache
from pathlib import Path

from faker import Faker
from faker.config import AVAILABLE_LOCALES
from faker.providers.address.en_US import Provider as AddressProvider
from faker.providers.geo import Provider as GeoProvider

from elusive.common.errors import InputError, unknown_name

POOL_SEED = 2409
"""Fixed, so that pools do not change with the seed of a dataset."""

NUM_COMPANIES = 263
"""As many as in bioS (arXiv 2309.14316)."""

FEWEST_NAMES = 5
"""Last names below which everybody would be called the same."""

MAX_VALUES = 1_000_000
"""Values that a pool may hold; they are kept in memory."""

UNIVERSITY_PATTERNS = (
    "{} University",
    "{} State University",
    "{} Institute of Technology",
    "{} Polytechnic University",
    "{} Wesleyan University",
    "{} College",
)

_MONTHS = list(calendar.month_name)  # indexing calendar's own list formats a date each time

WORDS = Path(__file__).parent.parent / "words"


@cache
def words(name: str) -> tuple[str, ...]:
    """The lines of a list that comes with the package."""
    return tuple((WORDS / f"{name}.txt").read_text(encoding="utf-8").splitlines())


@cache
def first_names(locale: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Female and male first names of a Faker locale, sorted; those that both carry are left out.

    Raises:
        InputError: no such locale, or one without female and male first names.
    """
    female, male = (
        {name for name in _names(locale, f"first_names_{gender}") if not name[0].islower()}
        for gender in ("female", "male")
    )
    pair = tuple(sorted(female - male)), tuple(sorted(male - female))
    if not all(pair):
        raise InputError(
            f"locale {locale!r} has no first names for women and men apart: "
            "choose another, such as en_US, de_DE or es_ES"
        )
    return pair


@cache
def last_names(locale: str) -> tuple[str, ...]:
    """Last names of a Faker locale, sorted.

    Raises:
        InputError: no such locale, or hardly any last names.
    """
    found = tuple(sorted(_names(locale, "last_names")))
    if len(found) < FEWEST_NAMES:
        raise InputError(
            f"Faker has too few last names for locale {locale!r} ({len(found)}): choose another, "
            "such as en_US, de_DE or es_ES"
        )
    return found


def _names(locale: str, kind: str) -> set[str]:
    """One of Faker's lists of names for a locale.

    Raises:
        InputError: no such locale, or Faker falls back on another language for it.
    """
    if locale not in AVAILABLE_LOCALES:
        raise unknown_name("locale", locale, AVAILABLE_LOCALES)
    (provider,) = (
        provider
        for provider in Faker(locale).get_providers()
        if getattr(provider, "__provider__", None) == "faker.providers.person"
    )
    source = type(provider).__module__.rpartition(".")[2]
    if source.partition("_")[0] != locale.partition("_")[0]:
        raise InputError(f"Faker has no names for locale {locale!r}, only those of {source}")
    return {" ".join(name.split()) for name in getattr(provider, kind, ())}


@cache
def cities() -> tuple[str, ...]:
    """Real places from all over the world whose names are written in ASCII, sorted."""
    places = {entry[2] for entry in GeoProvider.land_coords}
    return tuple(sorted(place for place in places if place.isascii() and place[0].isupper()))


@cache
def universities() -> tuple[str, ...]:
    """300 universities, as in bioS, named after the states of the USA, sorted."""
    states = AddressProvider.states
    return tuple(
        sorted(pattern.format(state) for state in states for pattern in UNIVERSITY_PATTERNS)
    )


@cache
def companies() -> tuple[str, ...]:
    """Company names made by Faker, sorted; none ends in a full stop."""
    return faked("company", NUM_COMPANIES)


POOLS = {
    "cities": cities,
    "universities": universities,
    "majors": lambda: words("majors"),
    "companies": companies,
    "languages": lambda: words("languages"),
    "instruments": lambda: words("instruments"),
    "sports": lambda: words("sports"),
}
"""Pools that a field can name."""


@cache
def dates(first: datetime.date, last: datetime.date) -> tuple[str, ...]:
    """Every day from `first` to `last`, such as `January 5, 1990`.

    Raises:
        InputError: `last` is not after `first`.
    """
    if last <= first:
        raise InputError(f"dates: the last, {last}, should be after the first, {first}")
    return tuple(f"{_MONTHS[day.month]} {day.day}, {day.year}" for day in _days(first, last))


def other_dates(first: datetime.date, last: datetime.date) -> tuple[list[str], list[str]]:
    """The same days as `5 January 1990` and as `1990-01-05`."""
    days = _days(first, last)
    return (
        [f"{day.day} {_MONTHS[day.month]} {day.year}" for day in days],
        [day.isoformat() for day in days],
    )


def _days(first: datetime.date, last: datetime.date) -> list[datetime.date]:
    """Every day from the first to the last."""
    ordinals = range(first.toordinal(), last.toordinal() + 1)
    return [datetime.date.fromordinal(ordinal) for ordinal in ordinals]


def numbers(lowest: int, highest: int) -> tuple[str, ...]:
    """Every whole number from `lowest` to `highest`.

    Raises:
        InputError: there are none, or too many.
    """
    if not 1 < highest - lowest + 1 <= MAX_VALUES:
        raise InputError(
            f"numbers: {lowest} to {highest} should be 2 to {MAX_VALUES} different numbers"
        )
    return tuple(str(number) for number in range(lowest, highest + 1))


@cache
def faked(method: str, count: int) -> tuple[str, ...]:
    """Up to `count` different strings by a method of Faker, sorted; none ends in a full stop.

    Raises:
        InputError: Faker has no such method, or it gives no strings.
    """
    faker = Faker("en_US")
    faker.seed_instance(POOL_SEED)
    make = getattr(faker, method, None) if not method.startswith("_") else None
    found: set[str] = set()
    for _ in range(20 * count):
        try:
            value = make() if callable(make) else None
        except (AttributeError, TypeError, ValueError):
            value = None
        if not isinstance(value, str):
            raise InputError(
                f"Faker has no method {method!r} that gives a string without being told more: "
                "see faker.readthedocs.io"
            )
        if not value.endswith(".") and value == " ".join(value.split()):
            found.add(value)
        if len(found) == count:
            break
    return tuple(sorted(found))
