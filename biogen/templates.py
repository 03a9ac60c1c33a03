"""Sentences and questions of each field, in the order in which a biography states them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Template:
    """How one field is stated and asked.

    In `before` and `after`, {possessive} becomes his or her; the subject and the value are put in
    by code, which so knows where they stand.
    """

    template_id: str
    field: str
    before: str
    """Between the subject and the value."""
    after: str
    """After the value."""
    question: str
    """With {name}."""


TEMPLATES = (
    Template(
        "birth_date-0", "birth_date", " came into the world on ", ".", "When was {name} born?"
    ),
    Template(
        "birth_city-0",
        "birth_city",
        " drew {possessive} first breath in ",
        ".",
        "In which city was {name} born?",
    ),
    Template(
        "university-0",
        "university",
        " later went on to earn {possessive} degree from ",
        ".",
        "Which university did {name} graduate from?",
    ),
    Template(
        "major-0",
        "major",
        " chose to devote most of {possessive} studies to ",
        ".",
        "Which subject did {name} study?",
    ),
    Template(
        "company-0",
        "company",
        " had a professional role at ",
        ".",
        "Which company did {name} work for?",
    ),
)

FIELDS = tuple(template.field for template in TEMPLATES)
"""Fields in the order of the paper's corpus."""

SUBJECTS = {"female": "She", "male": "He"}
POSSESSIVES = {"female": "her", "male": "his"}


def templates_of(fields: tuple[str, ...]) -> list[Template]:
    """The templates of some fields, in the order of the fields."""
    by_field = {template.field: template for template in TEMPLATES}
    return [by_field[field] for field in fields]
