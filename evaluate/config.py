"""Settings of training and answering."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from elusive.augment.arms import ARMS, list_arms
from elusive.common.errors import InputError, build_unknown_name_error

UNTRAINED = "untrained"
"""Name of the row of the model before training."""
LOSS_EVERY = 5
"""Steps whose mean loss is logged together; the first step is also logged alone."""
NEXT_TOKEN = "next-token"
"""The usual objective: every token is predicted from those before it."""


class TrainingConfig(BaseModel):
    """LoRA training of one cell; rank, clip and warm-up default to those of arXiv 2409.17954."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(
        default=3, ge=1, description="Passes over the training text (originals and copies)."
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="Peak learning rate of AdamW.")
    batch_size: int = Field(
        default=8, ge=1, description="Texts per optimizer step, packed into one row."
    )
    warmup: float = Field(
        default=0.1, ge=0, lt=1, description="Share of the steps in which the learning rate rises."
    )
    clip: float = Field(
        default=1.0, gt=0, description="Gradient norm above which gradients are scaled down."
    )
    lora_rank: int = Field(
        default=16, ge=1, description="Rank r of LoRA on every linear layer but the head."
    )
    lora_alpha: int = Field(default=16, ge=1, description="LoRA's scale is lora_alpha / lora_rank.")
    lora_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="Dropout on the adapters' input, in training."
    )
    lora_targets: tuple[str, ...] = Field(
        default=(),
        description="Names of the layers that get adapters, such as q_proj; all linear ones but "
        "the head if none is given.",
    )
    tuning: Literal["lora", "full"] = Field(
        default="lora", description="What is trained: adapters, or all weights (in float32)."
    )
    quantization: Literal["none", "8bit", "4bit"] = Field(
        default="none",
        description="Precision of the frozen base: its own, or fewer bits by bitsandbytes.",
    )
    budget: Literal["steps", "tokens"] = Field(
        default="steps",
        description="What is equal in all arms: optimizer steps, or tokens. With tokens, every arm "
        "trains on as many as the originals would have, so arms that drop see more copies.",
    )
    accumulation: int = Field(
        default=1, ge=1, description="Rows that each step is split into, to save memory."
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="Compute activations twice instead of keeping them, to save memory.",
    )
    format_replay: int = Field(
        default=64,
        ge=0,
        description="Solved questions about other people mixed into training, each once; 0: none.",
    )
    labels: Literal["dropped", "clean"] = Field(
        default="dropped",
        description="What is predicted: the text with its holes (dropped, as in the paper), or the "
        "next tokens of the original, from an input that lacks the dropped ones (clean).",
    )
    dynamic: bool = Field(
        default=False,
        description="Draw new copies in every epoch instead of using those of the training text.",
    )
    checkpoint_minutes: float = Field(
        default=10,
        gt=0,
        description="Minutes between checkpoints, from which an interrupted training resumes.",
    )
    report_to: tuple[str, ...] = Field(
        default=(),
        description="Where losses are logged beside the cell: tensorboard, trackio, wandb.",
    )

    objective: str = Field(
        default=NEXT_TOKEN,
        description=f"What is learned at each step: {NEXT_TOKEN}, or an arm that acts in training: "
        f"{', '.join(list_arms('objective'))}.",
    )
    noise: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="Share of the input tokens that `d-ar` replaces, and of the attention mask "
        "that `attention-dropout` closes, at every step.",
    )
    selected: float = Field(
        default=0.6,
        gt=0,
        le=1,
        description="Share of the tokens of a step that `rho-1` learns from.",
    )
    reference: str | None = Field(
        default=None,
        description="Model that tells `rho-1` how hard a token is; it needs the tokenizer of the "
        "trained model.",
    )

    @model_validator(mode="after")
    def _check_combinations(self) -> "TrainingConfig":
        if self.tuning == "full" and self.quantization != "none":
            raise InputError(
                "tuning 'full' trains the base, which cannot be of fewer bits: leave out "
                f"quantization {self.quantization!r} or choose tuning 'lora'"
            )
        if self.batch_size % self.accumulation:
            raise InputError(
                f"accumulation {self.accumulation} does not divide batch_size {self.batch_size}"
            )
        if self.objective == NEXT_TOKEN:
            return self
        if self.objective not in list_arms("objective"):
            raise build_unknown_name_error(
                "objective", self.objective, [NEXT_TOKEN, *list_arms("objective")]
            )
        for role in ARMS[self.objective].models:
            if getattr(self, role) is None:
                raise InputError(f"objective {self.objective!r} needs --{role} MODEL")
        return self

    def select_deciding(self) -> dict[str, object]:
        """The settings that decide the outcome.

        How often training is saved and logged decides nothing, nor do settings of objectives other
        than the chosen one. A reference model counts by its weights, which the cell adds.
        """
        own = {"objective", "noise", "selected", "reference"}
        settings = self.model_dump(exclude={"checkpoint_minutes", "report_to", *own})
        if self.objective == NEXT_TOKEN:
            return settings
        names = [name for name in ARMS[self.objective].defaults if name != "reference"]
        return settings | {name: getattr(self, name) for name in ("objective", *names)}


class AnsweringConfig(BaseModel):
    """Closed-book few-shot answering of one cell."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_shots: int = Field(
        default=5, ge=0, description="Solved questions of the same field before each one."
    )
    split: Literal["dev", "test", "all"] = Field(
        default="test", description="Which questions are asked."
    )
    limit: int | None = Field(
        default=None, ge=1, description="Only the first questions of the split."
    )
    chat_template: bool = Field(
        default=False,
        description="Write questions and solved questions as turns of the model's chat template.",
    )
    answer_batch_size: int = Field(
        default=32, ge=1, description="Questions answered at a time; halved when memory runs out."
    )
    endpoint: str | None = Field(
        default=None,
        description="Address of an OpenAI-compatible server that answers instead of a local model, "
        "such as http://localhost:8000/v1; the key is read from OPENAI_API_KEY.",
    )
    served: str | None = Field(
        default=None,
        description="Name of the model at the endpoint; the name of the model if not given.",
    )

    @model_validator(mode="after")
    def _check_combinations(self) -> "AnsweringConfig":
        if self.served and not self.endpoint:
            raise InputError(f"served {self.served!r} names a model at an endpoint: give endpoint")
        if self.endpoint and not self.endpoint.startswith(("http://", "https://")):
            raise InputError(
                f"endpoint {self.endpoint!r} is not an address: start it with http:// or https://"
            )
        if self.endpoint and self.chat_template:
            raise InputError(
                "endpoint and chat_template exclude each other, as servers get prompts as plain "
                "text: leave one out"
            )
        return self

    def select_deciding(self) -> dict[str, object]:
        """The settings that decide the outcome; what a server serves decides, not its address."""
        return self.model_dump(exclude={"answer_batch_size", "endpoint", "served"})


class CellSettings(BaseModel):
    """Settings that all cells of a plan share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    training: TrainingConfig = TrainingConfig()
    answering: AnsweringConfig = AnsweringConfig()
    threads: int | None = Field(
        default=None,
        ge=1,
        description="CPU threads that a cell computes with, whatever the machine has; by default "
        "1 for models with up to 50 MB of weights and 2 for larger ones.",
    )

    @model_validator(mode="after")
    def _check_combinations(self) -> "CellSettings":
        if self.answering.endpoint and self.training.tuning == "full":
            raise InputError(
                "endpoint and tuning 'full': servers load adapters only: choose tuning 'lora' or "
                "leave out endpoint"
            )
        return self
