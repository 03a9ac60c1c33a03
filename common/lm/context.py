"""How many tokens a model can read, and what is said about texts that have more."""

import inspect
from collections.abc import Sequence
from typing import Any

from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from elusive.common.errors import InputError
from elusive.common.lm.adapters import get_base_model
from elusive.common.process.progress import print_line

MOST_OFFSET = 2
"""Rows that a table of positions may have before the first position, as in OPT and BioGPT."""


def find_context(model: PreTrainedModel | PeftModel) -> int | None:
    """Find how many tokens a model was made to read; None if its config does not say.

    Models with rotary positions compute beyond it, but have never been trained there.
    """
    config = model.config.get_text_config(decoder=True)  # type: ignore[union-attr]
    context = getattr(config, "max_position_embeddings", None)
    return context if context is not None else getattr(config, "max_seq_len", None)


def has_fixed_positions(model: PreTrainedModel | PeftModel) -> bool:
    """Whether a model cannot read beyond its context: it holds a table with a row per position.

    MPT, the only decoder whose config says `max_seq_len`, computes a bias up to there.
    """
    context = find_context(model)
    if context is None:
        return False
    config = model.config.get_text_config(decoder=True)  # type: ignore[union-attr]
    if getattr(config, "max_position_embeddings", None) is None:
        return True
    base = get_base_model(model)
    words = (base.get_input_embeddings(), base.get_output_embeddings())
    tables = [
        module.weight
        for module in base.modules()
        if isinstance(module, nn.Embedding) and module not in words
    ]
    tables += [buffer for buffer in base.buffers() if buffer.ndim == 2 and buffer.shape[0] > 1]
    return any(0 <= table.shape[0] - context <= MOST_OFFSET for table in tables)


def counts_whole_rows(model: PreTrainedModel | PeftModel) -> bool:
    """Whether all sequences that are packed into a row must fit into the context together.

    So it is if positions cannot restart within a row, or if the model holds a square causal mask.
    """
    context, base = find_context(model), get_base_model(model)
    square = (1, 1, context, context)
    has_mask = any(buffer.shape == square for buffer in base.buffers())
    return has_mask or "position_ids" not in inspect.signature(base.forward).parameters


def check_positions(
    model: PreTrainedModel | PeftModel, num_tokens: int, what: str, hint: str
) -> None:
    """Check that a model has a position for each of a number of tokens.

    Args:
        model: the model.
        num_tokens: tokens of the longest text.
        what: what an error calls this text.
        hint: what to do.

    Raises:
        InputError: the model has fewer positions, and cannot compute more.
    """
    context = find_context(model)
    if context is not None and num_tokens > context and has_fixed_positions(model):
        raise InputError(
            f"{what} has {num_tokens:,} tokens, but the model has {context:,} positions: {hint}"
        )


def warn_beyond_context(model: PreTrainedModel | PeftModel, num_tokens: int, what: str) -> None:
    """Print a line if a text is longer than what a model was made to read."""
    context = find_context(model)
    if context is not None and num_tokens > context:
        line = (
            f"elusive: {what} has {num_tokens:,} tokens, more than the {context:,} that the model "
            "was made to read: what it predicts beyond them may be worthless"
        )
        print_line(line)


def find_longest_sequence(rows: Sequence[dict[str, Any]]) -> tuple[int, str]:
    """Find the longest sequence of packed rows: the number of its tokens, and its name."""
    row = max(rows, key=lambda row: int(row["position_ids"].max()))
    positions = row["position_ids"][0]
    last = int(positions.argmax())
    number = int((positions[: last + 1] == 0).sum()) - 1
    return int(positions[last]) + 1, row["names"][number]
