"""Build the sequences of solved questions, and pack all sequences into rows."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from elusive.common.dataset.records import Shot
from elusive.common.lm.packing import IGNORED, Sequence, pack_row
from elusive.evaluate.answering.prompt_format import PromptFormat


def build_replay_sequence(shot: Shot, prompts: PromptFormat) -> Sequence:
    """Build the sequence of a solved question; only the answer and its end are predicted."""
    encoded = prompts.encode_solved(shot)
    before = encoded.prompt.input_ids
    return Sequence(before + encoded.written, [IGNORED] * len(before) + encoded.written)


def pack_epochs(
    build_epoch: Callable[[int], list[Sequence]],
    replay: list[Sequence],
    epochs: int,
    batch_size: int,
    rng: np.random.Generator,
    num_tokens: int | None = None,
) -> Iterator[dict[str, Any]]:
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
    by_epoch: list[list[Sequence]] = []
    left = num_tokens or 0
    while left > 0 if num_tokens else len(by_epoch) < epochs:
        sequences = build_epoch(len(by_epoch))
        if num_tokens:
            shuffled = [sequences[index] for index in rng.permutation(len(sequences))]
            sequences = _take_tokens(left, shuffled)
            left -= sum(len(sequence.input_ids) for sequence in sequences)
        by_epoch.append(sequences)
    # 2) Give each epoch its share of the solved questions, and shuffle both together.
    ends = np.cumsum([len(sequences) for sequences in by_epoch])
    shares = np.round(ends / ends[-1] * len(replay)).astype(int)
    order: list[Sequence] = []
    for sequences, first, last in zip(by_epoch, [0, *shares], shares, strict=False):
        together = sequences + replay[first:last]
        order += [together[index] for index in rng.permutation(len(together))]
    for start in range(0, len(order), batch_size):
        yield pack_row(order[start : start + batch_size])


def _take_tokens(num_tokens: int, sequences: list[Sequence]) -> list[Sequence]:
    """Take as many of the first sequences as are needed to reach a number of tokens."""
    starts = np.cumsum([0, *(len(sequence.input_ids) for sequence in sequences)])[:-1]
    pairs = zip(sequences, starts, strict=True)
    return [sequence for sequence, start in pairs if start < num_tokens]
