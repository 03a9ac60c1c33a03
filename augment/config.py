"""Settings of the augment stage."""

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from elusive.augment.arms import is_objective, list_arms
from elusive.common.errors import InputError, build_unknown_name_error

METHODS = list_arms("score", "rewrite")
FILE_AND_FUNCTION = re.compile(r".+\.py:[A-Za-z_]\w*")


class AugmentConfig(BaseModel):
    """How each document is turned into an original and dropped-out copies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str = Field(
        default="",
        description=f"Arm: {', '.join(METHODS)}; not with --method-file.",
    )
    method_file: str | None = Field(
        default=None,
        description="An arm of your own, FILE.py:FUNCTION: a function from a document and the "
        "spans of its units to a score for each unit.",
    )
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

    @model_validator(mode="before")
    @classmethod
    def _named_by_its_function(cls, values: object) -> object:
        """Name an arm of one's own after its function."""
        if not isinstance(values, dict) or not values.get("method_file"):
            return values
        name = str(values["method_file"]).partition(":")[2]
        if values.get("method") not in (None, "", name):
            raise InputError(
                f"method {values['method']!r} and method_file {values['method_file']!r} name two "
                "arms: give one of them"
            )
        return values | {"method": name}

    @model_validator(mode="after")
    def _known_method(self) -> "AugmentConfig":
        if self.method_file:
            if not FILE_AND_FUNCTION.fullmatch(self.method_file):
                raise InputError(f"method_file: {self.method_file!r} should be FILE.py:FUNCTION")
            if self.method in METHODS or is_objective(self.method):
                raise InputError(
                    f"method_file: {self.method!r} is a built-in arm: rename your function"
                )
        elif not self.method:
            raise InputError("method: name an arm with --method, or your own with --method-file")
        elif is_objective(self.method):
            raise InputError(
                f"method: {self.method!r} acts in training, not on the text: make plain text, and "
                f"train on it with `elusive evaluate --objective {self.method}`"
            )
        elif self.method not in METHODS:
            raise build_unknown_name_error("method", self.method, METHODS)
        return self
