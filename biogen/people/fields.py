"""Fields: the source of their values, and how texts state and questions ask for them."""

import datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, Field, field_validator, model_validator

from elusive.biogen.people import pools
from elusive.biogen.texts.templates import check_template
from elusive.common.answers import normalize_answer
from elusive.common.errors import InputError, build_unknown_name_error, validate_config
from elusive.common.yaml_files import load_yaml

FACTS = Path(__file__).parent.parent / "facts"

PAPER_FIELDS = ("birth_date", "birth_city", "university", "major", "company")
"""Fields of the paper's corpus, in its order."""

VALUE_SOURCES = ("values", "pool", "dates", "numbers", "faker", "relation")
"""Keys of a field that say where its values come from."""


class FactField(BaseModel, frozen=True, extra="forbid"):
    """One kind of fact; it has exactly one of `values`, `pool`, `dates`, `numbers`, `faker`,
    `relation`.

    Templates and questions are English with slots: `{value}`; once per template `{name/they}`,
    `{name/them}` or `{name's/their}`, which is the name or a pronoun; `{they}`, `{them}`,
    `{their}`, `{themself}`, which are always a pronoun; `{was/were}`, a verb for one person and for
    they.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Name in tables, in lower case.")
    values: tuple[str, ...] | None = Field(
        default=None, min_length=2, description="The values; all are equally likely."
    )
    pool: str | None = Field(default=None, description="Name of a built-in pool of values.")
    dates: tuple[datetime.date, datetime.date] | None = Field(
        default=None, description="First and last date; texts state them like January 5, 1990."
    )
    numbers: tuple[int, int] | None = Field(
        default=None, description="Lowest and highest whole number."
    )
    faker: str | None = Field(
        default=None, description="A method of Faker that returns a string, such as color_name."
    )
    num_values: int = Field(
        default=1000, ge=2, description="Most different values to ask Faker for."
    )
    relation: Literal["sibling", "colleague"] | None = Field(
        default=None, description="The value is the name of another person of the corpus."
    )
    noun: str | None = Field(
        default=None,
        description="What multi-hop questions call the other person; by default the field's name.",
    )
    depends_on: str | None = Field(
        default=None,
        description="A field that decides the value of this one, in the same way for everybody.",
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
        default=None, description="With {value}; the answer is the name, if only one person fits."
    )

    @field_validator("values")
    @classmethod
    def _plain(cls, values: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for value in values or ():
            if not value or value != " ".join(value.split()) or {"{", "}"} & set(value):
                raise InputError(
                    f"the value {value!r} should be text with single spaces and without braces"
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
        sources = [source for source in VALUE_SOURCES if getattr(self, source) is not None]
        if len(sources) != 1:
            got = " and ".join(sources) or "none"
            raise InputError(
                f"field {self.name!r}: give exactly one of {', '.join(VALUE_SOURCES)} (got {got})"
            )
        if self.depends_on and self.relation:
            raise InputError(
                f"field {self.name!r}: depends_on and relation exclude each other; leave one out"
            )
        self._check_questions()
        return self

    def _check_questions(self) -> None:
        repeated = [text for text in self.questions if self.questions.count(text) > 1]
        if repeated:
            raise InputError(
                f"field {self.name!r}: the question {repeated[0]!r} is listed twice: list it once"
            )
        required = [(text, {"name"}) for text in self.questions]
        required += [(self.held_out_question, {"name"}), (self.yes_no, {"name", "value"})]
        required += [(self.reverse, {"value"})]
        for text, slots in required:
            if text is not None and text == self.held_out_question and text in self.questions:
                raise InputError(
                    f"field {self.name!r}: its held_out_question is one of its questions: ask in "
                    "other words"
                )
            if text is not None and {s for s in ("name", "value") if f"{{{s}}}" in text} != slots:
                names = " and ".join(f"{{{slot}}}" for slot in sorted(slots))
                raise InputError(
                    f"question {text!r} of field {self.name!r} should have {names} and no other "
                    "slot"
                )

    def list_values(self) -> tuple[str, ...]:
        """Return all values of the field; a relation has none of its own.

        Raises:
            InputError: there is no such pool or Faker method, or there are fewer than two values.
        """
        return _list_values(self)

    def list_answers(self) -> list[tuple[str, ...]]:
        """Return the gold answers for each value: the value and its other spellings."""
        values = self.list_values()
        if self.dates is not None:
            return list(zip(values, *pools.list_other_dates(*self.dates), strict=True))
        if self.article:
            return [
                (value,) if value.lower().startswith("the ") else (value, f"the {value}")
                for value in values
            ]
        return [(value,) for value in values]


@lru_cache(maxsize=256)
def _list_values(field: FactField) -> tuple[str, ...]:
    values = _read_source(field)
    if len(values) < 2 and not field.relation:
        raise InputError(f"field {field.name!r} has {len(values)} values: give at least two")
    if len(set(values)) < len(values):
        repeated = next(value for value in values if values.count(value) > 1)
        raise InputError(
            f"field {field.name!r} lists the value {repeated!r} twice: list each value once"
        )
    _check_apart(field, values)
    return values


def _check_apart(field: FactField, values: tuple[str, ...]) -> None:
    """Raise InputError if two values are the same answer where answers are scored."""
    if field.pool or field.dates or (field.numbers and field.numbers[0] >= 0):
        return
    known: dict[str, str] = {}
    for value in values:
        normal = normalize_answer(value)
        if not normal:
            raise InputError(
                f"field {field.name!r}: nothing is left of the value {value!r} without articles "
                "and punctuation: choose another"
            )
        if normal in known:
            raise InputError(
                f"field {field.name!r}: the values {known[normal]!r} and {value!r} are the same "
                "answer, because case, articles and punctuation do not count: leave one out"
            )
        known[normal] = value


def _read_source(field: FactField) -> tuple[str, ...]:
    if field.values is not None:
        return field.values
    if field.pool is not None:
        if field.pool not in pools.POOLS:
            raise build_unknown_name_error("pool", field.pool, pools.POOLS)
        return pools.POOLS[field.pool]()
    if field.dates is not None:
        return pools.list_dates(*field.dates)
    if field.numbers is not None:
        return pools.list_numbers(*field.numbers)
    return pools.fake_values(field.faker, field.num_values) if field.faker else ()


@cache
def load_built_in_fields() -> dict[str, FactField]:
    """Load the fields that come with the package, by name."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast
    texts = [path.read_text(encoding="utf-8") for path in sorted(FACTS.glob("*.yaml"))]
    fields = [validate_config(FactField, yaml.load(text, loader)) for text in texts]
    return {field.name: field for field in fields}


def list_built_in_names() -> list[str]:
    """Return the names of the built-in fields without reading their files."""
    return sorted(path.stem for path in FACTS.glob("*.yaml"))


def load_fields(path: Path) -> tuple[FactField, ...]:
    """Load the user's own fields from a YAML list.

    Raises:
        InputError: there is no such file, it is not a YAML list, or a field is wrong.
    """
    entries = load_yaml(path, "field file")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path} should be a list of fields, each with name, templates, questions")
    return tuple(_validate_field(path, entry) for entry in entries)


def _validate_field(path: Path, entry: dict[str, object]) -> FactField:
    try:
        return validate_config(FactField, entry)
    except InputError as error:
        named = str(error).removeprefix(f"field {entry.get('name')!r}: ")
        raise InputError(f"{path}, field {entry.get('name', '?')!r}: {named}") from None
