"""transformers' Trainer with our loss, progress and checkpoints."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from peft import PeftModel
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from elusive.common.errors import InputError
from elusive.common.folders import write_atomically
from elusive.common.large.placement import is_shared
from elusive.common.large.processes import agree, count_processes, find_largest, is_first
from elusive.common.lm.chunked_loss import (
    compute_chunked_losses,
    compute_whole_losses,
    matches_model_loss,
)
from elusive.common.lm.packing import ALONE, IGNORED, Packing, build_row_columns, list_lengths
from elusive.common.memory import give_back_freed_memory
from elusive.evaluate.training.lora import save_adapter
from elusive.evaluate.training.objectives import Objective

OnStep = Callable[[], object]

GIVE_BACK_EVERY = 16
"""Steps between returns of freed memory to the system; rows of differing length fragment it."""


class ProgressCallback(TrainerCallback):
    """Calls back after every optimizer step, and asks for a checkpoint when one is due."""

    def __init__(self, on_step: OnStep, minutes: float, checkpoints: Path) -> None:
        self.on_step = on_step
        self.interval = 60 * minutes
        self.clock = checkpoints / "seconds.json"
        self.start = self.saved = perf_counter()
        self.before = json.loads(self.clock.read_text()) if self.clock.exists() else 0.0

    @property
    def seconds(self) -> float:
        """Seconds of training so far, including those before interruptions."""
        return self.before + perf_counter() - self.start

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Report the step, and ask for a checkpoint when one is due, and at the end.

        A checkpoint lacks the losses since the last logged one, so it waits for the next one. The
        last one means that an error in answering does not cost the training.
        """
        if state.global_step % GIVE_BACK_EVERY == 0:
            give_back_freed_memory()
        is_due = perf_counter() - self.saved > self.interval
        is_logged = state.global_step % state.logging_steps == 0
        if agree(is_due and is_logged) or state.global_step == state.max_steps:
            control.should_save, self.saved = True, perf_counter()
        self.on_step()

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the seconds so far beside the checkpoint."""
        if is_first():
            write_atomically(self.clock, json.dumps(self.seconds))


class ChunkedTrainer(Trainer):
    """A Trainer that avoids holding the logits of a whole row where the model allows it."""

    objective: Objective = Objective()
    _is_chunked: bool | None = None

    def _save(self, output_dir: Any = None, state_dict: Any = None) -> None:
        """Save without asking the Hub about the base model's config, as PEFT would."""
        if isinstance(self.model, PeftModel):
            if is_first():
                save_adapter(self.model, Path(output_dir))
        else:
            super()._save(output_dir, state_dict)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Compute a row's part of the mean loss of an optimizer step."""
        reference = inputs.pop("reference_losses", None)
        names = inputs.pop("names")
        parts = _align(split_row(inputs)) if inputs.pop("way") == ALONE else [inputs]
        with self.accelerator.autocast():
            if self._is_chunked is None:
                # A part of a model that is shared cannot be computed by itself.
                self._is_chunked = not is_shared(model) and matches_model_loss(model, parts[0])
            compute = compute_chunked_losses if self._is_chunked else compute_whole_losses
            losses = torch.cat([compute(model, part) for part in parts])
        if self.objective.reduce_losses is None or not len(losses):
            loss = losses.mean() if len(losses) else losses.sum()  # a row may have no labels
        else:
            if reference is not None:
                reference = reference[:, 1:][inputs["labels"][:, 1:] != IGNORED]
            loss = self.objective.reduce_losses(losses, reference)
        if not torch.isfinite(loss):
            raise InputError(
                f"the training loss is {loss.item()} at step {self.state.global_step + 1}, on "
                f"{', '.join(names)}: lower the learning rate, or check these texts"
            )
        share = len(losses) / num_items_in_batch if num_items_in_batch else 1.0
        return loss * share * count_processes()  # gradients and losses become their mean


def _align(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add parts without labels, so that processes that share a model read it equally often."""
    missing = find_largest(len(parts)) - len(parts)
    idle = parts[0] | {"labels": torch.full_like(parts[0]["labels"], IGNORED)}
    return parts + [idle] * missing


def split_row(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Split a row into one row per sequence, without positions, which begin at 0 anyway.

    Args:
        row: tensors of shape (1, token).
    """
    lengths = list_lengths(row["position_ids"].cpu())
    columns = [row[name].split(lengths, dim=1) for name in ("input_ids", "labels")]
    pairs = zip(*columns, strict=True)
    return [{"input_ids": input_ids, "labels": labels} for input_ids, labels in pairs]


@dataclass(frozen=True)
class RowCollator:
    """Builds the model's inputs from a row; the same row always gives the same inputs."""

    packing: Packing
    dtype: torch.dtype
    """Of the model's attention."""

    def __call__(self, batch: list[dict[str, Any]]) -> dict[str, Any]:
        """Build the inputs of a batch's only row."""
        row = dict(batch[0])
        way = self.packing.choose(list_lengths(row["position_ids"]), "hidden" in row)
        columns = build_row_columns(row, way, self.dtype)
        for name in ("hidden", "mask_seeds", "hidden_before"):
            row.pop(name, None)
        return {**row, **columns, "way": way}
