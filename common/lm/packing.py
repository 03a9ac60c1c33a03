"""Training rows: several sequences in one row, without padding; no sequence sees another one."""

from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from elusive.common.errors import InputError
from elusive.common.lm.encoding import encode_text, get_end_tokens
from elusive.common.lm.packed_attention import build_border_columns

IGNORED = -100
"""Label of tokens that are not predicted, as in transformers."""


CUT, POSITIONS, MASK, ALONE = "cut", "positions", "mask", "alone"
RowReading = Literal["cut", "positions", "mask", "alone"]
"""How a row is read: with attention cut at the sequences' borders, which is fastest; with positions
that restart, from which transformers finds the borders; with a mask; or one sequence at a time."""


@dataclass(frozen=True, eq=False)
class HiddenBefore:
    """What each group of a sequence's tokens may not attend to."""

    groups: np.ndarray
    """Number of the group of each token.  # (token,)"""
    hidden: np.ndarray
    """True for tokens that a group may not attend to.  # (group, token)"""


@dataclass(frozen=True)
class Sequence:
    """Token ids, and at each index the token to predict there from the tokens before it."""

    input_ids: list[int]
    labels: list[int]
    reference_losses: list[float] | None = None
    """Loss of each label under a reference model, if the arm needs one."""
    hidden: list[float] | None = None
    """Probability with which each later token may not attend to each token; None for none."""
    mask_seed: int = 0
    """Seed that decides which of the hidden tokens each token may not attend to."""
    name: str = "a solved question"
    """What messages call it."""
    hidden_before: HiddenBefore | None = None
    """What groups of tokens never attend to; None for nothing."""


@dataclass(frozen=True)
class Packing:
    """How a model reads rows."""

    way: RowReading = CUT
    longest: int | None = None
    """Longest sequence of a row that is not read one sequence at a time; None for any. Windows of
    more tokens than a probe reads are not crossed in packed rows."""
    takes_masks: bool = True
    """Whether the model attends to what a mask allows and to nothing else."""

    def check_masks(self, longest: int) -> None:
        """Check that a mask decides what the tokens of sequences of this length attend to.

        Raises:
            InputError: it does not.
        """
        if not self.takes_masks:
            raise InputError(
                "this model does not attend to what a mask allows and nothing else, so attention "
                "cannot be dropped: choose another corruption, or a model without attention windows"
            )
        if self.longest and longest > self.longest:
            raise InputError(
                f"attention is dropped by a mask, which would replace this model's window of "
                f"{self.longest} tokens, and a text has {longest}: choose another corruption, or "
                "shorter texts"
            )

    def choose(self, lengths: list[int], has_hidden: bool) -> RowReading:
        """Choose how a row with sequences of these lengths in tokens is read."""
        if has_hidden:
            return MASK
        return ALONE if self.longest and max(lengths) > self.longest else self.way


def build_text_sequence(text: str, tokenizer: PreTrainedTokenizerBase) -> Sequence:
    """Build the sequence of a text and one end token, if any; every token is predicted."""
    ids = encode_text(text, tokenizer).input_ids + get_end_tokens(tokenizer)
    return Sequence(ids, list(ids))


def pack_row(sequences: list[Sequence]) -> dict[str, Any]:
    """Pack sequences into one row: tensors of shape (1, token), and the sequences' names.

    A row with hidden tokens also has the seeds of its sequences' attention masks.
    """
    input_ids = [token for sequence in sequences for token in sequence.input_ids]
    # The first token is not predicted: it would be predicted from the sequence before it.
    labels = [
        IGNORED if index == 0 else token
        for sequence in sequences
        for index, token in enumerate(sequence.labels)
    ]
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
    if any(sequence.hidden or sequence.hidden_before for sequence in sequences):
        hidden = [
            share
            for sequence in sequences
            for share in sequence.hidden or [0.0] * len(sequence.input_ids)
        ]
        row["hidden"] = torch.tensor([hidden])
        row["mask_seeds"] = [sequence.mask_seed for sequence in sequences]
        row["hidden_before"] = [sequence.hidden_before for sequence in sequences]
    return row


def sample_attention_mask(
    position_ids: torch.Tensor,
    hidden: torch.Tensor,
    mask_seeds: list[int],
    dtype: torch.dtype,
    hidden_before: list[HiddenBefore | None] | None = None,
) -> torch.Tensor:
    """Sample the additive attention mask of a packed row with hidden tokens.

    Every token attends to itself. The same entries are closed in all layers and heads.

    Args:
        position_ids: restart at 0 in every sequence.  # (1, token)
        hidden: probability with which a later token may not attend to each token.  # (1, token)
        mask_seeds: one per sequence.
        dtype: of the model's attention.
        hidden_before: what groups of tokens never attend to, one per sequence.

    Returns:
        0 where a query sees a key, elsewhere the lowest number of `dtype`.  # (1, 1, query, key)
    """
    starts = [0, *accumulate(list_lengths(position_ids))]
    is_open = torch.zeros(starts[-1], starts[-1], dtype=torch.bool)
    groups = hidden_before or [None] * len(mask_seeds)
    for start, end, seed, own in zip(starts[:-1], starts[1:], mask_seeds, groups, strict=True):
        length = end - start
        draws = torch.from_numpy(np.random.default_rng(seed).random((length, length)))
        sees = draws >= hidden[:, start:end]  # (query, key)
        if own is not None:
            sees &= torch.from_numpy(~own.hidden[own.groups])
        sees |= torch.eye(length, dtype=torch.bool)
        is_open[start:end, start:end] = sees.tril()
    return torch.where(is_open, 0.0, torch.finfo(dtype).min).to(dtype)[None, None]


def build_row_columns(
    row: dict[str, Any], way: RowReading, dtype: torch.dtype
) -> dict[str, torch.Tensor | int]:
    """Build the inputs that keep the sequences of a row apart, besides its positions.

    Args:
        row: from `pack_row`.
        way: how the row is read.
        dtype: of the model's attention.
    """
    if way == CUT:
        return build_border_columns(list_lengths(row["position_ids"]))
    if way != MASK:
        return {}
    positions = row["position_ids"]
    hidden = row.get("hidden", torch.zeros(positions.shape))
    seeds = row.get("mask_seeds", [0] * len(list_lengths(positions)))
    groups = row.get("hidden_before")
    return {"attention_mask": sample_attention_mask(positions, hidden, seeds, dtype, groups)}


def list_lengths(position_ids: torch.Tensor) -> list[int]:
    """List the lengths of a row's sequences, whose positions start at 0."""
    starts = (position_ids[0] == 0).nonzero()[:, 0]
    ends = torch.cat([starts[1:], torch.tensor([position_ids.shape[1]])])
    return (ends - starts).tolist()
