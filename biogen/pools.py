"""Pools that names and values are drawn from, made once with Faker."""

from functools import cache
from pathlib import Path

from faker import Faker
from faker.providers.address.en_US import Provider as AddressProvider
from faker.providers.geo import Provider as GeoProvider
from faker.providers.person.en_US import Provider as PersonProvider

POOL_SEED = 2409
"""Fixed, so that pools do not change with the seed of a dataset."""

NUM_COMPANIES = 263
"""As many as in bioS (arXiv 2309.14316)."""

UNIVERSITY_PATTERNS = ("University of {}", "{} State University", "{} Institute of Technology")


@cache
def first_names() -> tuple[tuple[str, str], ...]:
    """Pairs of first name and gender ("female", "male"); names that both carry are left out."""
    female, male = set(PersonProvider.first_names_female), set(PersonProvider.first_names_male)
    pairs = [(name, "female") for name in female - male] + [
        (name, "male") for name in male - female
    ]
    return tuple(sorted(pairs))


@cache
def last_names() -> tuple[str, ...]:
    """Last names, sorted."""
    return tuple(sorted(set(PersonProvider.last_names)))


@cache
def cities() -> tuple[str, ...]:
    """Real places from all over the world whose names are written in ASCII, sorted."""
    places = {entry[2] for entry in GeoProvider.land_coords}
    return tuple(sorted(place for place in places if place.isascii() and place[0].isupper()))


@cache
def majors() -> tuple[str, ...]:
    """Subjects of study, sorted."""
    path = Path(__file__).parent / "majors.txt"
    return tuple(path.read_text(encoding="utf-8").splitlines())


@cache
def universities() -> tuple[str, ...]:
    """Universities named after the states of the USA, sorted."""
    states = AddressProvider.states
    return tuple(
        sorted(pattern.format(state) for state in states for pattern in UNIVERSITY_PATTERNS)
    )


@cache
def companies() -> tuple[str, ...]:
    """Company names made by Faker, sorted; none ends in a full stop."""
    faker = Faker("en_US")
    faker.seed_instance(POOL_SEED)
    names: set[str] = set()
    while len(names) < NUM_COMPANIES:
        name = faker.company()
        if not name.endswith("."):
            names.add(name)
    return tuple(sorted(names))
