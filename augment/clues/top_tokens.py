"""What stands in the ten tokens that get most attention just before a value, as the paper counts.

Source: arXiv 2409.17954, section on the analysis of attention.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from elusive.augment.clues.targets import TOP, target_masks
from elusive.augment.dropping import overlaps
from elusive.augment.scores.alignment import moved_scores
from elusive.augment.scores.column_sums import attention_received
from elusive.augment.scores.scoring import Reading
from elusive.augment.scores.units import EncodedText, encode
from elusive.common.dataset.records import Document, Fact, Span
from elusive.common.intervals import Estimate, mean_over_entities
from elusive.common.lm.loading import LoadedModel

KINDS = ("name", "earlier values", "relation words", "other words", "signs")


@dataclass(frozen=True)
class Before:
    """What the last token before a value attends to."""

    document: Document
    fact: Fact
    units: list[Span]
    """Units of the text before the value."""
    scores: np.ndarray
    """One number per unit.  # (unit,)"""


@dataclass(frozen=True)
class TopRow:
    """How many of the ten highest tokens are of one kind, under one scorer."""

    scorer: str
    kind: str
    tokens: Estimate


def attention_before_values(
    documents: list[Document], scorer: LoadedModel, reading: Reading
) -> Iterator[Before]:
    """Attention from the last token before each value, one document at a time.

    Args:
        documents: with gold spans.
        scorer: the model.
        reading: layers and heads; its queries are those before values, one at a time.
    """
    num_layers = int(scorer.model.config.num_hidden_layers)
    for document in documents:
        text = encode(document.text, scorer.tokenizer)
        found = [(fact, _last_before(fact, text)) for fact in document.facts]
        asked = [(fact, last) for fact, last in found if last is not None]
        if not asked:
            continue
        ids = torch.tensor([text.input_ids] * len(asked), device=scorer.model.device)
        queries = torch.zeros_like(ids)
        for row, (_, last) in enumerate(asked):
            queries[row, text.unit_tokens[last][-1]] = 1
        received = attention_received(scorer.model, ids, torch.ones_like(ids), queries)
        rows = reading.reduced(received, num_layers)[0].float().cpu().numpy()  # (fact, token)
        for (fact, last), row in zip(asked, rows, strict=True):
            scores = np.array([row[tokens].mean() for tokens in text.unit_tokens[:last]])
            yield Before(document, fact, text.units[:last], scores)


def _last_before(fact: Fact, text: EncodedText) -> int | None:
    """The last unit before a value, itself left out of the ranks; None if there are too few."""
    before = [place for place, (_, end) in enumerate(text.units) if end <= fact.start]
    return before[-1] if len(before) > TOP else None


def large_minus_small(large: list[Before], small: list[Before]) -> list[Before]:
    """The difference on the large model's units."""
    others = {(each.document.doc_id, each.fact.start): each for each in small}
    pairs = [(each, others.get((each.document.doc_id, each.fact.start))) for each in large]
    return [
        Before(
            one.document,
            one.fact,
            one.units,
            one.scores - moved_scores(other.scores, other.units, one.units),
        )
        for one, other in pairs
        if other
    ]


def top_rows(scorer: str, found: list[Before]) -> list[TopRow]:
    """Mean number of tokens of each kind among the ten highest, over all values."""
    counts = {kind: [] for kind in KINDS}
    for each in found:
        highest = np.argsort(-each.scores, kind="stable")[:TOP]
        for kind, mask in _kinds(each).items():
            counts[kind].append(float(mask[highest].sum()))
    entities = [each.document.doc_id for each in found]
    return [
        TopRow(scorer, kind, mean_over_entities(values, entities))
        for kind, values in counts.items()
        if values
    ]


def _kinds(before: Before) -> dict[str, np.ndarray]:
    """True for the units of each kind; every unit is of one.  # each (unit,)."""
    document, units = before.document, before.units
    masks = target_masks(document, units)
    signs = np.array([not any(map(str.isalnum, document.text[a:b])) for a, b in units])
    values = [(fact.start, fact.end) for fact in document.facts]
    ordered = {
        "name": masks["name"],
        "earlier values": overlaps(units, values),
        "relation words": masks["relation"],
        "signs": signs,
        "other words": np.ones(len(units), dtype=bool),
    }
    taken = np.zeros(len(units), dtype=bool)
    kinds = {}
    for kind, mask in ordered.items():
        kinds[kind] = mask & ~taken
        taken |= mask
    return {kind: kinds[kind] for kind in KINDS}
