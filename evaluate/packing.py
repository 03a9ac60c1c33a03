"""Training rows: several sequences in one row, none of which sees another, with nothing padded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from elusive.augment.rewriting import REWRITES
from elusive.common.errors import InputError
from elusive.common.models import end_tokens
from elusive.common.records import Document, Shot, Span, TrainingText
from elusive.evaluate.prompts import PromptFormat

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


def clean_label_sequence(
    original: str, kept: list[Span], tokenizer: PreTrainedTokenizerBase
) -> Sequence:
    """Input with the dropped tokens missing; each kept token predicts the original's next token.

    Only the input is corrupted, as in D-AR (Saito et al. 2025), where tokens are replaced.
    """
    encoded = tokenizer(original, return_offsets_mapping=True)
    ids = encoded["input_ids"] + end_tokens(tokenizer)
    offsets = encoded["offset_mapping"]
    keep = [i for i, (start, end) in enumerate(offsets) if _within(start, end, original, kept)]
    inputs = [ids[i] for i in keep]
    following = [ids[i + 1] for i in keep]
    return Sequence([*inputs, ids[-1]], [IGNORED, *following])


def _within(start: int, end: int, text: str, kept: list[Span]) -> bool:
    """Whether the token's characters, white space aside, are kept."""
    while start < end and text[start].isspace():
        start += 1
    return start == end or any(first <= start and end <= last for first, last in kept)


def replay_sequence(shot: Shot, prompts: PromptFormat) -> Sequence:
    """A solved question of which only the answer and its end are predicted."""
    question, answer = prompts.solved(shot)
    encoded = prompts.tokenizer(
        question + answer, return_offsets_mapping=True, add_special_tokens=not prompts.chat
    )
    ids = encoded["input_ids"]
    labels = [
        token if end > len(question) else IGNORED
        for token, (_, end) in zip(ids, encoded["offset_mapping"], strict=True)
    ]
    return Sequence(ids, labels)


def training_sequences(
    texts: list[TrainingText],
    documents: list[Document],
    tokenizer: PreTrainedTokenizerBase,
    clean_labels: bool,
) -> list[Sequence]:
    """Every training text once, unshuffled.

    Raises:
        InputError: labels are to be clean and a text has not the order of the original.
    """
    if not clean_labels:
        return [
            replace(text_sequence(text.text, tokenizer), name=f"{text.doc_id} copy {text.copy}")
            for text in texts
        ]
    for text in texts:
        if text.method in REWRITES:
            raise InputError(
                f"labels 'clean' predicts the original's next token, and {text.method!r} writes "
                "sentences in another order: use labels 'dropped' for this arm"
            )
    originals = {document.doc_id: document.text for document in documents}
    return [clean_label_sequence(originals[text.doc_id], text.kept, tokenizer) for text in texts]


def packed_rows(
    texts_of: Callable[[int], list[Sequence]],
    replay: list[Sequence],
    epochs: int,
    batch_size: int,
    rng: np.random.Generator,
    num_tokens: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Rows of `batch_size` sequences each.

    The texts of each epoch, equally many, come once in an order of their own. Solved questions come
    once in all, spread over the epochs: they are there to keep the format, not to be learnt by
    heart. With `num_tokens`, epochs go on until the texts have that many tokens.

    Every arm has as many sequences, so every arm takes as many steps. `position_ids` restart at
    each sequence and no attention mask is given, from which transformers masks sequences from each
    other exactly; an all-ones mask would let them leak.
    """
    order: list[Sequence] = []
    left = num_tokens or 0
    for epoch in count():
        if left <= 0 if num_tokens else epoch == epochs:
            break
        of_epoch = texts_of(epoch)
        if num_tokens:
            of_epoch = _up_to(left, [of_epoch[i] for i in rng.permutation(len(of_epoch))])
            left -= sum(len(sequence.input_ids) for sequence in of_epoch)
        of_epoch = of_epoch + (replay[epoch::epochs] if epoch < epochs else [])
        order += [of_epoch[index] for index in rng.permutation(len(of_epoch))]
    for start in range(0, len(order), batch_size):
        yield packed_row(order[start : start + batch_size])


def _up_to(num_tokens: int, sequences: list[Sequence]) -> list[Sequence]:
    """The first sequences, as many as it takes to have so many tokens."""
    before = np.cumsum([0, *(len(sequence.input_ids) for sequence in sequences)])[:-1]
    return [each for each, start in zip(sequences, before, strict=True) if start < num_tokens]


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
