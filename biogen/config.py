"""Settings of the biogen stage."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from elusive.biogen.templates import FIELDS
from elusive.common.errors import InputError, unknown_name


class BiogenConfig(BaseModel):
    """What decides a biography dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    people: int = Field(default=100, ge=1, description="People in the corpus, one biography each.")
    seed: int = Field(default=0, description="Seed of names, values and places of the name.")
    name_position: Literal["first", "any"] = Field(
        default="first",
        description="Where the name stands: in the first sentence, or in any one, drawn at random; "
        "pronouns stand elsewhere.",
    )
    fields: tuple[str, ...] = Field(
        default=FIELDS,
        min_length=1,
        description="Fields to state and ask, in this order; give the option once per field.",
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

    @field_validator("fields")
    @classmethod
    def _known_fields(cls, fields: tuple[str, ...]) -> tuple[str, ...]:
        for field in fields:
            if field not in FIELDS:
                raise unknown_name("field", field, FIELDS)
            if fields.count(field) > 1:
                raise InputError(f"fields: {field!r} stands twice; name each field once")
        return fields
