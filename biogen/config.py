"""Settings of the biogen stage."""

from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from elusive.biogen.people.fields import PAPER_FIELDS, FactField, built_in_fields, built_in_names
from elusive.common.errors import InputError, unknown_name

MAX_INDEX = 10_000_000
"""People are numbered below this: identifiers have seven digits."""

QuestionKind = Literal["direct", "yes-no", "reverse", "multi-hop"]


class BiogenConfig(BaseModel, frozen=True, extra="forbid"):
    """What decides a biography dataset."""

    people: int = Field(default=100, ge=1, description="People in the corpus.")
    start: int = Field(
        default=0,
        ge=0,
        description="Number of the first person: 500000 makes a later part of a larger corpus; "
        "reverse and multi-hop questions look at that part alone.",
    )
    seed: int = Field(default=0, description="Seed of names, values, wordings and orders.")
    locale: str = Field(
        default="en_US", description="Faker locale of the names; sentences are English."
    )
    middle_names: bool = Field(
        default=False, description="Whether people have a middle name; allows more people."
    )
    people_per_first_name: int | None = Field(
        default=None, ge=1, description="How many people share each first name; else by chance."
    )
    people_per_last_name: int | None = Field(
        default=None, ge=1, description="How many people share each last name; else by chance."
    )
    they_rate: float = Field(
        default=0, ge=0, le=1, description="Share of the people who are called they."
    )
    fields: tuple[str, ...] = Field(
        default=PAPER_FIELDS,
        min_length=1,
        description="Fields to state and ask, in this order; give the option once per field. "
        "Also company_city, language, instrument, sport, sibling, colleague.",
    )
    own_fields: tuple[FactField, ...] = Field(
        default=(), description="Fields of your own; they are added to `fields` if not named there."
    )
    wordings: int = Field(
        default=1,
        ge=1,
        description="Template sentences in use per field, or all where a field has fewer; 1: "
        "everybody's sentence is the same.",
    )
    held_out_wordings: int = Field(
        default=0,
        ge=0,
        description="Templates per field, its last ones, that only documents of the split dev use.",
    )
    multi: int = Field(
        default=1, ge=1, description="Biographies per person, in different wordings (multi M)."
    )
    permute: bool = Field(default=False, description="Whether sentences come in random order.")
    fullname: bool = Field(default=False, description="Whether every sentence has the name.")
    name_position: Literal["first", "any", "last"] = Field(
        default="first",
        description="Which sentence has the name: the first, any one drawn at random, or the last; "
        "pronouns stand elsewhere.",
    )
    distance: tuple[int, ...] = Field(
        default=(),
        description="Put every value exactly this many words behind a mention of the name, with "
        "filler sentences between; several: drawn per fact.",
    )
    distractors: int = Field(
        default=0, ge=0, description="Other people in each text, a sentence about each."
    )
    two_hop_rate: float = Field(
        default=0,
        ge=0,
        lt=1,
        description="Share of the people whose text omits a field that depends on another, such as "
        "company_city: to be answered from others' texts.",
    )
    questions: tuple[QuestionKind, ...] = Field(
        default=("direct",),
        min_length=1,
        description="Kinds of questions: direct, yes-no, reverse (who ...?), multi-hop (about the "
        "sibling or colleague); give the option once per kind.",
    )
    phrasings: int = Field(
        default=1, ge=1, description="Phrasings in use per field, drawn per direct question."
    )
    held_out_phrasing: bool = Field(
        default=False,
        description="Whether to ask direct questions again in a phrasing that no shot shows.",
    )
    num_shot_people: int = Field(
        default=32,
        ge=0,
        description="People outside the corpus whose questions are solved, for prompts.",
    )
    dev_rate: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Share of the people whose questions are for development.",
    )

    @model_validator(mode="before")
    @classmethod
    def _add_own_fields(cls, values: Any) -> Any:
        """Own fields are used unless the user chose among them."""
        if not isinstance(values, dict) or not values.get("own_fields"):
            return values
        own = [f["name"] if isinstance(f, dict) else f.name for f in values["own_fields"]]
        chosen = tuple(values.get("fields", PAPER_FIELDS))
        if not set(own) & set(chosen):
            chosen += tuple(own)
        return values | {"fields": chosen}

    @field_validator("fields", "questions")
    @classmethod
    def _each_once(cls, names: tuple[str, ...], info: Any) -> tuple[str, ...]:
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"{info.field_name}: {name!r} stands twice; name each once")
        return names

    @model_validator(mode="after")
    def _consistent(self) -> "BiogenConfig":
        self._check_fields()
        self._check_layout()
        if self.start + self.people > MAX_INDEX:
            raise InputError(
                f"start {self.start} + people {self.people} is more than {MAX_INDEX}, the most "
                "that can be numbered: ask for fewer"
            )
        if self.people_per_first_name and self.middle_names and self.people_per_last_name:
            raise InputError(
                "people_per_first_name and people_per_last_name make names unique without "
                "middle_names: leave one of the three out"
            )
        return self

    def _check_fields(self) -> None:
        """Every field exists, no own field hides another, and what one depends on is there."""
        own = [field.name for field in self.own_fields]
        for name in own:
            if name in built_in_names() or own.count(name) > 1:
                raise InputError(f"own field {name!r} has the name of another field: rename it")
        for name in self.fields:
            if "," in name:
                raise InputError(f"fields: {name!r} is a list; give the option once per field")
            if name not in own and name not in built_in_names():
                raise unknown_name("field", name, [*built_in_names(), *own])

    def _check_layout(self) -> None:
        """What is asked of the text can be done at once."""
        if self.multi > 1 and self.wordings == 1 and not self.permute and not self.distance:
            raise InputError(
                f"multi {self.multi} with wordings 1 would repeat one text: add --wordings 43 or "
                "--permute"
            )
        if self.distance and min(self.distance) < 1:
            raise InputError(f"distance: should be at least 1 word (got {min(self.distance)})")
        if self.distance and max(self.distance) > 500:
            raise InputError(f"distance: should be at most 500 words (got {max(self.distance)})")
        for name, given in (
            ("fullname", self.fullname),
            ("name_position", self.name_position != "first"),
        ):
            if self.distance and given:
                raise InputError(
                    f"distance and {name} exclude each other: with distance, the name stands "
                    "before every fact, as far away as asked; leave one of them out"
                )
        if self.fullname and self.name_position != "first":
            raise InputError(
                "fullname and name_position exclude each other: with fullname, every sentence has "
                "the name; leave one of them out"
            )

    def field_named(self, name: str) -> FactField:
        """A field by name, built in or own.

        Raises:
            InputError: there is none.
        """
        known = built_in_fields() | {field.name: field for field in self.own_fields}
        if name not in known:
            raise unknown_name("field", name, known)
        return known[name]

    @property
    def documents_per_person(self) -> int:
        """Documents of the split train, and one of dev if wordings are held out."""
        return self.multi + (self.held_out_wordings > 0)

    @property
    def variant(self) -> str:
        """The text's variant in the words of bioS, such as `multi5+permute+fullname`."""
        parts = ["single" if self.multi == 1 else f"multi{self.multi}"]
        parts += ["permute"] * self.permute + ["fullname"] * self.fullname
        return "+".join(parts)
