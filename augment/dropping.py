"""Which units of a text may be dropped."""

import numpy as np

from elusive.augment.arrays.texts import SpanArrays, Texts, count_up, flatten_spans, join_texts
from elusive.common.dataset.records import Span

SENTENCE_PUNCTUATION = frozenset(
    ".!?,;:"
    "\u3002\uff01\uff1f\uff0c\u3001\uff1b\uff1a\uff61\uff64"  # of Chinese and Japanese
    "\u0964\u0965"  # of Hindi
    "\u061f\u060c\u061b\u06d4"  # of Arabic and Urdu
    "\u1362\u1363\u1364"  # of Amharic
    "\u0589"  # of Armenian
    "\u17d6\u17d4"  # of Khmer
)
"""Signs that end a sentence or a part of it, in scripts of all kinds."""


def mark_overlaps(units: list[Span], spans: list[Span]) -> np.ndarray:
    """Mark with True each unit that shares a character with one of `spans`.  # (unit,)."""
    mask = np.zeros(len(units), dtype=bool)
    for start, end in spans:
        mask |= np.array([unit[0] < end and start < unit[1] for unit in units], dtype=bool)
    return mask


def mark_droppable(text: str, units: list[Span], protected: list[Span]) -> np.ndarray:
    """Mark with True each unit that is neither punctuation nor protected.  # (unit,)."""
    return mark_all_droppable(
        join_texts([text]), flatten_spans([units]), flatten_spans([protected])
    )


def mark_all_droppable(texts: Texts, units: SpanArrays, protected: SpanArrays) -> np.ndarray:
    """Mark the units of many texts like `mark_droppable`.  # (unit,)."""
    is_punctuation = np.isin(texts.characters, [ord(sign) for sign in SENTENCE_PUNCTUATION])
    shift = texts.starts[units.documents]
    starts, ends = units.starts + shift, units.ends + shift
    num_signs = count_up(is_punctuation)
    droppable = num_signs[ends] - num_signs[starts] < ends - starts
    if len(protected.starts):
        shift = texts.starts[protected.documents]
        marks = np.zeros(len(texts.characters) + 1, int)
        np.add.at(marks, protected.starts + shift, 1)
        np.add.at(marks, protected.ends + shift, -1)
        num_protected = count_up(np.cumsum(marks[:-1]) > 0)
        droppable &= num_protected[ends] == num_protected[starts]
    return droppable


def find_units_before(units: list[Span], starts: list[int]) -> list[Span]:
    """Find the last unit before each of some characters, where there is one.

    >>> find_units_before([(0, 4), (5, 7), (8, 12)], [8])
    [(5, 7)]
    """
    before = [[unit for unit in units if unit[1] <= start] for start in starts]
    return [earlier[-1] for earlier in before if earlier]
