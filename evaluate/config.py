"""Settings of training and answering."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from elusive.augment.arms import ARMS, list_arms
from elusive.common.errors import InputError, build_unknown_name_error

UNTRAINED = "untrained"
"""Label of the row for the model before training."""
LOSS_EVERY = 5
"""Steps between logged losses, each the mean since the last one; step 1 is logged as well."""
NEXT_TOKEN = "next-token"
"""The usual objective: predict every token from the tokens before it."""


class TrainingConfig(BaseModel):
    """How one cell is trained; rank, clip and warm-up default to those of arXiv 2409.17954."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(
        default=3, ge=1, description="Passes over the training text, originals and copies."
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="Peak learning rate of AdamW.")
    batch_size: int = Field(
        default=8, ge=1, description="Texts per optimizer step; they are packed into one row."
    )
    warmup: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Share of the steps during which the learning rate rises to its peak.",
    )
    clip: float = Field(
        default=1.0, gt=0, description="Largest norm of the gradient; larger ones are scaled down."
    )
    lora_rank: int = Field(default=16, ge=1, description="Rank of the LoRA adapters.")
    lora_alpha: int = Field(
        default=16, ge=1, description="The adapters' output is scaled by lora_alpha / lora_rank."
    )
    lora_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="Dropout on the adapters' input during training."
    )
    lora_targets: tuple[str, ...] = Field(
        default=(),
        description="Names of the layers that get adapters, such as q_proj; by default all linear "
        "layers except the head.",
    )
    tuning: Literal["lora", "full"] = Field(
        default="lora", description="What is trained: LoRA adapters, or all weights in float32."
    )
    quantization: Literal["none", "8bit", "4bit"] = Field(
        default="none",
        description="Precision of the frozen base: none keeps its own; 8bit and 4bit need "
        "bitsandbytes.",
    )
    budget: Literal["steps", "tokens"] = Field(
        default="steps",
        description="What all arms get the same amount of: optimizer steps or tokens. With tokens, "
        "every arm trains on as many tokens as plain copies have, so arms that drop tokens see "
        "more copies.",
    )
    accumulation: int = Field(
        default=1, ge=1, description="Rows that each step is split into; more rows save memory."
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="Save memory by computing activations twice instead of keeping them.",
    )
    format_replay: int = Field(
        default=64,
        ge=0,
        description="Number of solved questions about other people to mix into training, each "
        "once.",
    )
    labels: Literal["dropped", "clean"] = Field(
        default="dropped",
        description="What is predicted from the dropped-out input: its own next token (dropped, as "
        "in the paper), or the original's next token (clean).",
    )
    dynamic: bool = Field(
        default=False,
        description="Draw new copies for every epoch instead of repeating those of the training "
        "text.",
    )
    checkpoint_minutes: float = Field(
        default=10,
        gt=0,
        description="Minutes between checkpoints; an interrupted training resumes from the last "
        "one.",
    )
    report_to: tuple[str, ...] = Field(
        default=(),
        description="Where else to log losses: tensorboard, trackio or wandb.",
    )

    objective: str = Field(
        default=NEXT_TOKEN,
        description=f"What each step learns: {NEXT_TOKEN}, or an arm that acts in training: "
        f"{', '.join(list_arms('objective'))}.",
    )
    noise: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="Share of the input tokens that `d-ar` replaces, or of the attention mask that "
        "`attention-dropout` closes, at every step.",
    )
    selected: float = Field(
        default=0.6,
        gt=0,
        le=1,
        description="Share of each step's tokens that `rho-1` learns from.",
    )
    reference: str | None = Field(
        default=None,
        description="Reference model that `rho-1` compares losses with; it must share the trained "
        "model's tokenizer.",
    )

    @model_validator(mode="after")
    def _check_combinations(self) -> "TrainingConfig":
        if self.tuning == "full" and self.quantization != "none":
            raise InputError(
                "tuning 'full' trains the base, which then cannot be quantized: leave out "
                f"quantization {self.quantization!r} or choose tuning 'lora'"
            )
        if self.batch_size % self.accumulation:
            raise InputError(
                f"accumulation {self.accumulation} does not divide batch_size {self.batch_size}: "
                "choose a divisor of it"
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
        """Return the settings that decide the outcome.

        How often training is saved, where it is logged, whether activations are computed twice,
        the settings of other objectives, and those of adapters that are not trained decide nothing.
        A reference model counts by its weights, which `collect_parameters` adds.
        """
        own = {"objective", "noise", "selected", "reference"}
        if self.tuning == "full":
            own |= {"lora_rank", "lora_alpha", "lora_dropout", "lora_targets"}
        idle = {"checkpoint_minutes", "report_to", "gradient_checkpointing"}
        settings = self.model_dump(exclude={*idle, *own})
        if "lora_targets" in settings:
            settings["lora_targets"] = sorted(self.lora_targets)
        if self.objective == NEXT_TOKEN:
            return settings
        names = [name for name in ARMS[self.objective].defaults if name != "reference"]
        return settings | {name: getattr(self, name) for name in ("objective", *names)}


class AnsweringConfig(BaseModel):
    """How one cell answers: closed-book and few-shot."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_shots: int = Field(
        default=5,
        ge=0,
        description="Solved questions about the same field that precede each question.",
    )
    split: Literal["dev", "test", "all"] = Field(
        default="test", description="Whose questions are asked."
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        description="Number of questions to ask, from the first of the split; by default all.",
    )
    chat_template: bool = Field(
        default=False,
        description="Write all questions as turns of the model's chat template.",
    )
    answer_batch_size: int = Field(
        default=32, ge=1, description="Questions answered at a time; halved when memory runs out."
    )
    endpoint: str | None = Field(
        default=None,
        description="Address of an OpenAI-compatible server that answers instead of a local model, "
        "such as http://localhost:8000/v1; OPENAI_API_KEY holds its key.",
    )
    served: str | None = Field(
        default=None,
        description="Name of the model at the endpoint; by default the same as model.",
    )

    @model_validator(mode="after")
    def _check_combinations(self) -> "AnsweringConfig":
        if self.served and not self.endpoint:
            raise InputError(
                f"served {self.served!r} names a model at an endpoint: give endpoint, too"
            )
        if self.endpoint and not self.endpoint.startswith(("http://", "https://")):
            raise InputError(
                f"endpoint {self.endpoint!r} is not an address: start it with http:// or https://"
            )
        if self.endpoint and self.chat_template:
            raise InputError(
                "endpoint and chat_template cannot be combined, because servers get plain text: "
                "leave one out"
            )
        return self

    def select_deciding(self) -> dict[str, object]:
        """Return the settings that decide the outcome: what a server serves, not its address."""
        return self.model_dump(exclude={"answer_batch_size", "endpoint", "served"})


class CellSettings(BaseModel):
    """Settings that all cells of a plan share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    training: TrainingConfig = TrainingConfig()
    answering: AnsweringConfig = AnsweringConfig()
    threads: int | None = Field(
        default=None,
        ge=1,
        description="CPU threads that a cell computes with on any machine; by default 1 for models "
        "with up to 50 MB of weights and 2 for larger ones.",
    )

    @model_validator(mode="after")
    def _check_combinations(self) -> "CellSettings":
        if self.answering.endpoint and self.training.tuning == "full":
            raise InputError(
                "endpoint and tuning 'full' cannot be combined: servers load adapters only; "
                "choose tuning 'lora' or leave out endpoint"
            )
        return self
