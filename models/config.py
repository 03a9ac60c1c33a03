"""Settings of the pretraining of a model family."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, Field, field_validator, model_validator

from elusive.biogen.config import BiogenConfig
from elusive.common.errors import InputError
from elusive.common.yaml_files import load_config


class ModelShape(BaseModel, frozen=True, extra="forbid"):
    """The size of a Llama."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", description="Name, also of the folder.")
    width: int = Field(default=256, ge=16, description="Size of the hidden states.")
    layers: int = Field(default=4, ge=1, description="Number of transformer blocks.")
    heads: int = Field(default=4, ge=1, description="Attention heads; they divide width / 2.")
    intermediate: int = Field(default=704, ge=16, description="Size inside feed-forward blocks.")

    @field_validator("heads")
    @classmethod
    def _check_heads(cls, heads: int, info: object) -> int:
        width = getattr(info, "data", {}).get("width", heads)
        if width % (2 * heads):
            raise InputError(f"heads {heads} should divide half of width {width}: change one")
        return heads


class PretrainPlan(BaseModel, frozen=True, extra="forbid"):
    """A family: models of several sizes with one tokenizer, one population and one recipe."""

    population: BiogenConfig = Field(
        default=BiogenConfig(
            people=300, wordings=43, multi=40, permute=True, name_position="any", dev_rate=0
        ),
        description="People whom the models learn about, with the settings of `elusive biogen`.",
    )
    models: tuple[ModelShape, ...] = Field(min_length=1, description="Sizes, largest first.")
    vocabulary: int = Field(default=4096, ge=300, description="Number of tokens in the vocabulary.")
    tokens: int = Field(default=6_000_000, ge=1, description="Tokens that each model reads.")
    row_tokens: int = Field(default=1024, ge=64, description="Tokens per optimizer step, about.")
    question_share: float = Field(
        default=0.3, ge=0, le=1, description="Share of the tokens that belong to question blocks."
    )
    block_questions: int = Field(
        default=6, ge=1, description="Number of solved questions in a block, all of one field."
    )
    first_people: int | None = Field(
        default=None,
        ge=1,
        description="Number of people whom the models read about from the start; the others join "
        "one by one. None: everybody from the start.",
    )
    joining: float = Field(
        default=0.5, gt=0, le=1, description="Share of the tokens after which everybody has joined."
    )
    learning_rate: float = Field(default=2e-3, gt=0, description="Peak learning rate of AdamW.")
    weight_decay: float = Field(default=0.01, ge=0, description="Weight decay of AdamW.")
    warmup: float = Field(default=0.02, ge=0, lt=1, description="Share of tokens, rate rising.")
    decay: float = Field(default=0.4, ge=0, le=1, description="Share of tokens, rate falling.")
    evaluations: int = Field(default=10, ge=1, description="Number of evaluations.")
    evaluation_questions: int = Field(
        default=200, ge=1, description="Questions about the population in each evaluation."
    )
    seed: int = Field(default=0, description="Seed of the weights and of the order of texts.")

    @model_validator(mode="after")
    def _check_people(self) -> "PretrainPlan":
        people = self.population.people
        if self.first_people is not None and self.first_people > people:
            raise InputError(
                f"first_people {self.first_people} is more than the population's people {people}: "
                "lower first_people"
            )
        if self.block_questions > (self.first_people or people):
            raise InputError(
                f"block_questions {self.block_questions} is more than the people to be asked "
                f"about, {self.first_people or people}, and a block asks about each person once: "
                "lower block_questions"
            )
        return self

    @field_validator("models")
    @classmethod
    def _check_names(cls, models: tuple[ModelShape, ...]) -> tuple[ModelShape, ...]:
        names = [model.name for model in models]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"models: two are named {name!r}: give each its own name")
        return models


def load_pretrain_plan(path: Path, changes: Sequence[str] = ()) -> PretrainPlan:
    """Read the plan of a family.

    Args:
        path: of the file.
        changes: settings to change, such as `population.permute=true`.

    Raises:
        InputError: there is no such file, it is not YAML, or a setting is wrong.
    """
    return load_config(PretrainPlan, path, "plan", "tokens: 6000000", changes)
