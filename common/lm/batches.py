"""Batches of token sequences: of similar length, padded on either side."""

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
    """Pad rows of token ids, or of anything that goes with them, to the longest.

    Args:
        rows: of any lengths, at least one.
        fill: what padding holds.
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
    """Attention mask of padded rows: 1 where a token is real, 0 on padding.  # (row, token)."""
    return pad_rows([[1] * len(row) for row in rows], 0, side, device)


def length_sorted_batches(lengths: list[int], batch_tokens: int) -> Iterator[list[int]]:
    """Indices in batches of similar length, at most `batch_tokens` after padding, longest first.

    >>> list(length_sorted_batches([3, 9, 4, 10], batch_tokens=20))
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
