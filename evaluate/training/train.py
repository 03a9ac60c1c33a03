"""Train one cell with transformers' Trainer; an interrupted training resumes."""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from peft import PeftModel
from peft.helpers import disable_input_dtype_casting
from transformers import PrinterCallback, TrainingArguments

from elusive.common.dataset.lazy_rows import LazyRows
from elusive.common.errors import InputError
from elusive.common.large.processes import count_processes
from elusive.common.lm.adapters import get_base_model
from elusive.common.lm.loaded_model import get_attention
from elusive.common.lm.packed_attention import IMPLEMENTATION
from elusive.common.lm.packing import CUT, IGNORED, MASK, Packing, list_lengths
from elusive.common.memory import keep_freed_memory
from elusive.evaluate.config import LOSS_EVERY, TrainingConfig, check_shared
from elusive.evaluate.training.hf_trainer import (
    ChunkedTrainer,
    OnStep,
    ProgressCallback,
    RowCollator,
)
from elusive.evaluate.training.lora import Model
from elusive.evaluate.training.objectives import Objective

LOGS = "runs"
"""Folder for TensorBoard's files, in the folder of the checkpoints."""
USUAL_OBJECTIVE = Objective()
CUT_ROWS = Packing()


@dataclass(frozen=True)
class TrainingLog:
    """Record of a training."""

    steps: int
    tokens: int
    """Tokens read, in all epochs together."""
    losses: list[float]
    """Training loss in nats per predicted token, at every logged step."""
    first_loss: float
    last_loss: float
    seconds: float
    packed_attention: bool
    """Whether attention was computed within each sequence instead of over whole rows."""
    targets: dict[str, float] = field(default_factory=dict)
    """Shares of the copies' tokens that were predicted, as in `TargetRates`."""
    left_out: list[str] = field(default_factory=list)
    """Weights that the adapter leaves out, as in `LoraTargets`."""


def train(
    model: Model,
    rows: Sequence[dict[str, Any]],
    config: TrainingConfig,
    seed: int,
    on_step: OnStep = lambda: None,
    objective: Objective = USUAL_OBJECTIVE,
    checkpoints: Path | None = None,
    packing: Packing = CUT_ROWS,
) -> TrainingLog:
    """Train on packed rows in the given order; `accumulation` rows make one optimizer step.

    The base of an adapter stays frozen in its own precision, and the adapter is in float32. If the
    base is in bfloat16, so are the matrix products. Processes that share the model divide the rows
    of each step among them.

    Args:
        model: the model with an adapter, or the model itself if all weights are trained.
        rows: from `pack_row`.
        config: learning rate and other settings.
        seed: of dropout.
        on_step: called after every optimizer step.
        objective: how training differs from predicting the next token.
        checkpoints: folder from which an interrupted training resumes; temporary if None.
        packing: how the model reads rows.

    Raises:
        InputError: the loss is not finite, a package for logging is not installed, attention is to
            be dropped and the model does not let masks decide, or the rows of a step cannot be
            divided among the processes.
    """
    check_shared(config, count_processes())
    base = get_base_model(model)
    attention = get_attention(base)
    has_hidden = any("hidden" in row for row in rows)
    if has_hidden:
        packing.check_masks(max(max(list_lengths(row["position_ids"])) for row in rows))
        # Cut attention takes no masks; a model need not see the borders of sequences without it.
        packing = replace(packing, way=MASK if packing.way == CUT else packing.way)
    is_cut = packing.way == CUT
    if is_cut:
        base.set_attn_implementation(IMPLEMENTATION)
    keep_freed_memory()
    with TemporaryDirectory() as temporary:
        folder = checkpoints or Path(temporary)
        progress = ProgressCallback(on_step, config.checkpoint_minutes, folder)
        num_steps = math.ceil(len(rows) / config.accumulation)
        args = _build_arguments(config, num_steps, seed, folder, base.dtype == torch.bfloat16)
        collator = RowCollator(packing, base.dtype)
        trainer = _build_trainer(model, args, EvenRows(rows), collator, progress)
        trainer.objective = objective
        _run(trainer, model, folder, on_step)
    if is_cut:
        base.set_attn_implementation(attention)
    losses = [record["loss"] for record in trainer.state.log_history if "loss" in record]
    return TrainingLog(
        steps=trainer.state.global_step,
        tokens=sum(row["input_ids"].numel() for row in rows),
        losses=losses,
        first_loss=losses[0],
        last_loss=losses[-1],
        seconds=progress.seconds,
        packed_attention=is_cut,
    )


class EvenRows(LazyRows[dict[str, Any]]):
    """Rows, and after them as many without labels as give each process equally many."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return -(-len(self._rows) // count_processes()) * count_processes()

    def get(self, index: int) -> dict[str, Any]:
        """Return one row."""
        if index < len(self._rows):
            return self._rows[index]
        return self._rows[0] | {"labels": torch.full_like(self._rows[0]["labels"], IGNORED)}


def _run(trainer: ChunkedTrainer, model: Model, checkpoints: Path, on_step: OnStep) -> None:
    """Train to the end, from the last checkpoint if there is one."""
    last = find_last_checkpoint(checkpoints)
    for _ in range(int(last.name.split("-")[1]) if last else 0):
        on_step()
    # PEFT would cast an adapter's input to float32, and autocast would cast it back at once.
    has_adapter = isinstance(model, PeftModel)
    no_casting = disable_input_dtype_casting(model) if has_adapter else nullcontext()
    with no_casting:
        trainer.train(resume_from_checkpoint=str(last) if last else None)


def _build_trainer(
    model: Model,
    args: TrainingArguments,
    rows: Sequence[dict[str, Any]],
    collator: RowCollator,
    progress: ProgressCallback,
) -> ChunkedTrainer:
    try:
        trainer = ChunkedTrainer(
            model=model,
            args=args,
            train_dataset=rows,  # type: ignore[arg-type]
            data_collator=collator,
            callbacks=[progress],
        )
    except (ImportError, RuntimeError, ValueError) as error:
        if not args.report_to:
            raise
        raise InputError(f"report_to: {' '.join(str(error).split())}") from None
    trainer.model_accepts_loss_kwargs = True  # so that compute_loss gets num_items_in_batch
    trainer.remove_callback(PrinterCallback)
    return trainer


def find_last_checkpoint(folder: Path) -> Path | None:
    """Find the last complete checkpoint in a folder; incomplete ones lack the trainer's state."""
    complete = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return max(complete, key=lambda path: int(path.name.split("-")[1]), default=None)


def _build_arguments(
    config: TrainingConfig, num_steps: int, seed: int, folder: Path, bf16: bool
) -> TrainingArguments:
    """Build Trainer's arguments: linear decay after warm-up, rows in the given order.

    The first step of a warm-up has learning rate 0, so a single step gets no warm-up.
    """
    try:
        return TrainingArguments(
            output_dir=str(folder),
            per_device_train_batch_size=1,
            gradient_accumulation_steps=config.accumulation // count_processes(),
            activation_checkpointing=config.gradient_checkpointing,
            num_train_epochs=1,
            average_tokens_across_devices=count_processes() > 1,
            learning_rate=config.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=config.warmup if num_steps > 1 else 0,
            max_grad_norm=config.clip,
            weight_decay=config.get_setting("weight_decay") or 0.0,
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
