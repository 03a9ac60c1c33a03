"""Which tokens get the most attention just before a value, counted as the paper does.

Source: arXiv 2409.17954, section on the analysis of attention.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from elusive.augment.clue_spans import mark_targets
from elusive.augment.clues.targets import TOP
from elusive.augment.dropping import mark_overlaps
from elusive.augment.scores.alignment import contrast_scores
from elusive.augment.scores.attention_probe import read_attention
from elusive.augment.scores.column_sums import count_layers
from elusive.augment.scores.model_scores import Reading
from elusive.augment.scores.token_scores import TokenScores
from elusive.augment.scores.units import EncodedText, encode
from elusive.common.dataset.records import Document, Fact
from elusive.common.intervals import COUNT, Estimate, estimate_mean
from elusive.common.lm.loading import LoadedModel

KINDS = ("name", "earlier values", "relation words", "other words", "signs")


@dataclass(frozen=True)
class AttentionBefore:
    """What the last token before a value attends to."""

    document: Document
    fact: Fact
    scores: TokenScores
    """Attention to the units before that token."""


@dataclass(frozen=True)
class TopRow:
    """How many of the ten highest tokens are of one kind, under one scorer."""

    scorer: str
    kind: str
    tokens: Estimate


def read_attention_before_values(
    documents: list[Document], scorer: LoadedModel, reading: Reading
) -> Iterator[AttentionBefore]:
    """Read the attention of the last token before each value, one document at a time.

    Args:
        documents: with gold spans.
        scorer: the model.
        reading: layers and heads; its queries do not apply, as each value has one query.
    """
    num_layers = count_layers(scorer.model)
    for document in documents:
        # 1) Find the last unit before each value.
        text = encode(document.text, scorer.tokenizer)
        last_units = [(fact, _find_last_before(fact, text)) for fact in document.facts]
        pairs = [(fact, last) for fact, last in last_units if last is not None]
        if not pairs:
            continue
        # 2) Read the text once per value, each time with the unit's last token as the only query.
        ids = torch.tensor([text.input_ids] * len(pairs), device=scorer.model.device)
        queries = torch.zeros_like(ids)
        for row, (_, last) in enumerate(pairs):
            queries[row, text.unit_tokens[last][-1]] = 1
        received = read_attention(scorer, ids, torch.ones_like(ids), queries)
        rows = reading.reduce(received, num_layers)[0].float().cpu().numpy()  # (fact, token)
        # 3) Average over the tokens of each unit before it.
        for (fact, last), row in zip(pairs, rows, strict=True):
            scores = np.array([row[tokens].mean() for tokens in text.unit_tokens[:last]])
            yield AttentionBefore(document, fact, TokenScores(text.units[:last], scores))


def _find_last_before(fact: Fact, text: EncodedText) -> int | None:
    """Find the last unit before a value; None if too few units precede it to rank ten of them."""
    before = [index for index, (_, end) in enumerate(text.units) if end <= fact.start]
    return before[-1] if len(before) > TOP else None


def contrast_attention(
    large: list[AttentionBefore], small: list[AttentionBefore]
) -> list[AttentionBefore]:
    """Subtract the small model's attention from the large one's, on the large model's units.

    Values that one of the models did not read are left out.
    """
    by_value = {(attention.document.doc_id, attention.fact.start): attention for attention in small}
    contrasts = []
    for attention in large:
        subtracted = by_value.get((attention.document.doc_id, attention.fact.start))
        if subtracted:
            scores = contrast_scores(attention.scores, subtracted.scores)
            contrasts.append(replace(attention, scores=scores))
    return contrasts


def count_top_tokens(scorer: str, attentions: list[AttentionBefore]) -> list[TopRow]:
    """Count the tokens of each kind among the ten highest, as a mean over all values."""
    counts: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for attention in attentions:
        highest = np.argsort(-attention.scores.scores, kind="stable")[:TOP]
        for kind, mask in _mark_kinds(attention).items():
            counts[kind].append(float(mask[highest].sum()))
    entities = [attention.document.doc_id for attention in attentions]
    return [
        TopRow(scorer, kind, estimate_mean(values, entities, bounds=COUNT))
        for kind, values in counts.items()
        if values
    ]


def _mark_kinds(attention: AttentionBefore) -> dict[str, np.ndarray]:
    """Mark the units of each kind with True; every unit is of exactly one kind.  # each (unit,)."""
    document, units = attention.document, attention.scores.units
    masks = mark_targets(document, units)
    is_sign = [not any(map(str.isalnum, document.text[start:end])) for start, end in units]
    values = [(fact.start, fact.end) for fact in document.facts]
    by_priority = {
        "name": masks["name"],
        "earlier values": mark_overlaps(units, values),
        "relation words": masks["relation"],
        "signs": np.array(is_sign),
        "other words": np.ones(len(units), dtype=bool),
    }
    taken = np.zeros(len(units), dtype=bool)
    kinds = {}
    for kind, mask in by_priority.items():
        kinds[kind] = mask & ~taken
        taken |= mask
    return {kind: kinds[kind] for kind in KINDS}
