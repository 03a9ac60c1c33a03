"""Settings of the biogen stage."""

from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from elusive.biogen.people.fields import (
    PAPER_FIELDS,
    FactField,
    list_built_in_names,
    load_built_in_fields,
)
from elusive.common.errors import InputError, build_unknown_name_error

MAX_INDEX = 10_000_000
"""People have numbers below this, because identifiers have seven digits."""

QuestionKind = Literal["direct", "yes-no", "reverse", "multi-hop"]


def _squeeze(text: str) -> str:
    """Return a text without what makes no other sentence of it: case, blanks, marks at its end."""
    return " ".join(text.casefold().split()).rstrip(" .?!")


class BiogenConfig(BaseModel, frozen=True, extra="forbid"):
    """Settings that decide the content of a biography dataset."""

    people: int = Field(default=100, ge=1, description="People in the corpus.")
    start: int = Field(
        default=0,
        ge=0,
        description="Number of the first person: 500000 generates a later part of a larger corpus; "
        "reverse and multi-hop questions consider only that part.",
    )
    seed: int = Field(default=0, description="Seed of names, values, wordings and orders.")
    locale: str = Field(
        default="en_US", description="Faker locale of the names; sentences are in English."
    )
    middle_names: bool = Field(
        default=False, description="Whether people have a middle name; this allows more people."
    )
    people_per_first_name: int | None = Field(
        default=None,
        ge=1,
        description="People who share each first name; by default a random number.",
    )
    people_per_last_name: int | None = Field(
        default=None,
        ge=1,
        description="People who share each last name; by default a random number.",
    )
    they_rate: float = Field(
        default=0, ge=0, le=1, description="Share of the people whose pronoun is they, in [0, 1]."
    )
    fields: tuple[str, ...] = Field(
        default=PAPER_FIELDS,
        min_length=1,
        description="Fields to state and ask for, in this order; repeat the option for several. "
        "Others are company_city, language, instrument, sport, sibling and colleague.",
    )
    own_fields: tuple[FactField, ...] = Field(
        default=(),
        description="Your own fields; they are added to `fields` unless it names any of them.",
    )
    wordings: int = Field(
        default=1,
        ge=1,
        description="Template sentences in use per field, or all of them if it has fewer; with 1, "
        "everybody's sentence is the same.",
    )
    held_out_wordings: int = Field(
        default=0,
        ge=0,
        description="Last templates of each field, which only documents of the split dev use.",
    )
    multi: int = Field(
        default=1,
        ge=1,
        description="Biographies per person, in different wordings (multi M of bioS).",
    )
    permute: bool = Field(default=False, description="Whether sentences are in random order.")
    fullname: bool = Field(default=False, description="Whether every sentence has the name.")
    name_position: Literal["first", "any", "last"] = Field(
        default="first",
        description="Sentence that has the name: the first, any (drawn at random) or the last; "
        "the others have pronouns.",
    )
    distance: tuple[int, ...] = Field(
        default=(),
        description="Words from a mention of the name to every value, exactly, with filler "
        "sentences between; if there are several distances, one is drawn per fact.",
    )
    distractors: int = Field(
        default=0, ge=0, description="Other people in each text, with one sentence about each."
    )
    repeat_name: Literal["always", "if-unclear"] = Field(
        default="always",
        description="After a sentence about a distractor, repeat the name always, or only if a "
        "pronoun could mean the distractor, so that he or she alone tells who is meant.",
    )
    two_hop_rate: float = Field(
        default=0,
        ge=0,
        lt=1,
        description="Share of the people whose text omits a field that depends on another, such as "
        "company_city; the answer follows from other people's texts.",
    )
    questions: tuple[QuestionKind, ...] = Field(
        default=("direct",),
        min_length=1,
        description="Kinds of questions: direct, yes-no, reverse (who ...?), multi-hop (about the "
        "sibling or colleague); repeat the option for several.",
    )
    phrasings: int = Field(
        default=1, ge=1, description="Phrasings in use per field; one is drawn per direct question."
    )
    held_out_phrasing: bool = Field(
        default=False,
        description="Whether to repeat direct questions in a phrasing that no shot shows.",
    )
    num_shot_people: int = Field(
        default=32,
        ge=0,
        description="People outside the corpus whose solved questions are shots for prompts.",
    )
    dev_rate: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Share of the people whose questions are in the split dev.",
    )

    @model_validator(mode="before")
    @classmethod
    def _add_own_fields(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not values.get("own_fields"):
            return values
        own = [f["name"] if isinstance(f, dict) else f.name for f in values["own_fields"]]
        names = tuple(values.get("fields", PAPER_FIELDS))
        if not set(own) & set(names):
            names += tuple(own)
        return values | {"fields": names}

    @field_validator("fields", "questions")
    @classmethod
    def _check_unique(cls, names: tuple[str, ...], info: Any) -> tuple[str, ...]:
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"{info.field_name} has {name!r} twice: name each one once")
        return names

    @model_validator(mode="after")
    def _check(self) -> "BiogenConfig":
        self._check_fields()
        self._check_layout()
        if self.start + self.people > MAX_INDEX:
            raise InputError(
                f"start {self.start} + people {self.people} is more than {MAX_INDEX}, the most "
                "people that can be numbered: ask for fewer"
            )
        if self.people_per_first_name and self.middle_names and self.people_per_last_name:
            raise InputError(
                "people_per_first_name and people_per_last_name make names unique without "
                "middle_names: leave one of the three out"
            )
        return self

    def _check_fields(self) -> None:
        own = [field.name for field in self.own_fields]
        for name in own:
            if name in list_built_in_names() or own.count(name) > 1:
                raise InputError(f"own field {name!r} has the name of another field: rename it")
        for name in self.fields:
            if "," in name:
                raise InputError(f"fields: {name!r} is a list: repeat the option for each field")
            if name not in own and name not in list_built_in_names():
                raise build_unknown_name_error("field", name, [*list_built_in_names(), *own])
        if own:  # those that come with the package differ, and reading them takes time
            self._check_wordings()

    def _check_wordings(self) -> None:
        """Check that no two fields ask the same, and that no template is on both sides."""
        asked: dict[str, str] = {}
        for field in map(self.find_field, self.fields):
            questions = [*field.questions, field.held_out_question, field.yes_no, field.reverse]
            for question in {_squeeze(text) for text in questions if text}:
                if question in asked:
                    raise InputError(
                        f"fields {asked[question]!r} and {field.name!r} ask the same question "
                        f"({question!r}), which would have two answers: change one"
                    )
                asked[question] = field.name
            first = len(field.templates) - self.held_out_wordings
            templates = [_squeeze(template) for template in field.templates]
            if both := sorted({*templates[: max(first, 0)]} & {*templates[max(first, 0) :]}):
                raise InputError(
                    f"field {field.name!r} has the template {both[0]!r} among those that are held "
                    "out and among the others: leave one out"
                )

    def _check_layout(self) -> None:
        if self.multi > 1 and self.wordings == 1 and not self.permute and not self.distance:
            raise InputError(
                f"multi {self.multi} with wordings 1 would repeat one text: add --wordings 43 or "
                "--permute"
            )
        if self.distance and min(self.distance) < 1:
            raise InputError(f"distance: should be at least 1 word (got {min(self.distance)})")
        if self.distance and max(self.distance) > 500:
            raise InputError(f"distance: should be at most 500 words (got {max(self.distance)})")
        placing = ["distance"] * bool(self.distance) + ["fullname"] * self.fullname
        placing += ["name_position"] * (self.name_position != "first")
        if len(placing) > 1:
            raise InputError(
                f"{placing[0]} and {placing[1]} exclude each other, because both decide where the "
                "name stands: leave one of them out"
            )

    def find_field(self, name: str) -> FactField:
        """Return a field by name, built in or the user's own.

        Raises:
            InputError: there is no such field.
        """
        known = load_built_in_fields() | {field.name: field for field in self.own_fields}
        if name not in known:
            raise build_unknown_name_error("field", name, known)
        return known[name]

    @property
    def documents_per_person(self) -> int:
        """Documents of the split train, plus one of dev if wordings are held out."""
        return self.multi + (self.held_out_wordings > 0)

    @property
    def variant(self) -> str:
        """Variant of the text in the terms of bioS, such as `multi5+permute+fullname`."""
        parts = ["single" if self.multi == 1 else f"multi{self.multi}"]
        parts += ["permute"] * self.permute + ["fullname"] * self.fullname
        return "+".join(parts)
