"""How well token scores find clues: names, values, and the words that state the relation."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from elusive.augment.dropping import mark_droppable, mark_overlaps
from elusive.augment.scores.token_scores import TokenScores
from elusive.common.dataset.records import Document, Span
from elusive.common.text_spans import find_sentences


def compute_auroc(scores: np.ndarray, positive_mask: np.ndarray) -> float:
    """Probability that a positive scores above a negative, ties counted half.

    Args:
        scores: one number per token.  # (token,)
        positive_mask: True for positives, of which there are some but not all.  # (token,)

    >>> compute_auroc(np.array([3.0, 1.0, 2.0, 1.0]), np.array([True, False, False, True]))
    0.625
    """
    ranks, count = rankdata(scores), positive_mask.sum()
    wins = ranks[positive_mask].sum() - count * (count + 1) / 2
    return float(wins / (count * (~positive_mask).sum()))


def compute_rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's correlation of two rows of numbers; 0 where one is constant.

    >>> round(compute_rank_correlation(np.array([1, 2, 9]), np.array([4, 5, 6])), 6)
    1.0
    """
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def compute_head_aurocs(documents: list[Document], scored: list[TokenScores]) -> np.ndarray:
    """For each document, how well its scores tell head mentions from other droppable tokens.

    Returns:
        AUROC in [0, 1]; .5 is chance.  # (document,)
    """
    values = []
    for document, scores in zip(documents, scored, strict=True):
        droppable = mark_droppable(document.text, scores.units, [])
        heads = mark_overlaps(scores.units, document.heads)
        values.append(compute_auroc(scores.scores[droppable], heads[droppable]))
    return np.array(values)


TOP = 10
"""Ranks that count as found, as in the paper's figures."""
BUCKETS = ((1, 10), (11, 20), (21, 30), (31, 10_000))
"""Distances in words from the name, first and last of each bucket."""
FUNCTION_WORD = re.compile(
    r"an?|the|of|in|on|at|to|for|from|by|with|and|or|as|is|are|was|were|be|been|ha[sd]|have|s?he|"
    r"they|it|his|hers?|their|him|them|its|that|which|who|where|when|this|these|those|there"
)
"""Words that state no relation."""


@dataclass(frozen=True)
class ClueMeasure:
    """How well one document's scores find one kind of clue."""

    target: str
    """`name`, `value`, `relation`, `value: FIELD`, or `value at FIRST-LAST words`."""
    auroc: float
    """Probability that a token of the clue scores above any other droppable one; .5 is chance."""
    mean_rank: float
    """Of the clue's tokens among the droppable ones, from 0 for the highest score."""
    recall: float
    """Share of the clue's tokens among the ten highest; of ten, where the clue has more."""


def measure_clues(
    document: Document, units: list[Span], scores: np.ndarray
) -> Iterator[ClueMeasure]:
    """How well scores find each kind of clue that a document has.

    Args:
        document: with its gold spans.
        units: its droppable units.
        scores: one number per unit.  # (unit,)
    """
    droppable = mark_droppable(document.text, units, [])
    kept = scores[droppable]
    ranks = rankdata(-kept, method="average") - 1
    for target, mask in mark_targets(document, units).items():
        clue = mask[droppable]
        if clue.any() and not clue.all():
            recall = (ranks[clue] < TOP).sum() / min(clue.sum(), TOP)
            yield ClueMeasure(
                target, compute_auroc(kept, clue), float(ranks[clue].mean()), float(recall)
            )


def mark_targets(document: Document, units: list[Span]) -> dict[str, np.ndarray]:
    """True for the units of each kind of clue.

    Relation words are those of the sentences that state facts, but names, values and function
    words.
    """
    spans: dict[str, list[Span]] = {"name": document.heads, "value": []}
    for fact in document.facts:
        value = (fact.start, fact.end)
        names = ["value", f"value: {fact.field}"]
        if fact.distance is not None:
            first, last = next(pair for pair in BUCKETS if pair[0] <= fact.distance <= pair[1])
            until = f"{first}-{last}" if last < BUCKETS[-1][1] else f"{first} or more"
            names.append(f"value at {until} words")
        for name in names:
            spans.setdefault(name, []).append(value)
    masks = {name: mark_overlaps(units, name_spans) for name, name_spans in spans.items()}
    sentences = find_sentences(document.text, [*document.heads, *spans["value"]])
    stating = [
        (start, end)
        for start, end in sentences
        if any(start <= first < end for first, _ in spans["value"])
    ]
    words = [document.text[start:end].casefold() for start, end in units]
    content = np.array([word[:1].isalpha() and not FUNCTION_WORD.fullmatch(word) for word in words])
    others = mark_overlaps(units, document.others)
    relation = mark_overlaps(units, stating) & content & ~masks["name"] & ~masks["value"] & ~others
    return masks | {"relation": relation}
