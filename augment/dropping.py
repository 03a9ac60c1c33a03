"""Which units may be dropped, and what is left of a text when some are."""

import numpy as np

from elusive.common.dataset.records import Span

SENTENCE_PUNCTUATION = frozenset(".!?,;:")


def mark_overlaps(units: list[Span], spans: list[Span]) -> np.ndarray:
    """Mark with True each unit that shares a character with one of `spans`.  # (unit,)."""
    mask = np.zeros(len(units), dtype=bool)
    for start, end in spans:
        mask |= np.array([unit[0] < end and start < unit[1] for unit in units], dtype=bool)
    return mask


def mark_droppable(text: str, units: list[Span], protected: list[Span]) -> np.ndarray:
    """Mark with True each unit that is neither punctuation nor protected.  # (unit,)."""
    is_punctuation = [set(text[start:end]) <= SENTENCE_PUNCTUATION for start, end in units]
    return ~np.array(is_punctuation, dtype=bool) & ~mark_overlaps(units, protected)


def find_units_before(units: list[Span], starts: list[int]) -> list[Span]:
    """Find the last unit before each of some characters, where there is one.

    >>> find_units_before([(0, 4), (5, 7), (8, 12)], [8])
    [(5, 7)]
    """
    before = [[unit for unit in units if unit[1] <= start] for start in starts]
    return [earlier[-1] for earlier in before if earlier]


def drop_units(text: str, units: list[Span], keep_mask: np.ndarray) -> tuple[str, list[Span]]:
    """Drop units from a text; return what is left, and the spans of the original that it keeps.

    The remaining words are joined with single spaces. If nothing is dropped, the text is unchanged.

    >>> units = [(0, 3), (4, 7), (8, 12)]
    >>> drop_units("She was born in Rome.", units, np.array([True, False, False]))
    ('She in Rome.', [(0, 4), (7, 8), (12, 21)])
    """
    kept: list[Span] = []
    position = 0
    for index in np.flatnonzero(~keep_mask).tolist():
        start, end = units[index]
        if position < start:
            kept.append((position, start))
        position = end
    if position == 0:
        return text, [(0, len(text))]
    if position < len(text):
        kept.append((position, len(text)))
    joined = "".join(text[start:end] for start, end in kept)
    return " ".join(joined.split()), kept


def arrange_kept(text: str, pieces: list[Span], kept: list[Span]) -> tuple[str, list[Span]]:
    """Put what is kept of a text in the order of pieces; return it and its spans in that order.

    The remaining words are joined with single spaces.

    >>> arrange_kept("Ann sang. Bo ran far.", [(10, 21), (0, 9)], [(0, 9), (10, 16), (20, 21)])
    ('Bo ran. Ann sang.', [(10, 16), (20, 21), (0, 9)])
    """
    by_piece = [
        [(max(start, first), min(end, last)) for start, end in kept if start < last and first < end]
        for first, last in pieces
    ]
    parts = ["".join(text[start:end] for start, end in spans) for spans in by_piece]
    return " ".join(" ".join(parts).split()), [span for spans in by_piece for span in spans]
