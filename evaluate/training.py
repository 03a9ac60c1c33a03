"""LoRA training of one cell with transformers' Trainer."""

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from elusive.common.memory import give_back_freed_memory, keep_freed_memory
from elusive.common.models import LoadedModel, attention_of
from elusive.common.seeding import stream
from elusive.evaluate.chunked_loss import chunked_loss, chunked_losses, fits, whole_losses
from elusive.evaluate.config import TrainingConfig
from elusive.evaluate.in_training import noisy_mask, selected_loss
from elusive.evaluate.packed_attention import border_columns, use_packed_attention
from elusive.evaluate.packing import IGNORED

OnStep = Callable[[], object]

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
    """Calls back after every optimizer step, and stops a training whose loss is no number."""

    def __init__(self, on_step: OnStep) -> None:
        self.on_step = on_step

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step % GIVE_BACK_EVERY == 0:
            give_back_freed_memory()
        self.on_step()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise InputError(
                f"training loss is {loss} at step {state.global_step}: lower the learning rate"
            )


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
        """Mean loss of a row, which is one optimizer step."""
        reference = inputs.pop("reference_losses", None)
        with self.accelerator.autocast():
            if self._is_chunked is None:
                self._is_chunked = fits(model, inputs)
            if reference is not None:
                losses = (chunked_losses if self._is_chunked else whole_losses)(model, inputs)
                labelled = inputs["labels"][:, 1:] != IGNORED
                return selected_loss(losses, reference[:, 1:][labelled], self.selected)
            if self._is_chunked:
                return chunked_loss(model, inputs)
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)


@contextmanager
def lora_model(loaded: LoadedModel, config: TrainingConfig, seed: int) -> Iterator[PeftModel]:
    """The model with a fresh LoRA adapter on all linear layers but the head, off at the end."""
    set_seed(seed)
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    before = attention_of(loaded.model)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
        model = get_peft_model(loaded.model, lora)
    model.peft_config["default"].base_model_name_or_path = loaded.source.base_name
    try:
        yield model
    finally:
        model.unload()
        loaded.model.set_attn_implementation(before)
        loaded.model.eval()


def train(
    model: PeftModel,
    rows: list[dict[str, torch.Tensor]],
    config: TrainingConfig,
    seed: int,
    on_step: OnStep = lambda: None,
    closed: float = 0.0,
    selected: float = 1.0,
) -> TrainingLog:
    """Train the adapter on packed rows in the order given; one row is one optimizer step.

    The base is frozen in its own precision, the adapter kept in float32; where the base is
    bfloat16, matrix products are computed in it.

    Args:
        model: with the adapter.
        rows: as `packed_row` makes them.
        config: learning rate and the like.
        seed: of the optimizer's and the attention mask's randomness.
        on_step: called after every step.
        closed: share of the attention mask's open entries that are closed, anew at each step.
        selected: share of the tokens that count in rows with reference losses.

    Raises:
        InputError: the loss is no finite number any more.
    """
    base: PreTrainedModel = model.get_base_model()  # type: ignore[assignment]
    attention_before = attention_of(base)
    packed = not closed and use_packed_attention(base)
    rng = stream(seed, "attention-dropout")
    keep_freed_memory()
    start = perf_counter()
    with TemporaryDirectory() as scratch:
        trainer = _Trainer(
            model=model,
            args=_arguments(config, seed, Path(scratch), base.dtype == torch.bfloat16),
            train_dataset=rows,  # type: ignore[arg-type]
            data_collator=lambda batch: _model_inputs(batch[0], packed, closed, base.dtype, rng),
            callbacks=[_Progress(on_step)],
        )
        trainer.selected = selected
        trainer.remove_callback(PrinterCallback)
        with disable_input_dtype_casting(model):  # autocast would cast back at once
            trainer.train()
    base.set_attn_implementation(attention_before)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return TrainingLog(
        steps=len(rows),
        tokens=sum(row["input_ids"].numel() for row in rows),
        losses=losses,
        first_loss=losses[0],
        last_loss=losses[-1],
        seconds=perf_counter() - start,
        packed_attention=packed,
    )


def _arguments(config: TrainingConfig, seed: int, scratch: Path, bf16: bool) -> TrainingArguments:
    """Trainer's arguments: linear decay after warm-up, one row per step, in the order given."""
    return TrainingArguments(
        output_dir=str(scratch),
        per_device_train_batch_size=1,
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
        logging_steps=5,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )


def _model_inputs(
    row: dict[str, torch.Tensor],
    packed: bool,
    closed: float,
    dtype: torch.dtype,
    rng: np.random.Generator,
) -> dict[str, torch.Tensor | int]:
    """The row as the model takes it, with its sequence borders where attention wants them."""
    if closed:
        return {**row, "attention_mask": noisy_mask(row["position_ids"], closed, dtype, rng)}
    if not packed:
        return {**row}
    starts = (row["position_ids"][0] == 0).nonzero()[:, 0]
    ends = torch.cat([starts[1:], torch.tensor([row["position_ids"].shape[1]])])
    return {**row, **border_columns((ends - starts).tolist())}
