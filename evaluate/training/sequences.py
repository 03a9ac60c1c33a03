"""Build training sequences from texts and solved questions, and pack them into rows."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from elusive.augment.arms import ARMS
from elusive.common.dataset.records import Document, Shot, Span, TrainingText
from elusive.common.errors import InputError
from elusive.common.lm.loading import get_end_tokens
from elusive.common.lm.packing import IGNORED, Sequence, build_text_sequence, pack_row
from elusive.evaluate.answering.prompts import PromptFormat


def build_training_sequences(
    texts: list[TrainingText],
    documents: list[Document],
    tokenizer: PreTrainedTokenizerBase,
    clean_labels: bool,
) -> list[Sequence]:
    """Build one sequence per training text, in order.

    Raises:
        InputError: clean labels are requested, but a text does not keep the order of its original.
    """
    if not clean_labels:
        return [
            replace(
                build_text_sequence(text.text, tokenizer), name=f"{text.doc_id} copy {text.copy}"
            )
            for text in texts
        ]
    for text in texts:
        if text.method in ARMS and not ARMS[text.method].keeps_order:
            raise InputError(
                f"labels 'clean' predicts the original's next token, but {text.method!r} does not "
                "keep the order of the original: use labels 'dropped' for this arm"
            )
    originals = {document.doc_id: document.text for document in documents}
    return [
        build_clean_label_sequence(originals[text.doc_id], text.kept, tokenizer) for text in texts
    ]


def build_clean_label_sequence(
    original: str, kept: list[Span], tokenizer: PreTrainedTokenizerBase
) -> Sequence:
    """Build a sequence without the dropped tokens, in which kept ones predict the original's next.

    Only the input is corrupted, as in D-AR (Saito et al. 2025), which replaces tokens instead.
    """
    encoded = tokenizer(original, return_offsets_mapping=True)
    ids = encoded["input_ids"] + get_end_tokens(tokenizer)
    kept_indices = [
        index
        for index, (start, end) in enumerate(encoded["offset_mapping"])
        if _is_kept(start, end, original, kept)
    ]
    inputs = [ids[index] for index in kept_indices]
    next_ids = [ids[index + 1] for index in kept_indices]
    return Sequence([*inputs, ids[-1]], [IGNORED, *next_ids])


def _is_kept(start: int, end: int, text: str, kept: list[Span]) -> bool:
    """Whether all characters of a token are kept; leading white space does not count."""
    while start < end and text[start].isspace():
        start += 1
    return start == end or any(first <= start and end <= last for first, last in kept)


def build_replay_sequence(shot: Shot, prompts: PromptFormat) -> Sequence:
    """Build the sequence of a solved question; only the answer and its end are predicted."""
    question, answer = prompts.render_solved(shot)
    encoded = prompts.tokenizer(
        question + answer, return_offsets_mapping=True, add_special_tokens=not prompts.chat
    )
    ids = encoded["input_ids"]
    labels = [
        token if end > len(question) else IGNORED
        for token, (_, end) in zip(ids, encoded["offset_mapping"], strict=True)
    ]
    return Sequence(ids, labels)


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
    once, in one of the epochs: it preserves the answer format and should not be memorized. With
    `num_tokens`, epochs continue until the texts have that many tokens in total.

    All arms have the same number of sequences, so all take the same number of steps. `position_ids`
    restart at each sequence and there is no attention mask; transformers then separates the
    sequences exactly, whereas an all-ones mask would let them see each other.
    """
    order: list[Sequence] = []
    left = num_tokens or 0
    for epoch in count():
        if left <= 0 if num_tokens else epoch == epochs:
            break
        sequences = build_epoch(epoch)
        if num_tokens:
            shuffled = [sequences[index] for index in rng.permutation(len(sequences))]
            sequences = _take_tokens(left, shuffled)
            left -= sum(len(sequence.input_ids) for sequence in sequences)
        sequences = sequences + (replay[epoch::epochs] if epoch < epochs else [])
        order += [sequences[index] for index in rng.permutation(len(sequences))]
    for start in range(0, len(order), batch_size):
        yield pack_row(order[start : start + batch_size])


def _take_tokens(num_tokens: int, sequences: list[Sequence]) -> list[Sequence]:
    """Take as many of the first sequences as are needed to reach a number of tokens."""
    starts = np.cumsum([0, *(len(sequence.input_ids) for sequence in sequences)])[:-1]
    pairs = zip(sequences, starts, strict=True)
    return [sequence for sequence, start in pairs if start < num_tokens]
