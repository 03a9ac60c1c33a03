"""How well token scores find clues: names, values, and the words that state the relation."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from elusive.augment.dropping import mark_droppable, mark_overlaps
from elusive.common.dataset.records import Document, Span
from elusive.common.text_spans import find_sentences

TOP = 10
"""Number of highest scores among which a clue counts as found, as in the paper's figures."""
BUCKETS = ((1, 10), (11, 20), (21, 30), (31, 10_000))
"""First and last of the distances, in words from the name to the value, of each bucket."""
FUNCTION_WORD = re.compile(
    r"an?|the|of|in|on|at|to|for|from|by|with|and|or|as|is|are|was|were|be|been|ha[sd]|have|s?he|"
    r"they|it|his|hers?|their|him|them|its|that|which|who|where|when|this|these|those|there"
)
"""Words that do not count as relation words."""


@dataclass(frozen=True)
class ClueMeasure:
    """How well the scores of one document find one kind of clue."""

    target: str
    """`name`, `value`, `relation`, `value: FIELD`, or `value at FIRST-LAST words`."""
    auroc: float
    """Probability that a token of the clue scores above any other droppable token; .5 is chance."""
    mean_rank: float
    """Mean rank of the clue's tokens among the droppable ones, from 0 for the highest score."""
    recall: float
    """Share of the clue's tokens among the ten highest; if it has more than ten, share of ten."""


def compute_auroc(scores: np.ndarray, positive_mask: np.ndarray) -> float:
    """Compute the probability that a positive scores above a negative; ties count half.

    Args:
        scores: one number per token.  # (token,)
        positive_mask: True for positives, of which there are some but not all.  # (token,)

    >>> compute_auroc(np.array([3.0, 1.0, 2.0, 1.0]), np.array([True, False, False, True]))
    0.625
    """
    ranks, count = rankdata(scores), positive_mask.sum()
    wins = ranks[positive_mask].sum() - count * (count + 1) / 2
    return float(wins / (count * (~positive_mask).sum()))


def compute_rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Compute Spearman's correlation of two rows of numbers; 0 if one of them is constant.

    >>> round(compute_rank_correlation(np.array([1, 2, 9]), np.array([4, 5, 6])), 6)
    1.0
    """
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def measure_clues(
    document: Document, units: list[Span], scores: np.ndarray
) -> Iterator[ClueMeasure]:
    """Measure how well scores find each kind of clue that a document has.

    Args:
        document: with its gold spans.
        units: its droppable units.
        scores: one number per unit.  # (unit,)
    """
    droppable = mark_droppable(document.text, units, [])
    candidates = scores[droppable]
    ranks = rankdata(-candidates, method="average") - 1
    for target, mask in mark_targets(document, units).items():
        clue = mask[droppable]
        if clue.any() and not clue.all():
            recall = (ranks[clue] < TOP).sum() / min(clue.sum(), TOP)
            auroc = compute_auroc(candidates, clue)
            yield ClueMeasure(target, auroc, float(ranks[clue].mean()), float(recall))


def mark_targets(document: Document, units: list[Span]) -> dict[str, np.ndarray]:
    """Mark the units of each kind of clue with True.

    Relation words are the words of sentences that state facts, without names, values, mentions of
    other people, and function words.
    """
    # 1) Spans of names and values; of values also by field and by distance from the name.
    spans: dict[str, list[Span]] = {"name": document.heads, "value": []}
    for fact in document.facts:
        value = (fact.start, fact.end)
        targets = ["value", f"value: {fact.field}"]
        if fact.distance is not None:
            first, last = next(pair for pair in BUCKETS if pair[0] <= fact.distance <= pair[1])
            distances = f"{first}-{last}" if last < BUCKETS[-1][1] else f"{first} or more"
            targets.append(f"value at {distances} words")
        for target in targets:
            spans.setdefault(target, []).append(value)
    masks = {target: mark_overlaps(units, values) for target, values in spans.items()}
    # 2) Relation words: what else such sentences say.
    stating = [
        (start, end)
        for start, end in find_sentences(document.text, [*document.heads, *spans["value"]])
        if any(start <= value_start < end for value_start, _ in spans["value"])
    ]
    words = [document.text[start:end].casefold() for start, end in units]
    content = np.array([word[:1].isalpha() and not FUNCTION_WORD.fullmatch(word) for word in words])
    others = mark_overlaps(units, document.others)
    relation = mark_overlaps(units, stating) & content & ~masks["name"] & ~masks["value"] & ~others
    return masks | {"relation": relation}
