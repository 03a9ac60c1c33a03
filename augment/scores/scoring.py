"""Token scores of documents under a model, batched over documents of similar length."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from tqdm import tqdm

from elusive.augment.scores.column_sums import attention_received
from elusive.augment.scores.layer_choice import chosen_indices
from elusive.augment.scores.units import EncodedText, encode
from elusive.common.dataset.records import Document, Span
from elusive.common.lm.batches import length_sorted_batches, mask_rows, pad_rows
from elusive.common.lm.loading import LoadedModel
from elusive.common.memory import keep_freed_memory

BATCH_TOKENS = 2048
"""Padded tokens per batch. A CPU gets no faster with more, and 4,096 pad twice as much: 4.7% of the
tokens of 100 biographies instead of 2.4%."""


@dataclass(frozen=True)
class TokenScores:
    """A document's droppable units and their scores under one scorer."""

    units: list[tuple[int, int]]
    scores: np.ndarray
    """One number per unit, float32; higher means kept more often."""
    seconds: float = 0.0
    """What a model took for it: the batch's time, by documents."""
    halves: tuple[np.ndarray, np.ndarray] | None = None
    """The same scores from every second head, and from the others: as alike as they are more than
    noise. None where there are no heads."""


@dataclass(frozen=True)
class Reading:
    """How attention received, by layer and head, becomes one number per token."""

    layers: str = "all"
    """Layers whose mean is taken; as `chosen_indices` reads it."""
    minus_layers: str = ""
    """Layers whose mean is subtracted; empty for none."""
    heads: str = "all"
    """Heads whose mean is taken."""
    own_query: bool = False
    """Whether a token's attention to itself counts."""
    queries: str = "all"
    """Which queries count: `all`, or `before-values`, the token before each value (the paper's
    figures)."""

    def last_layer(self, num_layers: int) -> int:
        """The last layer that is needed."""
        specs = filter(None, (self.layers, self.minus_layers))
        return max(max(chosen_indices(spec, num_layers, "layers")) for spec in specs)

    def reduced(self, received: torch.Tensor, num_layers: int) -> torch.Tensor:
        """Scores from all chosen heads, every second one of them, and the others.

        # (layer, head, batch, token) -> (3, batch, token), or (1, batch, token) of a single head
        """
        heads = chosen_indices(self.heads, received.shape[1], "heads")
        parts = [heads, heads[::2], heads[1::2]] if len(heads) > 1 else [heads]
        by_layer = torch.stack([received[:, part].mean(1) for part in parts], 1)
        score = by_layer[chosen_indices(self.layers, num_layers, "layers")].mean(0)
        if not self.minus_layers:
            return score
        minus = chosen_indices(self.minus_layers, num_layers, "layers")
        return score - by_layer[minus].mean(0)


ALL_LAYERS = Reading()
Reduce = Callable[[torch.Tensor], torch.Tensor]
"""From what a model gives (..., batch, token) to scores (..., batch, token)."""


def score_attention(
    documents: list[Document], scorer: LoadedModel, reading: Reading = ALL_LAYERS
) -> list[TokenScores]:
    """Attention received by every unit of every document.

    A unit of several tokens gets the mean of theirs. A text that is longer than the model's context
    is read in windows that overlap by half; a token in two windows gets the mean of both.

    Raises:
        InputError: a layer or head is named that the model does not have.
    """
    num_layers = int(scorer.model.config.num_hidden_layers)
    last = reading.last_layer(num_layers)
    restricted = reading.queries == "before-values"

    def score(texts: list[EncodedText], of: list[Document]) -> torch.Tensor:
        input_ids, mask = padded(texts, scorer.model.device)
        queries = tokens_before_values(texts, of, mask) if restricted else None
        received = attention_received(
            scorer.model, input_ids, mask, queries, reading.own_query, last
        )
        return reading.reduced(received, num_layers)

    scored = score_in_batches(documents, scorer, score)
    return [with_halves(each.units, each.scores, each.seconds) for each in scored]


def with_halves(units: list[Span], rows: np.ndarray, seconds: float) -> TokenScores:
    """Scores in the first row; in the next two, if there are, those of halves of the heads."""
    halves = (rows[1], rows[2]) if len(rows) == 3 else None
    return TokenScores(units, rows[0], seconds, halves)


def score_heads(documents: list[Document], scorer: LoadedModel) -> list[TokenScores]:
    """Attention received from all later tokens, layer by layer and head by head.

    Returns:
        Scores of every document.  # each (layer, head, unit)
    """

    def score(texts: list[EncodedText], of: list[Document]) -> torch.Tensor:
        received = attention_received(scorer.model, *padded(texts, scorer.model.device))
        return received.flatten(0, 1)

    scored = score_in_batches(documents, scorer, score)
    layers = int(scorer.model.config.num_hidden_layers)
    return [
        TokenScores(each.units, each.scores.reshape(layers, -1, len(each.units)), each.seconds)
        for each in scored
    ]


def score_in_batches(
    documents: list[Document],
    scorer: LoadedModel,
    score: Callable[[list[EncodedText], list[Document]], torch.Tensor],
) -> list[TokenScores]:
    """Scores of every document by a function from encoded texts to numbers per token.

    Args:
        documents: in any order; scores come back in the same order.
        scorer: model that `score` uses.
        score: from texts of similar length and their documents to (..., batch, token); scores
            are then (..., unit).
    """
    pieces = [
        (index, window)
        for index, document in enumerate(documents)
        for window in windows(encode(document.text, scorer.tokenizer), context_of(scorer))
    ]
    lengths = [len(window.input_ids) for _, window in pieces]
    found: list[list[tuple[EncodedText, np.ndarray]]] = [[] for _ in documents]
    seconds = np.zeros(len(documents))
    keep_freed_memory()
    name = f"scoring with {scorer.source.reference}"
    with tqdm(total=len(documents), desc=name, unit="doc", leave=False, delay=1) as bar:
        if len(pieces) > len(documents):
            bar.write(
                f"{len(pieces) - len(documents)} texts or parts are longer than the context "
                f"of {context_of(scorer)} tokens: read in overlapping windows"
            )
        for batch in length_sorted_batches(lengths, BATCH_TOKENS):
            start = perf_counter()
            texts = [pieces[place][1] for place in batch]
            of = [documents[pieces[place][0]] for place in batch]
            rows = np.moveaxis(score(texts, of).float().cpu().numpy(), -2, 0)
            for place, row in zip(batch, rows, strict=True):
                index, window = pieces[place]
                found[index].append((window, row[..., : len(window.input_ids)]))
                seconds[index] += (perf_counter() - start) / len(batch)
            bar.update(len({pieces[place][0] for place in batch}))
    return [_stitched(parts, spent) for parts, spent in zip(found, seconds, strict=True)]


def context_of(scorer: LoadedModel) -> int | None:
    """Tokens that a model reads at a time; None where its config does not say."""
    return getattr(scorer.model.config, "max_position_embeddings", None)


def windows(text: EncodedText, context: int | None) -> list[EncodedText]:
    """A text in windows of at most `context` tokens that overlap by half, each with the prefix."""
    if context is None or len(text.input_ids) <= context:
        return [text]
    prefix, body = text.input_ids[: text.prefix], text.input_ids[text.prefix :]
    size = context - len(prefix)
    starts = [*range(0, len(body) - size, size // 2), len(body) - size]
    return [_window(text, prefix, start, size) for start in starts]


def _window(text: EncodedText, prefix: list[int], start: int, size: int) -> EncodedText:
    """`size` tokens of a text's body from `start` on, behind the prefix, and their units."""
    first, end = len(prefix) + start, len(prefix) + start + size
    inside = [
        index
        for index, tokens in enumerate(text.unit_tokens)
        if first <= tokens[0] and tokens[-1] < end
    ]
    return EncodedText(
        input_ids=prefix + text.input_ids[first:end],
        units=[text.units[index] for index in inside],
        unit_tokens=[[token - start for token in text.unit_tokens[index]] for index in inside],
        prefix=len(prefix),
    )


def _stitched(parts: list[tuple[EncodedText, np.ndarray]], seconds: float) -> TokenScores:
    """Scores of a document's units: the mean over each unit's tokens, and over windows."""
    sums: dict[tuple[int, int], list[np.ndarray]] = {}
    for window, row in parts:
        for unit, tokens in zip(window.units, window.unit_tokens, strict=True):
            sums.setdefault(unit, []).append(row[..., tokens].mean(-1))
    units = sorted(sums)
    scores = np.array([np.mean(sums[unit], axis=0) for unit in units], dtype=np.float32)
    return TokenScores(units, np.moveaxis(scores, 0, -1), float(seconds))


def padded(texts: list[EncodedText], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and mask of texts, padded on the right.  # both (batch, token)."""
    rows = [text.input_ids for text in texts]
    return pad_rows(rows, device=device), mask_rows(rows, device=device)


def tokens_before_values(
    texts: list[EncodedText], documents: list[Document], mask: torch.Tensor
) -> torch.Tensor:
    """1 at the last token of the unit before each value, from where it is predicted.

    Source: arXiv 2409.17954, section on the analysis of attention.

    Returns:
        Zeros and ones.  # (batch, token)
    """
    chosen = torch.zeros_like(mask)
    for row, (text, document) in enumerate(zip(texts, documents, strict=True)):
        starts = sorted(fact.start for fact in document.facts)
        for (_, end), tokens, following in zip(
            text.units, text.unit_tokens, [*text.units[1:], (-1, -1)], strict=True
        ):
            if any(end <= start <= following[0] for start in starts):
                chosen[row, tokens[-1]] = 1
    return chosen
