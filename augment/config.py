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
    "reverse-contrast",
    "surprisal-contrast",
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
        default=None, description="Large model of contrasts between two; gives the tokens."
    )
    small: str | None = Field(
        default=None,
        description="Small model of contrasts between two; its scores are moved to the large "
        "one's tokens by characters.",
    )
    difference: Literal["minus", "log-ratio"] = Field(
        default="minus",
        description="How `contrast` compares attention: large minus small, or "
        "the logarithm of their ratio.",
    )
    layers: str = Field(
        default="all",
        description="Layers whose attention is read: all, 4-11, 0,5,7, or shares of the depth "
        "such as 0.25-0.5.",
    )
    heads: str = Field(default="all", description="Heads whose attention is read, written alike.")
    own_query: bool = Field(default=False, description="Count a token's attention to itself, too.")
    queries: Literal["all", "before-values"] = Field(
        default="all",
        description="Whose attention is read: that of all later tokens, or of the token before "
        "each value (the paper's figures).",
    )
    unit: Literal["token", "word"] = Field(
        default="token",
        description="What is dropped at a time: tokens of the model, or words, which get the sum "
        "of their tokens' scores.",
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
