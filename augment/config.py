"""Settings of the augment stage."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from elusive.common.errors import unknown_name

METHOD_NAMES = (
    "plain",
    "random",
    "attention",
    "contrast",
    "depth-contrast",
    "position",
    "reverse-position",
    "shuffled",
    "oracle",
    "permute",
)


class AugmentConfig(BaseModel):
    """How each document is turned into an original and dropped-out copies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str = Field(description=f"Arm: {', '.join(METHOD_NAMES)}.")
    model: str | None = Field(
        default=None,
        description="Model whose tokens are dropped, and whose attention `attention` and "
        "`depth-contrast` read: usually the one that will be trained. Without it tokens are words.",
    )
    large: str | None = Field(
        default=None, description="Large model of `contrast`; gives the tokens."
    )
    small: str | None = Field(
        default=None, description="Small model of `contrast`, same tokenizer."
    )
    alpha: float = Field(
        default=0.7, gt=0, le=1, description="Highest drop probability, in (0, 1]."
    )
    beta: float = Field(
        default=0.05, gt=0, description="How fast the drop probability rises with rank."
    )
    depth: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="Share of the layers, from the first, that `depth-contrast` subtracts.",
    )
    copies: int = Field(
        default=10, ge=1, description="Copies of each document beside its original."
    )
    protect: Literal["none", "values"] = Field(
        default="none",
        description="Spans beside punctuation that are never dropped: none, or fact values.",
    )
    seed: int = Field(default=0, description="Seed of the dropout.")

    @field_validator("method")
    @classmethod
    def _known_method(cls, method: str) -> str:
        if method not in METHOD_NAMES:
            raise unknown_name("method", method, METHOD_NAMES)
        return method
