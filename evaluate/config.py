"""Settings of the evaluate stage: training, answering, a cell."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from elusive.common.errors import InputError

UNTRAINED = "untrained"
"""Name of the row of the model before training."""
LOSS_EVERY = 5
"""Steps whose mean loss is logged together; the first step is also logged alone."""


class TrainingConfig(BaseModel):
    """LoRA training of one cell; rank, clip and warm-up default to those of arXiv 2409.17954."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(
        default=3, ge=1, description="Passes over the training text (original and copies)."
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="Peak learning rate of AdamW.")
    batch_size: int = Field(
        default=8, ge=1, description="Texts per optimizer step, packed into one row."
    )
    warmup: float = Field(
        default=0.1, ge=0, lt=1, description="Share of the steps with a rising rate."
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
        description="What all arms get equally much of: optimizer steps, or tokens: as many as the "
        "originals alone would have, so that arms that drop see more copies.",
    )
    accumulation: int = Field(
        default=1, ge=1, description="Rows that each step is split into, to save memory."
    )
    gradient_checkpointing: bool = Field(
        default=False, description="Compute activations twice instead of keeping them."
    )
    format_replay: int = Field(
        default=64,
        ge=0,
        description="Solved questions about other people mixed into training, each once; 0: none.",
    )
    labels: Literal["dropped", "clean"] = Field(
        default="dropped",
        description="What is predicted: the dropped text itself (the paper), or clean: the input "
        "loses the tokens, the next tokens of the original are predicted.",
    )
    dynamic: bool = Field(
        default=False,
        description="Draw new copies for every epoch, in place of those of the training text.",
    )
    checkpoint_minutes: float = Field(
        default=10,
        gt=0,
        description="How often training is saved, to go on from there after an interruption.",
    )
    report_to: tuple[str, ...] = Field(
        default=(),
        description="Where losses are logged beside the cell: tensorboard, trackio, wandb.",
    )

    @model_validator(mode="after")
    def _fitting(self) -> "TrainingConfig":
        if self.tuning == "full" and self.quantization != "none":
            raise InputError(
                "tuning 'full' trains the base, which cannot be of fewer bits: leave out "
                f"quantization {self.quantization!r} or choose tuning 'lora'"
            )
        if self.batch_size % self.accumulation:
            raise InputError(
                f"accumulation {self.accumulation} does not divide batch_size {self.batch_size}"
            )
        return self

    def deciding(self) -> dict[str, object]:
        """The settings that decide the outcome: all but how often it is saved and logged."""
        return self.model_dump(exclude={"checkpoint_minutes", "report_to"})


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
        description="Ask as the model's chat template has it: questions and solved ones as turns.",
    )
    answer_batch_size: int = Field(
        default=32, ge=1, description="Questions answered at a time; fewer where memory is short."
    )
    endpoint: str | None = Field(
        default=None,
        description="Address of an OpenAI-compatible server that answers in place of a local "
        "model, such as http://localhost:8000/v1; its key is that of OPENAI_API_KEY.",
    )
    served: str | None = Field(
        default=None, description="Name of the model at the endpoint; that of the model if none."
    )

    @model_validator(mode="after")
    def _fitting(self) -> "AnsweringConfig":
        if self.served and not self.endpoint:
            raise InputError(f"served {self.served!r} names a model at an endpoint: give endpoint")
        if self.endpoint and not self.endpoint.startswith(("http://", "https://")):
            raise InputError(
                f"endpoint {self.endpoint!r} is no address: it begins with http:// or https://"
            )
        if self.endpoint and self.chat_template:
            raise InputError(
                "endpoint and chat_template: servers get prompts as plain text: leave one out"
            )
        return self

    def deciding(self) -> dict[str, object]:
        """The settings that decide the outcome; of a server, what it serves does, not its place."""
        return self.model_dump(exclude={"answer_batch_size", "endpoint", "served"})


class RunSettings(BaseModel):
    """What all cells of a plan share beside the arms."""

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
    def _answerable(self) -> "RunSettings":
        if self.answering.endpoint and self.training.tuning == "full":
            raise InputError(
                "endpoint and tuning 'full': servers load adapters only: choose tuning 'lora' or "
                "leave out endpoint"
            )
        return self
