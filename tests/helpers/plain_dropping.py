"""Dropping units from one text, as plainly as possible: the reference of the fast version."""

import numpy as np

from elusive.common.dataset.records import Span


def drop_units(text: str, units: list[Span], keep_mask: np.ndarray) -> tuple[str, list[Span]]:
    """Drop units from a text; return what is left, and the spans of the original that it keeps.

    The remaining words are joined with single spaces. White space within a unit stays. If nothing
    is dropped, the text is unchanged.
    """
    if keep_mask.all():
        return text, [(0, len(text))]
    is_kept = [True] * len(text)
    for (start, end), keep in zip(units, keep_mask, strict=True):
        for index in range(start, end):
            is_kept[index] = bool(keep) or text[index].isspace()
    left = "".join(character for character, keep in zip(text, is_kept, strict=True) if keep)
    return " ".join(left.split()), find_runs(is_kept)


def find_runs(is_kept: list[bool]) -> list[Span]:
    """Find the longest spans in which everything is kept."""
    edges = np.flatnonzero(np.diff([0, *map(int, is_kept), 0]))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def arrange_kept(
    text: str, pieces: list[Span], kept: list[Span], spaced: list[bool]
) -> tuple[str, list[Span]]:
    """Put what is kept of a text in the order of pieces; return it and its spans in that order."""
    by_piece = [
        [(max(start, first), min(end, last)) for start, end in kept if start < last and first < end]
        for first, last in pieces
    ]
    parts = [
        "".join(text[start:end] for start, end in spans) + " " * is_spaced
        for spans, is_spaced in zip(by_piece, spaced, strict=True)
    ]
    return " ".join("".join(parts).split()), [span for spans in by_piece for span in spans]
