"""The clues of a document: names, values, and the words that state the relation."""

import re

import numpy as np

from elusive.augment.dropping import mark_overlaps
from elusive.common.dataset.records import Document, Span
from elusive.common.text.sentences import find_sentences

BUCKETS = ((1, 10), (11, 20), (21, 30), (31, 10_000))
"""First and last of the distances, in words, of each bucket."""
FUNCTION_WORD = re.compile(
    r"an?|the|of|in|on|at|to|for|from|by|with|and|or|as|is|are|was|were|be|been|ha[sd]|have|s?he|"
    r"they|it|his|hers?|their|him|them|its|that|which|who|where|when|this|these|those|there"
)
"""Words that do not count as relation words."""


def name_distance(words: int) -> str:
    """Name the bucket of a distance; without a blank in between, as in "asphalt/bitumen", it is 0.

    >>> name_distance(0), name_distance(11), name_distance(20_000)
    ('1-10', '11-20', '31 or more')
    """
    first, last = next((pair for pair in BUCKETS if words <= pair[1]), BUCKETS[-1])
    return f"{first}-{last}" if last < BUCKETS[-1][1] else f"{first} or more"


def list_entity_spans(document: Document) -> list[Span]:
    """List names and values, which must stay whole."""
    return [*document.heads, *((fact.start, fact.end) for fact in document.facts)]


def split_sentences(document: Document) -> list[Span]:
    """Split a document into sentences, none of which ends within a name or a value."""
    return find_sentences(document.text, list_entity_spans(document), document.language)


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
            targets.append(f"value at {name_distance(fact.distance)} words")
        for target in targets:
            spans.setdefault(target, []).append(value)
    masks = {target: mark_overlaps(units, values) for target, values in spans.items()}
    # 2) Relation words: what else such sentences say.
    unbroken = [*document.heads, *spans["value"]]
    stating = [
        (start, end)
        for start, end in find_sentences(document.text, unbroken, document.language)
        if any(start <= value_start < end for value_start, _ in spans["value"])
    ]
    words = [document.text[start:end].casefold() for start, end in units]
    content = np.array([word[:1].isalpha() and not FUNCTION_WORD.fullmatch(word) for word in words])
    others = mark_overlaps(units, document.others)
    relation = mark_overlaps(units, stating) & content & ~masks["name"] & ~masks["value"] & ~others
    return masks | {"relation": relation}
