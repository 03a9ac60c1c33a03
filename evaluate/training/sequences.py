"""Build the sequences of solved questions, and pack all sequences into rows."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from elusive.common.dataset.lazy_rows import LazyRows
from elusive.common.dataset.records import Shot
from elusive.common.lm.packing import IGNORED, pack_row
from elusive.common.lm.packing import Sequence as Tokens
from elusive.evaluate.answering.prompt_format import PromptFormat


def build_replay_sequence(shot: Shot, prompts: PromptFormat) -> Tokens:
    """Build the sequence of a solved question; only the answer and its end are predicted."""
    encoded = prompts.encode_solved(shot)
    before = encoded.prompt.input_ids
    return Tokens(before + encoded.written, [IGNORED] * len(before) + encoded.written)


class PackedRows(LazyRows[dict[str, Any]]):
    """The rows of all epochs, each packed when it is asked for.

    Args:
        epochs: sequences of each epoch.
        replay: solved questions.
        order: for each sequence that is trained on, its epoch and its index; solved questions have
            the epoch -1.  # (sequence, 2)
        batch_size: sequences per row.
    """

    def __init__(
        self,
        epochs: list[Sequence[Tokens]],
        replay: list[Tokens],
        order: np.ndarray,
        batch_size: int,
    ) -> None:
        self._epochs, self._replay = epochs, replay
        self._order, self._batch_size = order, batch_size

    def __len__(self) -> int:
        return -(-len(self._order) // self._batch_size)

    def get(self, index: int) -> dict[str, Any]:
        """Pack one row."""
        start = index * self._batch_size
        chosen = self._order[start : start + self._batch_size].tolist()
        return pack_row(
            [self._replay[i] if epoch < 0 else self._epochs[epoch][i] for epoch, i in chosen]
        )


def pack_epochs(
    build_epoch: Callable[[int], Sequence[Tokens]],
    replay: list[Tokens],
    epochs: int,
    batch_size: int,
    rng: np.random.Generator,
    num_tokens: int | None = None,
) -> PackedRows:
    """Pack the sequences of all epochs into rows of `batch_size` sequences.

    Every epoch contains each of its texts once, in a new order. Each solved question comes only
    once: it preserves the answer format and should not be memorized. The questions are spread
    evenly over all texts that are trained on. With `num_tokens`, epochs continue until the texts
    have that many tokens in total.

    All arms have the same number of sequences, so all take the same number of steps. `position_ids`
    restart at each sequence and there is no attention mask; transformers then separates the
    sequences exactly, whereas an all-ones mask would let them see each other.
    """
    # 1) Choose the texts of each epoch.
    by_epoch: list[Sequence[Tokens]] = []
    chosen: list[np.ndarray] = []
    left = num_tokens or 0
    while left > 0 if num_tokens else len(by_epoch) < epochs:
        sequences = build_epoch(len(by_epoch))
        indices = np.arange(len(sequences))
        if num_tokens:
            indices, taken = _take_tokens(left, sequences, rng.permutation(len(sequences)))
            left -= taken
        by_epoch.append(sequences)
        chosen.append(indices)
    # 2) Give each epoch its share of the solved questions, and shuffle both together.
    ends = np.cumsum(list(map(len, chosen)))
    shares = np.round(ends / ends[-1] * len(replay)).astype(int)
    order = []
    for epoch, (indices, first, last) in enumerate(zip(chosen, [0, *shares], shares, strict=False)):
        owners = np.repeat([epoch, -1], [len(indices), last - first])
        together = np.column_stack([owners, np.append(indices, np.arange(first, last))])
        order.append(together[rng.permutation(len(together))].astype(np.int32))
    return PackedRows(by_epoch, replay, np.concatenate(order), batch_size)


def _take_tokens(
    num_tokens: int, sequences: Sequence[Tokens], order: np.ndarray
) -> tuple[np.ndarray, int]:
    """Take as many of the first sequences as are needed to reach a number of tokens.

    Returns:
        Their indices, and the number of their tokens.
    """
    taken = 0
    for count, index in enumerate(order):
        if taken >= num_tokens:
            return order[:count], taken
        taken += len(sequences[index].input_ids)
    return order, taken
