"""Pools that names and values are drawn from, made once with Faker."""

from functools import cache

from faker import Faker
from faker.providers.address.en_US import Provider as AddressProvider
from faker.providers.geo import Provider as GeoProvider
from faker.providers.person.en_US import Provider as PersonProvider

POOL_SEED = 2409
"""Fixed, so that pools do not change with the seed of a dataset."""

NUM_COMPANIES = 263
"""As many as in bioS (arXiv 2309.14316)."""

UNIVERSITY_PATTERNS = ("University of {}", "{} State University", "{} Institute of Technology")

MAJORS = tuple(
    """
    Accounting; Acoustics; Actuarial Science; Aerospace Engineering; African Studies; Agronomy;
    Animal Science; Anthropology; Applied Mathematics; Archaeology; Architecture; Art History;
    Astronomy; Astrophysics; Biochemistry; Bioinformatics; Biology; Biomedical Engineering;
    Biophysics; Botany; Business Administration; Celtic Studies; Chemical Engineering; Chemistry;
    Civil Engineering; Classics; Cognitive Science; Communication; Comparative Literature;
    Computer Engineering; Computer Science; Conservation Biology; Creative Writing; Criminology;
    Dance; Data Science; Demography; Dentistry; Drama; Early Childhood Education; Ecology; Economics;
    Electrical Engineering; English Literature; Entomology; Environmental Science; Epidemiology;
    Ethnomusicology; Fashion Design; Film Studies; Finance; Food Science; Forestry; French Literature;
    Genetics; Geography; Geology; Geophysics; German Studies; Graphic Design; History; Horticulture;
    Hospitality Management; Human Resources; Hydrology; Immunology; Industrial Design;
    Information Systems; International Relations; Journalism; Kinesiology; Landscape Architecture; Law;
    Library Science; Linguistics; Marine Biology; Marketing; Materials Science; Mathematics;
    Mechanical Engineering; Medieval Studies; Meteorology; Microbiology; Museum Studies;
    Music Theory; Neuroscience; Nuclear Engineering; Nursing; Nutrition; Oceanography; Optics;
    Paleontology; Petroleum Engineering; Pharmacology; Philosophy; Photography; Physics;
    Political Science; Psychology; Public Health; Sculpture; Social Work; Sociology; Software Engineering;
    Statistics; Theology; Toxicology; Urban Planning; Veterinary Medicine; Zoology
    """.replace("\n", " ").split(";")
)
MAJORS = tuple(" ".join(major.split()) for major in MAJORS)


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
