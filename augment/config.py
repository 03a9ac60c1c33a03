"""Settings of `elusive augment`."""

import re
from collections.abc import Callable, Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from elusive.augment.arms import (
    ARMS,
    CLUE_FINDERS,
    UNTRAINED,
    drops_tokens,
    is_objective,
    list_arms,
)
from elusive.common.errors import InputError, build_unknown_name_error

METHODS = list_arms("score", "rewrite")
RESTATE = "restate"
READ_ATTENTION = ("attention", "contrast", "depth-contrast", "reverse-contrast", RESTATE)
USED_BY: dict[str, Callable[[str], bool]] = {
    **dict.fromkeys(
        ("layers", "heads", "own_query", "queries"), lambda method: method in READ_ATTENTION
    ),
    **dict.fromkeys(("alpha", "beta", "unit", "protect"), drops_tokens),
    "rewrite": lambda method: method == RESTATE or drops_tokens(method),
    "difference": lambda method: method in ("contrast", "reverse-contrast", RESTATE),
    "depth": lambda method: method in ("depth-contrast", RESTATE),
    **dict.fromkeys(("writer", "endpoint"), lambda method: method == "paraphrase"),
    "small": lambda method: (
        method not in ARMS or method == RESTATE or "small" in ARMS[method].models
    ),
}
"""Which arms use a setting; all of them use one that is not here."""
RESTATING_SETTINGS = frozenset({"restate_words", "restate_in", "restate_above"})
"""Of use only where something is said again."""
FILE_AND_FUNCTION = re.compile(r".+\.py:[A-Za-z_]\w*")


class AugmentConfig(BaseModel):
    """How the copies of each document are made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str = Field(
        default="",
        description=f"Arm that makes the copies: {', '.join(METHODS)}. Leave it out with "
        "--method-file.",
    )
    method_file: str | None = Field(
        default=None,
        description="An arm of your own, as FILE.py:FUNCTION. The function takes a document and "
        "the spans of its units, and returns one score per unit; units with higher scores are "
        "kept more often.",
    )
    model: str | None = Field(
        default=None,
        description="Model whose tokens are dropped in every arm, usually the one that you will "
        "train. The arms `attention` and `depth-contrast` read its attention. Without it, the "
        "tokens of the large model are dropped, and without any model, words.",
    )
    large: str | None = Field(
        default=None,
        description="Large model of an arm that contrasts two models.",
    )
    small: str | None = Field(
        default=None,
        description="Small model of an arm that contrasts two models; its scores are moved to the "
        "tokens of the large model, character by character.",
    )
    difference: Literal["minus", "log-ratio"] = Field(
        default="minus",
        description="How `contrast` compares attention: under the large model minus under the "
        "small one, or the logarithm of their ratio.",
    )
    layers: str = Field(
        default="all",
        description="Layers whose attention is read: all, indices such as 4-11 or 0,5,7, or shares "
        "of the depth such as 0.25-0.5.",
    )
    heads: str = Field(
        default="all", description="Heads whose attention is read, written like --layers."
    )
    own_query: bool = Field(default=False, description="Also count a token's attention to itself.")
    queries: Literal["all", "before-values"] = Field(
        default="all",
        description="Tokens whose attention is read: all later tokens, or only the token before "
        "each value, as in the paper's figures.",
    )
    unit: Literal["token", "word"] = Field(
        default="token",
        description="What is dropped at a time: a token of the model, or a whole word, whose score "
        "is the mean of its tokens' scores (the sum, for log-probabilities).",
    )
    alpha: float = Field(
        default=0.7, gt=0, le=1, description="Highest drop probability, in (0, 1]."
    )
    beta: float = Field(
        default=0.05, gt=0, description="How fast the drop probability rises with the rank."
    )
    depth: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="Share of the layers, counted from the first, that `depth-contrast` subtracts.",
    )
    copies: int = Field(
        default=10, ge=1, description="Number of copies of each document, besides its original."
    )
    original: bool = Field(
        default=True,
        description="Whether the original of each document is trained on beside its copies. "
        "Without it, there is one more copy in its place.",
    )
    rewrite: Literal["none", "permute", "permute-rest", "reverse-training"] = Field(
        default="none",
        description="How an arm that drops tokens, or `restate`, rewrites each copy first.",
    )
    restate_by: str | None = Field(
        default=None,
        description="How the clue is found that each sentence says again: "
        f"{', '.join(CLUE_FINDERS)}; by default depth-contrast in the arm `restate`, and in others "
        "nothing is said again.",
    )
    restate_words: int = Field(
        default=2, ge=1, description="Most words of a clue that is said again."
    )
    restate_in: Literal["all", "pronouns"] = Field(
        default="all",
        description="Which sentences that lack their clue say it again: all of them, or only those "
        "with a pronoun, whose place it takes.",
    )
    restate_above: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="Say a clue again only if its score is this many standard deviations above the "
        "mean of all that stands before the sentence; by default always.",
    )
    writer: str | None = Field(
        default=None,
        description="Chat model that writes the copies of `paraphrase`: a model, or its name at "
        "the endpoint.",
    )
    endpoint: str | None = Field(
        default=None,
        description="Address of an OpenAI-compatible server that serves the writer, such as "
        "http://localhost:8000/v1; OPENAI_API_KEY holds its key.",
    )
    protect: Literal["none", "values", "before-values"] = Field(
        default="none",
        description="What is never dropped, besides punctuation: nothing, the values of facts, or "
        "the token before each value.",
    )
    seed: int = Field(default=0, description="Seed of all random choices.")

    @model_validator(mode="before")
    @classmethod
    def _name_after_function(cls, values: object) -> object:
        if not isinstance(values, dict) or not values.get("method_file"):
            return values
        name = str(values["method_file"]).partition(":")[2]
        if values.get("method") not in (None, "", name):
            raise InputError(
                f"method {values['method']!r} and method_file {values['method_file']!r} name two "
                "arms: give only one of them"
            )
        return values | {"method": name}

    @model_validator(mode="after")
    def _check_method(self) -> "AugmentConfig":
        if self.method_file:
            if not FILE_AND_FUNCTION.fullmatch(self.method_file):
                raise InputError(f"method_file: {self.method_file!r} should be FILE.py:FUNCTION")
            if self.method in METHODS or is_objective(self.method):
                raise InputError(
                    f"method_file: {self.method!r} is the name of a built-in arm: rename your "
                    "function"
                )
        elif not self.method:
            raise InputError("method: name an arm with --method, or your own with --method-file")
        elif is_objective(self.method):
            raise InputError(
                f"method: {self.method!r} acts in training, not on the text: make text with "
                f"--method plain, and train on it with `elusive evaluate --objective {self.method}`"
            )
        elif self.method in list_arms("control"):
            row = "untrained: true" if self.method == UNTRAINED else f"controls: [{self.method}]"
            raise InputError(f"method: {self.method!r} trains on no text: in a plan, write {row}")
        elif self.method not in METHODS:
            raise build_unknown_name_error("method", self.method, METHODS)
        if self.rewrite != "none" and not (drops_tokens(self.method) or self.method == RESTATE):
            raise InputError(
                f"rewrite {self.rewrite!r} and method {self.method!r}: an arm has one rewrite at "
                f"most: use --method {self.rewrite}, or --rewrite with a method that drops tokens"
            )
        return self

    @model_validator(mode="after")
    def _check_pair(self) -> "AugmentConfig":
        if self.large is not None and self.large == self.small:
            raise InputError(
                f"large and small are both {self.large!r}, so that all contrasts are 0: name two "
                "models that differ"
            )
        return self

    @model_validator(mode="after")
    def _check_restating(self) -> "AugmentConfig":
        if self.restate_by is None:
            return self
        if self.restate_by not in CLUE_FINDERS:
            raise build_unknown_name_error("restate_by", self.restate_by, CLUE_FINDERS)
        if not drops_tokens(self.method) and self.method != RESTATE:
            raise InputError(
                f"restate_by {self.restate_by!r} and method {self.method!r}: use it with --method "
                "restate, to which --rewrite adds another order, or with a method that drops tokens"
            )
        return self

    def list_unused(self, names: Iterable[str]) -> list[str]:
        """List those of some settings that the arm does not use.

        >>> AugmentConfig(method="random").list_unused(["layers", "alpha", "restate_words"])
        ['layers', 'restate_words']
        """
        unused = {name for name, is_used_by in USED_BY.items() if not is_used_by(self.method)}
        if not self.clue_finder:
            unused |= RESTATING_SETTINGS
        return [name for name in names if name in unused]

    @property
    def permutes(self) -> bool:
        """Whether copies have their sentences in another order."""
        return bool({self.method, self.rewrite} & {"permute", "permute-rest"})

    @property
    def copies_differ(self) -> bool:
        """Whether the copies of a document should differ from each other."""
        return drops_tokens(self.method) or self.permutes or self.method in ("eda", "questions")

    @property
    def clue_finder(self) -> str:
        """How clues are found that sentences say again; empty if nothing is said again."""
        return self.restate_by or ("depth-contrast" if self.method == RESTATE else "")
