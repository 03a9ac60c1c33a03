"""LoRA training of one cell with transformers' Trainer."""

import copy
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.helpers import disable_input_dtype_casting
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from elusive.common.errors import InputError
from elusive.common.folders import write_atomically
from elusive.common.lm.chunked_loss import chunked_losses, fits, whole_losses
from elusive.common.lm.loading import LoadedModel, attention_of
from elusive.common.lm.packed_attention import border_columns, use_packed_attention
from elusive.common.lm.packing import IGNORED
from elusive.common.memory import give_back_freed_memory, keep_freed_memory
from elusive.common.seeding import stream
from elusive.evaluate.config import LOSS_EVERY, TrainingConfig
from elusive.evaluate.training.objectives import noisy_mask, selected_loss

OnStep = Callable[[], object]
Model = PreTrainedModel | PeftModel

LOGS = "runs"
"""Folder below a training's output into which TensorBoard's files go."""
GIVE_BACK_EVERY = 16
"""Steps after which freed memory is given back: rows differ in length."""


@dataclass(frozen=True)
class TrainingLog:
    """What training did and cost."""

    steps: int
    tokens: int
    """Tokens that were read, all epochs together."""
    losses: list[float]
    """Training loss in nats per predicted token, at each logged step."""
    first_loss: float
    last_loss: float
    seconds: float
    packed_attention: bool
    """Whether attention cost what its sequences cost, or that of whole rows."""


class _Progress(TrainerCallback):
    """Calls back after every optimizer step, and saves the training now and then."""

    def __init__(self, on_step: OnStep, minutes: float, checkpoints: Path) -> None:
        self.on_step = on_step
        self.every = 60 * minutes
        self.clock = checkpoints / "seconds.json"
        self.start = self.saved = perf_counter()
        self.before = json.loads(self.clock.read_text()) if self.clock.exists() else 0.0

    @property
    def seconds(self) -> float:
        """Seconds of training so far, those before an interruption included."""
        return self.before + perf_counter() - self.start

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step % GIVE_BACK_EVERY == 0:
            give_back_freed_memory()
        if perf_counter() - self.saved > self.every and state.global_step < state.max_steps:
            control.should_save, self.saved = True, perf_counter()
        self.on_step()

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        write_atomically(self.clock, json.dumps(self.seconds))


class _Trainer(Trainer):
    """A Trainer that never holds the logits of a whole row, where the model allows that."""

    selected: float = 1.0
    """Share of the tokens that count where a row has reference losses."""
    _is_chunked: bool | None = None

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """A row's part of the mean loss of an optimizer step."""
        reference = inputs.pop("reference_losses", None)
        names = inputs.pop("names")
        with self.accelerator.autocast():
            if self._is_chunked is None:
                self._is_chunked = fits(model, inputs)
            losses = (chunked_losses if self._is_chunked else whole_losses)(model, inputs)
        loss = losses.mean()
        if reference is not None:
            labelled = inputs["labels"][:, 1:] != IGNORED
            loss = selected_loss(losses, reference[:, 1:][labelled], self.selected)
        if not torch.isfinite(loss):
            raise InputError(
                f"the training loss is {loss.item()} at step {self.state.global_step + 1}, on "
                f"{', '.join(names)}: lower the learning rate, or look at these texts"
            )
        share = len(losses) / num_items_in_batch if num_items_in_batch else 1.0
        return loss * share


@contextmanager
def tuned_model(loaded: LoadedModel, config: TrainingConfig, seed: int) -> Iterator[Model]:
    """The model as it is trained, which leaves the loaded one as it was.

    With LoRA, the model with a fresh adapter, which is off at the end; otherwise a copy in float32.
    """
    set_seed(seed)
    if config.tuning == "full":
        yield copy.deepcopy(loaded.model).float()
        return
    with lora_model(loaded, config, seed) as model:
        yield model


@contextmanager
def quiet_adapters() -> Iterator[None]:
    """A block in which PEFT may ask transformers in the way that the latter has replaced."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
        yield


@contextmanager
def lora_model(loaded: LoadedModel, config: TrainingConfig, seed: int) -> Iterator[PeftModel]:
    """The model with a fresh LoRA adapter on all linear layers but the head, off at the end.

    Raises:
        InputError: the model has none of the layers that are to get adapters.
    """
    set_seed(seed)
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=list(config.lora_targets) or "all-linear",
        task_type="CAUSAL_LM",
    )
    before = attention_of(loaded.model)
    with quiet_adapters():
        try:
            model = get_peft_model(loaded.model, lora)
        except ValueError as error:
            raise InputError(f"lora_targets: {str(error).splitlines()[0]}") from None
    model.peft_config["default"].base_model_name_or_path = loaded.source.base_name
    try:
        yield model
    finally:
        model.unload()
        loaded.model.activation_checkpointing_disable()
        loaded.model.set_attn_implementation(before)
        loaded.model.eval()


def base_of(model: Model) -> PreTrainedModel:
    """The transformers model below an adapter, or the model itself."""
    return model.get_base_model() if isinstance(model, PeftModel) else model  # type: ignore[return-value]


def train(
    model: Model,
    rows: list[dict[str, Any]],
    config: TrainingConfig,
    seed: int,
    on_step: OnStep = lambda: None,
    closed: float = 0.0,
    selected: float = 1.0,
    checkpoints: Path | None = None,
) -> TrainingLog:
    """Train on packed rows in the order given; `accumulation` rows are one optimizer step.

    The base of an adapter is frozen in its own precision, the adapter kept in float32; where the
    base is bfloat16, matrix products are computed in it.

    Args:
        model: with the adapter, or the model itself if all weights are trained.
        rows: as `packed_row` makes them.
        config: learning rate and the like.
        seed: of the optimizer's and the attention mask's randomness.
        on_step: called after every step.
        closed: share of the attention mask's open entries that are closed, anew at each step.
        selected: share of the tokens that count in rows with reference losses.
        checkpoints: folder from which an interrupted training goes on; a passing one by default.

    Raises:
        InputError: the loss is no finite number any more, or what is to log it is not installed.
    """
    base = base_of(model)
    attention_before = attention_of(base)
    packed = not closed and use_packed_attention(base)
    keep_freed_memory()
    with TemporaryDirectory() as passing:
        folder = checkpoints or Path(passing)
        progress = _Progress(on_step, config.checkpoint_minutes, folder)
        args = _arguments(config, seed, folder, base.dtype == torch.bfloat16)
        collator = _Collator(packed, closed, base.dtype, seed)
        trainer = _trainer(model, args, rows, collator, progress)
        trainer.selected = selected
        _fit(trainer, model, folder, on_step)
    base.set_attn_implementation(attention_before)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return TrainingLog(
        steps=trainer.state.global_step,
        tokens=sum(row["input_ids"].numel() for row in rows),
        losses=losses,
        first_loss=losses[0],
        last_loss=losses[-1],
        seconds=progress.seconds,
        packed_attention=packed,
    )


def _fit(trainer: _Trainer, model: Model, checkpoints: Path, on_step: OnStep) -> None:
    """Train from the last checkpoint, if there is one, to the end."""
    last = last_checkpoint(checkpoints)
    for _ in range(int(last.name.split("-")[1]) if last else 0):
        on_step()
    # Autocast would cast an adapter's input back at once.
    adapted = isinstance(model, PeftModel)
    uncast = disable_input_dtype_casting(model) if adapted else nullcontext()
    with uncast, warnings.catch_warnings():
        # Of layers of 4 bits on a CPU; a test compares their gradients with dense layers'.
        warnings.filterwarnings("ignore", message="bitsandbytes::.*autograd kernel")
        trainer.train(resume_from_checkpoint=str(last) if last else None)


def _trainer(
    model: Model,
    args: TrainingArguments,
    rows: list[dict[str, Any]],
    collator: "_Collator",
    progress: _Progress,
) -> _Trainer:
    """The trainer of one cell.

    Raises:
        InputError: what is to log losses is not installed, or unknown.
    """
    try:
        trainer = _Trainer(
            model=model,
            args=args,
            train_dataset=list(enumerate(rows)),  # type: ignore[arg-type]
            data_collator=collator,
            callbacks=[progress],
        )
    except (ImportError, RuntimeError, ValueError) as error:
        if not args.report_to:
            raise
        raise InputError(f"report_to: {' '.join(str(error).split())}") from None
    trainer.model_accepts_loss_kwargs = True  # so that rows know how long their step is
    trainer.remove_callback(PrinterCallback)
    return trainer


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint below a folder; half-written ones lack the trainer's state."""
    whole = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return max(whole, key=lambda path: int(path.name.split("-")[1]), default=None)


def _arguments(config: TrainingConfig, seed: int, folder: Path, bf16: bool) -> TrainingArguments:
    """Trainer's arguments: linear decay after warm-up, rows in the order given."""
    try:
        return TrainingArguments(
            output_dir=str(folder),
            per_device_train_batch_size=1,
            gradient_accumulation_steps=config.accumulation,
            activation_checkpointing=config.gradient_checkpointing,
            num_train_epochs=1,
            average_tokens_across_devices=False,
            learning_rate=config.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=config.warmup,
            max_grad_norm=config.clip,
            weight_decay=0.0,
            bf16=bf16,
            use_cpu=not torch.cuda.is_available(),
            seed=seed,
            train_sampling_strategy="sequential",
            logging_steps=LOSS_EVERY,
            logging_first_step=True,
            logging_nan_inf_filter=False,
            save_strategy="no",
            save_total_limit=1,
            report_to=list(config.report_to) or "none",
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_pin_memory=False,
        )
    except (ImportError, RuntimeError, ValueError) as error:
        raise InputError(str(error).splitlines()[0]) from None


@dataclass(frozen=True)
class _Collator:
    """Makes the model's input of a numbered row, alike whenever it is asked for."""

    packed: bool
    closed: float
    dtype: torch.dtype
    seed: int

    def __call__(self, batch: list[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
        """Inputs of the one row of a batch."""
        number, row = batch[0]
        rng = stream(self.seed, "attention-dropout", number)
        return _model_inputs(row, self.packed, self.closed, self.dtype, rng)


def _model_inputs(
    row: dict[str, Any],
    packed: bool,
    closed: float,
    dtype: torch.dtype,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """The row as the model takes it, with its sequence borders where attention wants them."""
    if closed:
        return {**row, "attention_mask": noisy_mask(row["position_ids"], closed, dtype, rng)}
    if not packed:
        return {**row}
    starts = (row["position_ids"][0] == 0).nonzero()[:, 0]
    ends = torch.cat([starts[1:], torch.tensor([row["position_ids"].shape[1]])])
    return {**row, **border_columns((ends - starts).tolist())}
