"""Token scores of documents under a model, in batches of texts of similar length."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch

from elusive.augment.scores.attention_probe import read_attention
from elusive.augment.scores.column_sums import count_layers
from elusive.augment.scores.layer_choice import choose_first_layers, choose_indices
from elusive.augment.scores.token_scores import TokenScores
from elusive.augment.scores.units import EncodedText, encode
from elusive.common.dataset.records import Document, Span
from elusive.common.lm.batches import batch_by_length, mask_rows, pad_rows
from elusive.common.lm.context import find_context
from elusive.common.lm.loading import LoadedModel
from elusive.common.memory import keep_freed_memory
from elusive.common.probe.padding import can_pad
from elusive.common.process.progress import open_bar

BATCH_TOKENS = 2048
"""Most tokens in a batch, padding included. A CPU gets no faster with more, and 4,096 pad twice as
much: 4.7% of the tokens of 100 biographies instead of 2.4%."""
GPU_BATCH_TOKENS = 16_384
"""The same on a GPU: an H200 scores 100 biographies 2 to 4 times as fast as with 2,048."""


@dataclass(frozen=True)
class Reading:
    """How the attention received, by layer and head, becomes one number per token."""

    layers: str = "all"
    """Layers whose mean is taken, written as `choose_indices` reads them."""
    minus_depth: float | None = None
    """Share of the layers, from the first, whose mean is subtracted; None for none."""
    heads: str = "all"
    """Heads whose mean is taken, written in the same way."""
    own_query: bool = False
    """Whether a token's attention to itself counts, too."""
    queries: str = "all"
    """Which queries count: `all`, or `before-values`, only the token before each value, as in the
    paper's figures."""

    def find_last_layer(self, num_layers: int) -> int:
        """Find the last layer that is read."""
        layers = choose_indices(self.layers, num_layers, "layers")
        if self.minus_depth is not None:
            layers = layers + choose_first_layers(self.minus_depth, num_layers)
        return max(layers)

    def reduce(self, received: torch.Tensor, num_layers: int) -> torch.Tensor:
        """Compute scores from all chosen heads, from every second one of them, and from the rest.

        # (layer, head, batch, token) -> (3, batch, token), or (1, batch, token) for a single head
        """
        heads = choose_indices(self.heads, received.shape[1], "heads")
        parts = [heads, heads[::2], heads[1::2]] if len(heads) > 1 else [heads]
        by_layer = torch.stack([received[:, part].mean(1) for part in parts], 1)
        return self.reduce_layers(by_layer, num_layers)

    def reduce_layers(self, by_layer: torch.Tensor, num_layers: int) -> torch.Tensor:
        """Compute scores from the attention received in each layer.  # (layer, ...) -> (...)."""
        # NaN where no query of a layer sees the token: the other layers decide.
        score = by_layer[choose_indices(self.layers, num_layers, "layers")].nanmean(0)
        if self.minus_depth is None:
            return score
        return score - by_layer[choose_first_layers(self.minus_depth, num_layers)].nanmean(0)


ALL_LAYERS = Reading()


def score_attention(
    documents: list[Document], scorer: LoadedModel, reading: Reading = ALL_LAYERS
) -> list[TokenScores]:
    """Score every unit of every document by the attention that it receives.

    A unit of several tokens gets the mean of their scores. A text that is longer than the model's
    context is read in windows that overlap by half; a token in two windows gets the mean of both.
    Units that no query sees, such as the last one, get the mean of the document's other units.

    Raises:
        InputError: the reading names a layer or head that the model lacks.
    """
    num_layers = count_layers(scorer.model)
    last = reading.find_last_layer(num_layers)

    def score(texts: list[EncodedText], batch: list[Document]) -> torch.Tensor:
        input_ids, mask = pad_texts(texts, scorer.model.device)
        queries = None
        if reading.queries == "before-values":
            queries = mark_tokens_before_values(texts, batch, mask)
        received = read_attention(scorer, input_ids, mask, queries, reading.own_query, last)
        return reading.reduce(received, num_layers)

    scored = score_in_batches(documents, scorer, score)
    return [TokenScores.from_rows(rows.units, rows.scores, rows.seconds) for rows in scored]


def score_heads(documents: list[Document], scorer: LoadedModel) -> list[TokenScores]:
    """Score every unit by the attention that it receives, layer by layer and head by head.

    Returns:
        Scores of every document.  # each (layer, head, unit)
    """

    def score(texts: list[EncodedText], _: list[Document]) -> torch.Tensor:
        received = read_attention(scorer, *pad_texts(texts, scorer.model.device))
        return received.flatten(0, 1)

    layers = count_layers(scorer.model)
    return [
        TokenScores(rows.units, rows.scores.reshape(layers, -1, len(rows.units)), rows.seconds)
        for rows in score_in_batches(documents, scorer, score)
    ]


def score_in_batches(
    documents: list[Document],
    scorer: LoadedModel,
    score: Callable[[list[EncodedText], list[Document]], torch.Tensor],
    adds_up: bool = False,
) -> list[TokenScores]:
    """Score every document with a function that takes a batch of encoded texts.

    Args:
        documents: in any order; scores come back in the same order.
        scorer: model that `score` uses.
        score: takes texts of similar length and their documents, and returns scores of shape
            (..., batch, token); those of a document then have shape (..., unit).
        adds_up: whether a unit's score is the sum over its tokens, as that of a log-probability is;
            otherwise it is their mean.
    """
    # 1) Cut texts that are longer than the context into windows.
    context = find_context(scorer.model)
    windows = [
        (index, window)
        for index, document in enumerate(documents)
        for window in cut_windows(encode(document.text, scorer.tokenizer), context)
    ]
    lengths = [len(window.input_ids) for _, window in windows]
    counts = Counter(index for index, _ in windows)
    scored: list[list[tuple[EncodedText, np.ndarray]]] = [[] for _ in documents]
    seconds = np.zeros(len(documents))
    keep_freed_memory()
    title = f"scoring with {scorer.source.reference}"
    with open_bar(title, "doc", len(documents), leave=False, delay=1) as bar:
        if len(windows) > len(documents):
            bar.write(
                f"some texts are longer than the context of {context} tokens: they are read in "
                f"overlapping windows, {len(windows) - len(documents)} more than there are texts"
            )
        # 2) Score windows of similar length together, so that batches need little padding.
        for batch in batch_by_length(lengths, _choose_batch_tokens(scorer)):
            start = perf_counter()
            texts = [windows[number][1] for number in batch]
            batch_documents = [documents[windows[number][0]] for number in batch]
            scores = score(texts, batch_documents).float().cpu().numpy()
            for number, row in zip(batch, np.moveaxis(scores, -2, 0), strict=True):
                index, window = windows[number]
                scored[index].append((window, row[..., : len(window.input_ids)]))
                seconds[index] += (perf_counter() - start) / len(batch)
            read = {windows[number][0] for number in batch}
            bar.update(sum(len(scored[index]) == counts[index] for index in read))
    # 3) Put the windows of each document together.
    return [_stitch(parts, adds_up, spent) for parts, spent in zip(scored, seconds, strict=True)]


def _choose_batch_tokens(scorer: LoadedModel) -> int:
    """Choose the most tokens in a batch; 0 if each text must be read alone."""
    if not can_pad(scorer):
        return 0
    return GPU_BATCH_TOKENS if scorer.model.device.type == "cuda" else BATCH_TOKENS


def cut_windows(text: EncodedText, context: int | None) -> list[EncodedText]:
    """Cut a text into windows of at most `context` tokens, prefix included, that overlap by half.

    The last window ends with the text, so it may overlap more.
    """
    if context is None or len(text.input_ids) <= context:
        return [text]
    prefix, body = text.input_ids[: text.prefix], text.input_ids[text.prefix :]
    size = context - len(prefix)
    starts = [*range(0, len(body) - size, size // 2), len(body) - size]
    return [_cut_window(text, prefix, start, size) for start in starts]


def _cut_window(text: EncodedText, prefix: list[int], start: int, size: int) -> EncodedText:
    """Return the prefix and `size` tokens of the body from `start` on, with their whole units."""
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


def _stitch(
    parts: list[tuple[EncodedText, np.ndarray]], adds_up: bool, seconds: float
) -> TokenScores:
    """Average or sum the scores of a document over the tokens of each unit; average over windows.

    Units without a score get the mean of the others.
    """
    rows_by_unit: dict[Span, list[np.ndarray]] = {}
    for window, row in parts:
        for unit, tokens in zip(window.units, window.unit_tokens, strict=True):
            of_unit = _average(row[..., tokens], axis=-1) * (len(tokens) if adds_up else 1)
            rows_by_unit.setdefault(unit, []).append(of_unit)
    units = sorted(rows_by_unit)
    by_unit = np.array([_average(np.array(rows_by_unit[unit]), axis=0) for unit in units])
    scores = np.moveaxis(by_unit, 0, -1)  # (..., unit)
    neutral = np.nan_to_num(_average(scores, axis=-1))[..., None]
    scores = np.where(np.isnan(scores), neutral, scores).astype(np.float32)
    return TokenScores(units, scores, float(seconds), adds_up=adds_up)


def _average(values: np.ndarray, axis: int) -> np.ndarray:
    """Average what is not NaN; NaN where nothing is left."""
    is_known = ~np.isnan(values)
    sums = np.where(is_known, values, 0.0).sum(axis)
    with np.errstate(invalid="ignore"):
        return sums / is_known.sum(axis)


def pad_texts(texts: list[EncodedText], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad texts on the right; return token ids and mask.  # both (batch, token)."""
    rows = [text.input_ids for text in texts]
    return pad_rows(rows, device=device), mask_rows(rows, device=device)


def mark_tokens_before_values(
    texts: list[EncodedText], documents: list[Document], mask: torch.Tensor
) -> torch.Tensor:
    """Mark the last token before each value, from which the value is predicted.

    Source: arXiv 2409.17954, section on the analysis of attention.

    Returns:
        1 at these tokens, 0 elsewhere.  # (batch, token)
    """
    marks = torch.zeros_like(mask)
    for row, (text, document) in enumerate(zip(texts, documents, strict=True)):
        starts = sorted(fact.start for fact in document.facts)
        for (_, end), tokens, next_unit in zip(
            text.units, text.unit_tokens, [*text.units[1:], (-1, -1)], strict=True
        ):
            if any(end <= start <= next_unit[0] for start in starts):
                marks[row, tokens[-1]] = 1
    return marks
