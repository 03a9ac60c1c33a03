"""Batches of token sequences of similar length, padded on either side."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch.nn.utils.rnn import pad_sequence


def pad_rows(
    rows: list[list[int]],
    fill: int = 0,
    side: Literal["left", "right"] = "right",
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Pad rows of token ids, or of numbers that belong to them, to the length of the longest.

    Args:
        rows: of any lengths, at least one.
        fill: value of the padding.
        side: where padding goes.
        device: of the result.

    Returns:
        Integers.  # (row, token)

    >>> pad_rows([[1, 2], [3]], side="left")
    tensor([[1, 2],
            [0, 3]])
    """
    tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
    return pad_sequence(tensors, True, fill, padding_side=side).to(device)


def mask_rows(
    rows: list[list[int]],
    side: Literal["left", "right"] = "right",
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Return the attention mask of padded rows: 1 for tokens, 0 for padding.  # (row, token)."""
    return pad_rows([[1] * len(row) for row in rows], 0, side, device)


def batch_by_length(lengths: list[int], batch_tokens: int) -> Iterator[list[int]]:
    """Batch indices by length, longest first, at most `batch_tokens` per batch after padding.

    A sequence that is longer than `batch_tokens` has a batch of its own.

    >>> list(batch_by_length([3, 9, 4, 10], batch_tokens=20))
    [[3, 1], [2, 0]]
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if batch and lengths[batch[0]] * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
