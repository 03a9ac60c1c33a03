"""Training sequences of texts and solved questions, and the rows of all epochs."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from elusive.augment.rewrites import REWRITES
from elusive.common.dataset.records import Document, Shot, Span, TrainingText
from elusive.common.errors import InputError
from elusive.common.lm.loading import end_tokens
from elusive.common.lm.packing import IGNORED, Sequence, packed_row, text_sequence
from elusive.evaluate.answering.prompts import PromptFormat


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
