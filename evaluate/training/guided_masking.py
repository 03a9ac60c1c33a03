"""Guided masking: what a sentence attends to only at first sight is hidden from it in training."""

from collections import abc
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from elusive.augment.scores.attention_probe import read_attention
from elusive.augment.scores.column_sums import count_layers
from elusive.augment.scores.model_scores import ALL_LAYERS, Reading
from elusive.common.dataset.lazy_rows import LazyRows
from elusive.common.lm.batches import batch_by_length, mask_rows, pad_rows
from elusive.common.lm.loading import LoadedModel
from elusive.common.lm.packing import HiddenBefore, Sequence
from elusive.common.text.sentences import find_sentences

BATCH_TOKENS = 1024
SCORED_TOGETHER = 8192
"""Sequences that are scored before what is hidden from them is kept."""
FIRST_LAYERS = 0.5
"""Share of the layers, from the first, whose attention is subtracted if there is no reference."""


class GuidedSequences(LazyRows[Sequence]):
    """Sequences with what is hidden from their sentences.

    Args:
        sequences: with nothing hidden.
        hidden: by the bytes of the token ids; kept in memory, about a kilobyte for each text.
    """

    def __init__(
        self, sequences: abc.Sequence[Sequence], hidden: dict[bytes, HiddenBefore]
    ) -> None:
        self._sequences, self._hidden = sequences, hidden

    def __len__(self) -> int:
        return len(self._sequences)

    def get(self, index: int) -> Sequence:
        """Read one sequence."""
        sequence = self._sequences[index]
        return replace(sequence, hidden_before=self._hidden[_get_key(sequence)])


def hide_before_sentences(
    sequences: abc.Sequence[Sequence],
    language: str,
    loaded: LoadedModel,
    reference: LoadedModel | None,
    share: float,
) -> GuidedSequences:
    """Hide from each sentence the share of the tokens before it that score lowest; labels stay.

    The score of a token is the attention that it receives from the sentence under the model before
    training, minus that under a smaller reference model, or minus that in the model's first layers.
    So what is hidden is what only the small model, or only the first layers, attend to, and the
    sentence must be predicted from the clue that is left; its first token is predicted by the one
    before, from what the sentence before sees. The first token of a text, which may be the start
    token, and the sentence's own tokens stay visible. All texts are scored at once, some thousand
    sequences at a time; equal ones are read once.

    Args:
        sequences: of texts.
        language: code of the texts' language.
        loaded: the model to train, before training.
        reference: a smaller model of the same tokenizer; None for the model's own first layers.
        share: of the tokens before a sentence, in (0, 1).

    Raises:
        InputError: the attention of a model cannot be read.

    Source: the idea of arXiv 2409.17954; masks in place of deletion are this toolkit's own.
    """
    hidden: dict[bytes, HiddenBefore] = {}
    for start in range(0, len(sequences), SCORED_TOGETHER):
        chunk = sequences[start : start + SCORED_TOGETHER]
        new = {key: row for row in chunk if (key := _get_key(row)) not in hidden}
        groups = [
            group_by_sentence(sequence.input_ids, loaded.tokenizer, language)
            for sequence in new.values()
        ]
        chosen = _choose_all(list(new.values()), groups, loaded, reference, share)
        hidden |= zip(new, chosen, strict=True)
    return GuidedSequences(sequences, hidden)


def _get_key(sequence: Sequence) -> bytes:
    return np.array(sequence.input_ids, np.int32).tobytes()


def _choose_all(
    sequences: list[Sequence],
    groups: list[np.ndarray],
    loaded: LoadedModel,
    reference: LoadedModel | None,
    share: float,
) -> list[HiddenBefore]:
    """Choose what is hidden from each sentence of different sequences."""
    reading = ALL_LAYERS if reference else Reading(minus_depth=FIRST_LAYERS)
    scored = _score(sequences, groups, loaded, reading)
    if reference:
        small = _score(sequences, groups, reference, ALL_LAYERS)
        scored = [large - other for large, other in zip(scored, small, strict=True)]
    return [
        HiddenBefore(group, choose_hidden(scores, group, share))
        for group, scores in zip(groups, scored, strict=True)
    ]


def group_by_sentence(
    input_ids: list[int], tokenizer: PreTrainedTokenizerBase, language: str
) -> np.ndarray:
    """Return the number of the sentence of each token, that in which it ends.  # (token,)."""
    # A token may hold a part of a character's bytes, so its own text would not do.
    decode = partial(tokenizer.decode, clean_up_tokenization_spaces=False, skip_special_tokens=True)
    beginnings = [str(decode(input_ids[:end])) for end in range(1, len(input_ids) + 1)]
    sentences = find_sentences(beginnings[-1], [], language)
    ends = np.array([len(beginning) for beginning in beginnings])
    return np.searchsorted([end for _, end in sentences], ends - 1, side="right").clip(
        max=len(sentences) - 1
    )


def _score(
    sequences: list[Sequence], groups: list[np.ndarray], loaded: LoadedModel, reading: Reading
) -> list[np.ndarray]:
    """Score the tokens of sequences for each of their sentences.  # each (sentence, token)."""
    scored: list[np.ndarray] = [np.empty(0)] * len(sequences)
    num_layers, device = count_layers(loaded.model), loaded.model.device
    lengths = [len(sequence.input_ids) for sequence in sequences]
    for batch in batch_by_length(lengths, BATCH_TOKENS):
        rows = [sequences[index].input_ids for index in batch]
        input_ids, mask = pad_rows(rows, device=device), mask_rows(rows, device=device)
        counts = [int(groups[index].max()) + 1 for index in batch]
        queries = torch.zeros(len(batch), max(counts), input_ids.shape[1], dtype=torch.long)
        for row, index in enumerate(batch):
            queries[row, groups[index], torch.arange(lengths[index])] = 1
        received = read_attention(
            *(loaded, input_ids, mask, queries.to(device)),
            reduce_heads=lambda sums: sums.mean(1, keepdim=True),
        )  # (layer, 1, batch, sentence, token)
        scores = reading.reduce_layers(received[:, 0], num_layers).float().cpu().numpy()
        for row, index in enumerate(batch):
            scored[index] = scores[row, : counts[row], : lengths[index]]
    return scored


def choose_hidden(scores: np.ndarray, groups: np.ndarray, share: float) -> np.ndarray:
    """Mark the tokens before each sentence that score lowest.

    Args:
        scores: of every token, for each sentence.  # (sentence, token)
        groups: number of the sentence of each token, ascending.  # (token,)
        share: of the tokens before a sentence that is marked, rounded.

    Returns:
        True for tokens that the sentence may not see.  # (sentence, token)
    """
    hidden = np.zeros(scores.shape, bool)
    for sentence, row in enumerate(scores):
        earlier = np.flatnonzero(groups < sentence)[1:]  # the first token stays visible
        lowest = np.argsort(row[earlier], kind="stable")[: round(share * len(earlier))]
        hidden[sentence, earlier[lowest]] = True
    return hidden
