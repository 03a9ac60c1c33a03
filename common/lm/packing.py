"""Training rows: several sequences in one row, none of which sees another, with nothing padded."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from elusive.common.lm.loading import end_tokens

IGNORED = -100
"""Label of tokens that are not predicted, as transformers has it."""


@dataclass(frozen=True)
class Sequence:
    """Token ids with, at each index, the token to be predicted there from the ones before it."""

    input_ids: list[int]
    labels: list[int]
    reference_losses: list[float] | None = None
    """Loss of each label under a reference model, where the arm needs it."""
    name: str = "a solved question"
    """What it is, for messages."""


def text_sequence(text: str, tokenizer: PreTrainedTokenizerBase) -> Sequence:
    """A text as the model reads it, with an end token; every token is predicted."""
    ids = tokenizer(text)["input_ids"] + end_tokens(tokenizer)
    return Sequence(ids, list(ids))


def packed_row(sequences: list[Sequence]) -> dict[str, Any]:
    """One row: tensors of (1, token), and the names of its sequences."""
    input_ids = [token for sequence in sequences for token in sequence.input_ids]
    # The first token of a sequence would otherwise be predicted from the sequence before it.
    labels = [token for sequence in sequences for token in [IGNORED, *sequence.labels[1:]]]
    positions = [index for sequence in sequences for index in range(len(sequence.input_ids))]
    columns = {"input_ids": input_ids, "labels": labels, "position_ids": positions}
    row: dict[str, Any] = {name: torch.tensor([column]) for name, column in columns.items()}
    row["names"] = [sequence.name for sequence in sequences]
    if any(sequence.reference_losses for sequence in sequences):
        losses = [loss for sequence in sequences for loss in _reference_losses(sequence)]
        row["reference_losses"] = torch.tensor([losses])
    return row


def _reference_losses(sequence: Sequence) -> list[float]:
    """One per token; infinitely small for a solved question, so that its answer always counts."""
    return sequence.reference_losses or [-torch.inf] * len(sequence.input_ids)
