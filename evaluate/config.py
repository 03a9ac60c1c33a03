"""Settings of training and answering."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from elusive.augment.arms import ARMS, list_arms
from elusive.common.errors import InputError, build_unknown_name_error

LOSS_EVERY = 5
"""Steps between logged losses, each the mean since the last one; step 1 is logged as well."""
Corrupt = Literal["delete", "mask", "random", "unseen", "partly-unseen", "reconstruct"]
NEXT_TOKEN = "next-token"
"""The usual objective: predict every token from the tokens before it."""


def _list_defaults(setting: str) -> str:
    """List an objective setting's defaults by arm, for its description."""
    arms = [(name, arm) for name, arm in ARMS.items() if arm.defaults.get(setting) is not None]
    return "; by default " + ", ".join(f"{arm.defaults[setting]} ({name})" for name, arm in arms)


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
    lora_dropout: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="Dropout on the adapters' input during training; by default "
        f"{ARMS['lora-dropout'].defaults['lora_dropout']} in the arm `lora-dropout`, otherwise 0.",
    )
    weight_decay: float | None = Field(
        default=None,
        ge=0,
        description="Weight decay of AdamW on what is trained; by default "
        f"{ARMS['weight-decay'].defaults['weight_decay']} in the arm `weight-decay`, otherwise 0.",
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
    corrupt: Corrupt = Field(
        default="delete",
        description="What becomes of dropped tokens in the input. delete: they are left out, as in "
        "the paper. mask, random: the tokenizer's mask token, or a random token, stands in their "
        "place. unseen: they stay, but later tokens may not attend to them. partly-unseen: each "
        "later token may not attend to them with their drop probability, drawn for each pair of "
        "tokens. reconstruct: the masked copy comes first, then the whole copy, which alone is "
        "predicted.",
    )
    labels: Literal["dropped", "clean"] = Field(
        default="dropped",
        description="Which tokens of a copy are predicted: those that it keeps (dropped, as in the "
        "paper), or all tokens that it had before dropping (clean). If dropped tokens are deleted, "
        "clean predicts the next token of the whole copy at each kept token, so that a token is "
        "predicted only if the one before it is kept.",
    )
    dynamic: bool = Field(
        default=False,
        description="Draw new copies, and all other randomness of training texts, for every epoch "
        "instead of repeating those of the first.",
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
    noise: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Share of the input tokens of copies that `d-ar`, `meap` and "
        "`masked-fine-tuning` replace, of the attention mask that `attention-dropout` closes, or "
        "of the tokens before a sentence that `guided-masking` hides"
        f"{_list_defaults('noise')}.",
    )
    selected: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Share of each row's tokens that `rho-1` learns from"
        f"{_list_defaults('selected')}.",
    )
    known_above: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Probability from which on `memft` does not learn a token any more"
        f"{_list_defaults('known_above')}.",
    )
    one_in: int | None = Field(
        default=None,
        ge=2,
        description="`goldfish` leaves one in this many tokens out of the loss"
        f"{_list_defaults('one_in')}.",
    )
    reference: str | None = Field(
        default=None,
        description="Reference model that `rho-1` compares losses with, and, if given, "
        "`guided-masking` compares attention with; it must share the trained model's tokenizer.",
    )

    @model_validator(mode="after")
    def _check_combinations(self) -> "TrainingConfig":
        if self.tuning == "full" and self.quantization != "none":
            raise InputError(
                "tuning 'full' trains the base, which then cannot be quantized: leave out "
                f"quantization {self.quantization!r} or choose tuning 'lora'"
            )
        if self.tuning == "full" and self.objective == "lora-dropout":
            raise InputError(
                "objective 'lora-dropout' needs adapters: leave it out or choose tuning 'lora'"
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
        if self.objective == "guided-masking" and self.dynamic:
            raise InputError(
                "objective 'guided-masking' reads the model before training, but dynamic draws "
                "texts during it: leave out dynamic"
            )
        for role in ARMS[self.objective].models:
            if getattr(self, role) is None:
                raise InputError(f"objective {self.objective!r} needs --{role} MODEL")
        return self

    def get_setting(self, name: str) -> Any:
        """Return a setting that belongs to objectives; by default the objective's own."""
        value = getattr(self, name)
        return self._get_defaults().get(name) if value is None else value

    def list_unused(self, names: Iterable[str]) -> list[str]:
        """List those of some settings that belong to other objectives alone.

        >>> TrainingConfig(objective="d-ar").list_unused(["noise", "one_in", "epochs"])
        ['one_in']
        """
        everywhere = {"lora_dropout", "weight_decay"}
        others = {n for arm in ARMS.values() for n in arm.defaults} - everywhere
        return [name for name in names if name in others - self._get_defaults().keys()]

    def _get_defaults(self) -> dict[str, Any]:
        """Return the settings of the objective, with their defaults."""
        return ARMS[self.objective].defaults if self.objective in ARMS else {}

    def select_deciding(self) -> dict[str, object]:
        """Return the settings that decide the outcome.

        How often training is saved, where it is logged, whether activations are computed twice,
        the settings of other objectives, and those of adapters that are not trained decide nothing.
        A reference model counts by its weights, which `collect_parameters` adds.
        """
        own = {name for arm in ARMS.values() if arm.kind == "objective" for name in arm.defaults}
        if self.tuning == "full":
            own |= {"lora_rank", "lora_alpha", "lora_targets"}
        idle = {"checkpoint_minutes", "report_to", "gradient_checkpointing"}
        settings = self.model_dump(exclude={*idle, "objective", *own})
        settings["weight_decay"] = self.get_setting("weight_decay") or 0.0
        if self.tuning == "lora":
            settings["lora_dropout"] = self.get_setting("lora_dropout") or 0.0
            settings["lora_targets"] = sorted(self.lora_targets)
        if self.objective == NEXT_TOKEN:
            return settings
        names = [name for name in ARMS[self.objective].defaults if name != "reference"]
        chosen = {name: self.get_setting(name) for name in names}
        return settings | {"objective": self.objective} | chosen


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
    phrasing: Literal["all", "held-out"] = Field(
        default="all",
        description="Ask all questions, or only those in a phrasing that neither the shots nor the "
        "arm `questions` show.",
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
        idle = {"answer_batch_size", "endpoint", "served"}
        return self.model_dump(exclude=idle if self.phrasing != "all" else {*idle, "phrasing"})


def check_not_asked(method: str, answering: AnsweringConfig) -> None:
    """Raise InputError if training text holds the very questions that are asked."""
    if method == "questions" and answering.phrasing != "held-out":
        raise InputError(
            "method 'questions' trains on questions that would be asked, too: ask only those in "
            "held-out phrasings, with answering: {phrasing: held-out} or --phrasing held-out"
        )


def check_shared(training: TrainingConfig, processes: int, is_trained: bool = True) -> None:
    """Raise InputError if several processes cannot share a model with these settings."""
    if processes == 1:
        return
    if training.quantization != "none":
        raise InputError(
            f"processes {processes} cannot share weights in {training.quantization}: set "
            "resources.placement to auto and processes to 1, or leave out training.quantization"
        )
    if training.tuning == "full":
        raise InputError(
            f"processes {processes} cannot train all weights: choose training.tuning lora, or set "
            "resources.processes to 1"
        )
    if is_trained and training.accumulation % processes:
        raise InputError(
            f"processes {processes} does not divide accumulation {training.accumulation}, the rows "
            f"of a step: set training.accumulation to a multiple of {processes}"
        )


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
