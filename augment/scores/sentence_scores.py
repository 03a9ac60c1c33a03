"""Attention from each sentence of a document to what stands before it."""

from dataclasses import replace

import numpy as np
import torch

from elusive.augment.clue_spans import split_sentences
from elusive.augment.scores.alignment import move_scores
from elusive.augment.scores.attention_probe import read_attention
from elusive.augment.scores.column_sums import count_layers
from elusive.augment.scores.layer_choice import choose_indices
from elusive.augment.scores.model_scores import ALL_LAYERS, Reading, pad_texts, score_in_batches
from elusive.augment.scores.token_scores import TokenScores
from elusive.augment.scores.units import EncodedText
from elusive.common.dataset.records import Document, Span
from elusive.common.lm.loading import LoadedModel


def score_sentences(
    documents: list[Document], scorer: LoadedModel, reading: Reading = ALL_LAYERS
) -> list[TokenScores]:
    """Score every unit by the attention that it receives from each later sentence.

    As in `compute_attention_received`, 1 means "as much as any other token". What one score for the
    whole text averages over all later queries stands here sentence by sentence, because a clue is
    elusive to a sentence, not to a text. Only sums over the queries of a sentence and over the
    chosen heads are kept, never a whole map. `reading.queries` is not used.

    Returns:
        Scores of every document; units that do not stand before a sentence get the mean of those
        that do.  # each (sentence, unit)

    Raises:
        InputError: the reading names a layer or head that the model lacks.
    """
    num_layers = count_layers(scorer.model)
    last = reading.find_last_layer(num_layers)

    def average_heads(sums: torch.Tensor) -> torch.Tensor:
        heads = choose_indices(reading.heads, sums.shape[1], "heads")
        return sums[:, heads].mean(1, keepdim=True)

    def score(texts: list[EncodedText], batch: list[Document]) -> torch.Tensor:
        input_ids, mask = pad_texts(texts, scorer.model.device)
        sentences = [split_sentences(document) for document in batch]
        queries, is_before = mark_sentence_tokens(texts, sentences, mask)
        received = read_attention(
            scorer, input_ids, mask, queries, False, last, average_heads
        )  # (layer, 1, batch, sentence, token)
        scores = reading.reduce_layers(received[:, 0], num_layers)
        return torch.where(is_before, scores, torch.nan).transpose(0, 1)

    scored = score_in_batches(documents, scorer, score)
    counts = [len(split_sentences(document)) for document in documents]
    return [
        replace(scores, scores=scores.scores[:count])
        for scores, count in zip(scored, counts, strict=True)
    ]


def score_sentences_by_head(documents: list[Document], scorer: LoadedModel) -> list[TokenScores]:
    """Score every unit as `score_sentences` does, for each head of each layer.

    Returns:
        Scores of every document.  # each (layer, head, sentence, unit)
    """

    def score(texts: list[EncodedText], batch: list[Document]) -> torch.Tensor:
        input_ids, mask = pad_texts(texts, scorer.model.device)
        sentences = [split_sentences(document) for document in batch]
        queries, is_before = mark_sentence_tokens(texts, sentences, mask)
        received = read_attention(scorer, input_ids, mask, queries)
        return torch.where(is_before, received, torch.nan).transpose(2, 3)

    return [
        replace(scores, scores=scores.scores[:, :, : len(split_sentences(document))])
        for document, scores in zip(
            documents, score_in_batches(documents, scorer, score), strict=True
        )
    ]


def mark_sentence_tokens(
    texts: list[EncodedText], sentences: list[list[Span]], mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mark the tokens of each sentence, and those that stand before it.

    Args:
        texts: of a batch.
        sentences: of each text; texts with fewer than others get empty ones.
        mask: 1 where a token is real.  # (batch, token)

    Returns:
        1 for the tokens of a sentence; True for the units before it.  # both (batch, sentence,
        token)
    """
    shape = (len(texts), max(map(len, sentences)), mask.shape[1])
    inside, before = np.zeros(shape, np.int64), np.zeros(shape, bool)
    for row, (text, spans) in enumerate(zip(texts, sentences, strict=True)):
        tokens = [token for unit in text.unit_tokens for token in unit]
        starts = np.array(
            [
                start
                for (start, _), unit in zip(text.units, text.unit_tokens, strict=True)
                for _ in unit
            ]
        )
        for number, (first, end) in enumerate(spans if tokens else []):
            inside[row, number, tokens] = (starts >= first) & (starts < end)
            before[row, number, tokens] = starts < first
    device = mask.device
    return torch.from_numpy(inside).to(device), torch.from_numpy(before).to(device)


def contrast_sentences(large: TokenScores, small: TokenScores) -> TokenScores:
    """Subtract one model's scores by sentence from another's, on the units of the latter.

    Scores of the small model are moved to the units of the large one character by character.
    """
    moved = [move_scores(row, small.units, large.units, small.adds_up) for row in small.scores]
    return replace(
        large,
        scores=large.scores - np.array(moved).reshape(large.scores.shape),
        seconds=large.seconds + small.seconds,
    )
