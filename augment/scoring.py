"""Token scores of documents under a model, batched over documents of similar length."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from elusive.augment.attention import attention_received
from elusive.augment.tokens import EncodedText, encode
from elusive.common.errors import InputError
from elusive.common.models import LoadedModel
from elusive.common.records import Document

BATCH_TOKENS = 2048
"""Padded tokens per batch: more do not fit the caches of a CPU and are slower there."""

LayerReduction = Callable[[torch.Tensor], torch.Tensor]
"""From attention received by layer (layer, batch, token) to one score per token (batch, token)."""


@dataclass(frozen=True)
class TokenScores:
    """A document's droppable units and their scores under one scorer."""

    units: list[tuple[int, int]]
    scores: np.ndarray
    """One number per unit, float32; higher means kept more often."""


def mean_over_layers(received: torch.Tensor) -> torch.Tensor:
    """Mean over all layers.  # (layer, batch, token) -> (batch, token)."""
    return received.mean(0)


def late_minus_early(depth: float) -> LayerReduction:
    """Mean over all layers minus the mean over the first `depth` of them (at least one)."""

    def reduce(received: torch.Tensor) -> torch.Tensor:
        num_early = max(1, round(depth * received.shape[0]))
        return received.mean(0) - received[:num_early].mean(0)

    return reduce


def score_attention(
    documents: list[Document], scorer: LoadedModel, reduce: LayerReduction
) -> list[TokenScores]:
    """Attention received by every unit of every document, reduced over layers.

    A unit of several tokens gets the mean of theirs.

    Raises:
        InputError: a document is longer than the model's context.
    """
    encoded = [encode(document.text, scorer.tokenizer) for document in documents]
    _check_lengths(documents, encoded, scorer)
    scores: list[TokenScores | None] = [None] * len(documents)
    with tqdm(
        total=len(documents), desc=f"scoring with {scorer.source.reference}", unit="doc"
    ) as bar:
        for batch in length_sorted_batches([len(text.input_ids) for text in encoded], BATCH_TOKENS):
            token_scores = _score_batch([encoded[index] for index in batch], scorer, reduce)
            for index, row in zip(batch, token_scores, strict=True):
                scores[index] = _unit_scores(encoded[index], row)
            bar.update(len(batch))
    return scores  # type: ignore[return-value]


def _check_lengths(
    documents: list[Document], encoded: list[EncodedText], scorer: LoadedModel
) -> None:
    """Refuse documents that do not fit the model's context."""
    context = getattr(scorer.model.config, "max_position_embeddings", None)
    for document, text in zip(documents, encoded, strict=True):
        if context and len(text.input_ids) > context:
            raise InputError(
                f"document {document.doc_id!r} has {len(text.input_ids)} tokens, more than the "
                f"{context} that {scorer.source.reference!r} reads: split it into paragraphs"
            )


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


def _score_batch(
    texts: list[EncodedText], scorer: LoadedModel, reduce: LayerReduction
) -> list[np.ndarray]:
    """One score per token of each text, prefix included."""
    longest = max(len(text.input_ids) for text in texts)
    device = scorer.model.device
    input_ids = torch.zeros(len(texts), longest, dtype=torch.long)  # (batch, token)
    mask = torch.zeros_like(input_ids)
    for row, text in enumerate(texts):
        input_ids[row, : len(text.input_ids)] = torch.tensor(text.input_ids)
        mask[row, : len(text.input_ids)] = 1
    received = attention_received(scorer.model, input_ids.to(device), mask.to(device))
    reduced = reduce(received).cpu().numpy()
    return [row[: len(text.input_ids)] for row, text in zip(reduced, texts, strict=True)]


def _unit_scores(text: EncodedText, token_scores: np.ndarray) -> TokenScores:
    """Scores of the units: the mean over each unit's tokens."""
    scores = [token_scores[tokens].mean() for tokens in text.unit_tokens]
    return TokenScores(text.units, np.array(scores, dtype=np.float32))
