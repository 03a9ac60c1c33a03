"""Fields: where values come from and how they are stated and asked, built in or the user's own."""

import datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, Field, field_validator, model_validator

from elusive.biogen.people import pools
from elusive.biogen.texts.templates import check_template
from elusive.common.errors import InputError, unknown_name, validated
from elusive.common.yaml_files import load_yaml

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

FACTS = Path(__file__).parent.parent / "facts"

PAPER_FIELDS = ("birth_date", "birth_city", "university", "major", "company")
"""Fields of the paper's corpus, in its order."""

VALUE_SOURCES = ("values", "pool", "dates", "numbers", "faker", "relation")


class FactField(BaseModel, frozen=True, extra="forbid"):
    """One kind of fact; exactly one of `values`, `pool`, `dates`, `numbers`, `faker`, `relation`.

    Templates and questions are English with slots: `{value}`; `{name/they}`, `{name/them}` or
    `{name's/their}` once per template, the name or a pronoun; `{they}`, `{them}`, `{their}`,
    `{themself}`, a pronoun in any case; `{was/were}`, a verb for one person and for they.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Name in tables, lower case.")
    values: tuple[str, ...] | None = Field(
        default=None, min_length=2, description="The values, all equally likely."
    )
    pool: str | None = Field(default=None, description="Name of a built-in pool of values.")
    dates: tuple[datetime.date, datetime.date] | None = Field(
        default=None, description="First and last date; stated like January 5, 1990."
    )
    numbers: tuple[int, int] | None = Field(
        default=None, description="Lowest and highest whole number."
    )
    faker: str | None = Field(
        default=None, description="A method of Faker that gives a string, such as color_name."
    )
    num_values: int = Field(
        default=1000, ge=2, description="How many different values to ask Faker for, at most."
    )
    relation: Literal["sibling", "colleague"] | None = Field(
        default=None, description="The value is the name of another person of the corpus."
    )
    noun: str | None = Field(
        default=None,
        description="What multi-hop questions call the other person; the name if not given.",
    )
    depends_on: str | None = Field(
        default=None, description="A field of which this one is a function, the same for everybody."
    )
    article: bool = Field(default=False, description='Answers also count with "the" before them.')
    templates: tuple[str, ...] = Field(min_length=1, description="Sentences that state the value.")
    questions: tuple[str, ...] = Field(
        min_length=1, description="Phrasings of the question, with {name}."
    )
    held_out_question: str | None = Field(
        default=None, description="A phrasing that no shot ever shows."
    )
    yes_no: str | None = Field(default=None, description="With {name} and {value}.")
    reverse: str | None = Field(
        default=None, description="With {value}; the answer is the name, where only one fits."
    )

    @field_validator("values")
    @classmethod
    def _plain(cls, values: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for value in values or ():
            if not value or value != " ".join(value.split()) or {"{", "}"} & set(value):
                raise InputError(
                    f"the value {value!r} should have text, single spaces and no braces"
                )
        return values

    @field_validator("templates")
    @classmethod
    def _well_formed(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        for template in templates:
            check_template(template)
        return templates

    @model_validator(mode="after")
    def _one_source(self) -> "FactField":
        given = [source for source in VALUE_SOURCES if getattr(self, source) is not None]
        if len(given) != 1:
            got = " and ".join(given) or "none"
            raise InputError(
                f"field {self.name!r}: give exactly one of {', '.join(VALUE_SOURCES)} (got {got})"
            )
        if self.depends_on and self.relation:
            raise InputError(f"field {self.name!r}: depends_on and relation exclude each other")
        self._check_questions()
        return self

    def _check_questions(self) -> None:
        """Every question has just the slots that it needs."""
        needed = [(text, {"name"}) for text in self.questions]
        needed += [(self.held_out_question, {"name"}), (self.yes_no, {"name", "value"})]
        needed += [(self.reverse, {"value"})]
        for text, slots in needed:
            if text is not None and {s for s in ("name", "value") if f"{{{s}}}" in text} != slots:
                wanted = " and ".join(f"{{{slot}}}" for slot in sorted(slots))
                raise InputError(f"question {text!r} of field {self.name!r} needs {wanted} alone")

    def pool_values(self) -> tuple[str, ...]:
        """All values of the field; empty for a relation.

        Raises:
            InputError: an unknown pool or Faker method, or fewer than two values.
        """
        return _pool_values(self)

    def answers(self) -> list[tuple[str, ...]]:
        """For each value, the value and the other writings of it that count as the same answer."""
        values = self.pool_values()
        if self.dates is not None:
            return list(zip(values, *pools.other_dates(*self.dates), strict=True))
        if self.article:
            return [
                (value,) if value.lower().startswith("the ") else (value, f"the {value}")
                for value in values
            ]
        return [(value,) for value in values]


@lru_cache(maxsize=256)
def _pool_values(field: FactField) -> tuple[str, ...]:
    """The values of a field, checked."""
    found = _values_of_source(field)
    if len(found) < 2 and not field.relation:
        raise InputError(f"field {field.name!r} has {len(found)} values: give at least two")
    if len(set(found)) < len(found):
        twice = next(value for value in found if found.count(value) > 1)
        raise InputError(f"field {field.name!r}: the value {twice!r} stands twice")
    return found


def _values_of_source(field: FactField) -> tuple[str, ...]:
    """The values of a field as their source gives them."""
    if field.values is not None:
        return field.values
    if field.pool is not None:
        if field.pool not in pools.POOLS:
            raise unknown_name("pool", field.pool, pools.POOLS)
        return pools.POOLS[field.pool]()
    if field.dates is not None:
        return pools.dates(*field.dates)
    if field.numbers is not None:
        return pools.numbers(*field.numbers)
    return pools.faked(field.faker, field.num_values) if field.faker else ()


@cache
def built_in_fields() -> dict[str, FactField]:
    """The fields that come with the package, by name."""
    loaded = [_load(path) for path in sorted(FACTS.glob("*.yaml"))]
    return {field.name: field for field in loaded}


def built_in_names() -> list[str]:
    """Names of the built-in fields, without reading them."""
    return sorted(path.stem for path in FACTS.glob("*.yaml"))


def _load(path: Path) -> FactField:
    """One built-in field."""
    return validated(FactField, yaml.load(path.read_text(encoding="utf-8"), Loader))


def load_fields(path: Path) -> tuple[FactField, ...]:
    """Fields of the user's own from a YAML list.

    Raises:
        InputError: no such file, no YAML list, or a field that is wrong.
    """
    entries = load_yaml(path, "field file")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path} should be a list of fields, each with name, templates, questions")
    return tuple(_own_field(path, entry) for entry in entries)


def _own_field(path: Path, entry: dict[str, object]) -> FactField:
    """One field of the user's own."""
    try:
        return validated(FactField, entry)
    except InputError as error:
        raise InputError(f"{path}, field {entry.get('name', '?')!r}: {error}") from None
