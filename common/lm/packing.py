"""Training rows: several sequences in one row, without padding; no sequence sees another one."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from elusive.common.lm.loading import get_end_tokens

IGNORED = -100
"""Label of tokens that are not predicted, as in transformers."""


@dataclass(frozen=True)
class Sequence:
    """Token ids, and at each index the token to predict there from the tokens before it."""

    input_ids: list[int]
    labels: list[int]
    reference_losses: list[float] | None = None
    """Loss of each label under a reference model, if the arm needs one."""
    name: str = "a solved question"
    """What messages call it."""


def build_text_sequence(text: str, tokenizer: PreTrainedTokenizerBase) -> Sequence:
    """Build the sequence of a text with an end token; every token is predicted."""
    ids = tokenizer(text)["input_ids"] + get_end_tokens(tokenizer)
    return Sequence(ids, list(ids))


def pack_row(sequences: list[Sequence]) -> dict[str, Any]:
    """Pack sequences into one row: tensors of shape (1, token), and the sequences' names."""
    input_ids = [token for sequence in sequences for token in sequence.input_ids]
    # The first token is not predicted: it would be predicted from the sequence before it.
    labels = [token for sequence in sequences for token in [IGNORED, *sequence.labels[1:]]]
    positions = [index for sequence in sequences for index in range(len(sequence.input_ids))]
    columns = {"input_ids": input_ids, "labels": labels, "position_ids": positions}
    row: dict[str, Any] = {name: torch.tensor([column]) for name, column in columns.items()}
    row["names"] = [sequence.name for sequence in sequences]
    if any(sequence.reference_losses for sequence in sequences):
        # A solved question has none: minus infinity makes its answer always count.
        losses = [
            loss
            for sequence in sequences
            for loss in sequence.reference_losses or [-torch.inf] * len(sequence.input_ids)
        ]
        row["reference_losses"] = torch.tensor([losses])
    return row
