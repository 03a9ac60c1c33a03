"""Drop units from whole batches of texts, and join what is left.

Rows of text are cut into *parts*: runs of characters of one word that belong to the same unit, or
to none. A part is kept or dropped as a whole, and white space is never dropped, so that all
decisions are made for parts and characters are only copied. A *break* is a part without characters
that stands where the spans of the original that a row keeps cannot go on: at the end of the row,
and between two pieces of a rearranged text.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from elusive.augment.arrays.texts import (
    SpanArrays,
    Texts,
    build_strings,
    count_up,
    mark_spaces,
    measure_bytes,
)

NOTHING, BREAK = -1, -2
"""Units of parts that belong to none, which are always kept, and of breaks, which never are."""


@dataclass(frozen=True)
class Layout:
    """Rows of text, each made of pieces of an original."""

    texts: Texts
    units: np.ndarray
    """Index of the unit of each character, or `NOTHING`.  # (character,)"""
    pieces: SpanArrays
    """Spans of the original in the order of the row; not empty."""
    gaps: np.ndarray
    """Number of spaces after each piece: 0 or 1, and 0 at the end of a row.  # (piece,)"""

    @cached_property
    def parts(self) -> "Parts":
        """The parts of all rows."""
        return cut_parts(self)


@dataclass(frozen=True)
class Parts:
    """Parts of all rows, in the order of the rows."""

    units: np.ndarray
    """Index of a part's unit, `NOTHING` or `BREAK`.  # (part,)"""
    starts: np.ndarray
    """First character of the original; of a break, the end of the piece before it.  # (part,)"""
    ends: np.ndarray
    """One past the last; of a break, the start of the next piece, or, after the last, of the
    first.  # (part,)"""
    num_bytes: np.ndarray
    """Bytes in UTF-8.  # (part,)"""
    rows: np.ndarray
    """First part of each row, and the number of parts.  # (row + 1,)"""
    words: np.ndarray
    """First part of each word.  # (word,)"""
    row_words: np.ndarray
    """First word of each row, and the number of words.  # (row + 1,)"""
    characters: np.ndarray
    """What is written if nothing is dropped: each word, after a space.  # (written,)"""
    origins: np.ndarray
    """The part of each of these, or, of spaces, the number of parts plus the word.  # (written,)"""


def lay_out_documents(texts: Texts, units: SpanArrays) -> Layout:
    """Lay out documents as they are, one row for each.

    Args:
        texts: of the documents.
        units: of the documents; not empty, in order, not overlapping.
    """
    shift = np.repeat(texts.starts[:-1], units.lengths)
    marks = np.zeros(len(texts.characters) + 1, np.int8)
    marks[units.starts + shift] = 1
    indices = np.cumsum(marks[:-1], dtype=np.int32) - 1
    marks[units.ends + shift] -= 1
    inside = np.cumsum(marks[:-1], dtype=np.int8) > 0
    lengths = np.diff(texts.starts)
    whole = SpanArrays(np.zeros(len(lengths), np.int64), lengths, np.arange(len(lengths) + 1))
    gaps = np.zeros(len(lengths), np.int64)
    return Layout(texts, np.where(inside, indices, NOTHING), whole, gaps)


def lay_out_pieces(documents: Layout, pieces: SpanArrays, is_spaced: np.ndarray) -> Layout:
    """Lay out texts that are made of pieces of documents, one row for each document.

    Args:
        documents: as they are.
        pieces: of each document, in the order of its row.
        is_spaced: whether a space follows each piece, unless it is the last of its row.  # (piece,)
    """
    texts = documents.texts
    gaps = is_spaced.astype(np.int64)
    gaps[pieces.offsets[1:][pieces.lengths > 0] - 1] = 0
    # 1) Copy the characters of each piece, and one more that becomes the space after it.
    lengths = pieces.ends - pieces.starts + gaps
    offsets = count_up(lengths)
    shift = pieces.starts + texts.starts[pieces.documents] - offsets[:-1]
    sources = np.arange(offsets[-1]) + np.repeat(shift, lengths)
    sources[offsets[1:][gaps > 0] - 1] = NOTHING
    # 2) Index -1 reads what the added space has.
    characters = np.append(texts.characters, np.array(ord(" "), texts.characters.dtype))
    units = np.append(documents.units, NOTHING)
    rows = Texts(characters[sources], offsets[pieces.offsets])
    return Layout(rows, units[sources], pieces, gaps)


def cut_parts(layout: Layout) -> Parts:
    """Cut rows into parts."""
    texts, pieces = layout.texts, layout.pieces
    characters = texts.characters
    # 1) A break is a character of no width after each piece, in place of the space if there is one.
    is_space = mark_spaces(characters)
    lengths = pieces.ends - pieces.starts
    offsets = count_up(lengths + layout.gaps)
    break_at = offsets[1:] - layout.gaps  # character before which it stands
    # 2) A part starts where the unit changes, after white space, and after a break.
    is_start = ~is_space
    is_start[1:] &= (layout.units[1:] != layout.units[:-1]) | is_space[:-1]
    firsts = offsets[offsets < len(characters)]
    is_start[firsts] |= ~is_space[firsts]
    starts = np.flatnonzero(is_start)
    is_end = ~is_space
    is_end[:-1] &= is_start[1:] | is_space[1:]
    ends = np.flatnonzero(is_end) + 1
    piece_of_part = np.searchsorted(break_at, starts, side="right")
    to_original = pieces.starts - (break_at - lengths)
    # 3) Put parts and breaks in order.
    breaks = np.arange(len(lengths)) + np.searchsorted(starts, break_at)
    num_parts = len(starts) + len(breaks)
    is_break = np.zeros(num_parts, bool)
    is_break[breaks] = True
    units = np.full(num_parts, BREAK)
    units[~is_break] = layout.units[starts]
    part_starts, part_ends = np.empty((2, num_parts), np.int64)
    part_starts[~is_break] = starts + to_original[piece_of_part]
    part_ends[~is_break] = ends + to_original[piece_of_part]
    part_starts[breaks], part_ends[breaks] = pieces.ends, np.roll(pieces.starts, -1)
    widths = np.zeros(num_parts, np.int64)
    bytes_before = count_up(measure_bytes(characters))
    widths[~is_break] = bytes_before[ends] - bytes_before[starts]
    rows = np.searchsorted(starts, texts.starts) + pieces.offsets
    # 4) A word starts after white space, and at the start of a row.
    is_word = np.ones(len(starts), bool)
    is_word[1:] = starts[1:] > ends[:-1]
    row_parts = np.searchsorted(starts, texts.starts)
    is_word[row_parts[row_parts < len(starts)]] = True
    indices = np.flatnonzero(~is_break)
    words = indices[is_word]
    # 5) Each word is written after a space.
    lengths = ends - starts + is_word
    origins = np.repeat(indices, lengths)
    written = np.empty(len(origins), characters.dtype)
    is_added = np.zeros(len(origins), bool)
    is_added[count_up(lengths)[:-1][is_word]] = True
    written[is_added] = ord(" ")
    written[~is_added] = characters[~is_space]
    origins[is_added] = num_parts + np.arange(len(words))
    row_words = np.searchsorted(words, rows)
    return Parts(units, part_starts, part_ends, widths, rows, words, row_words, written, origins)


def write_rows(layout: Layout) -> pa.StringArray:
    """Write every row in full."""
    texts = layout.texts
    bytes_before = count_up(measure_bytes(texts.characters))[texts.starts]
    return build_strings(texts.characters, np.diff(bytes_before))


def join_kept(parts: Parts, keep_mask: np.ndarray) -> tuple[pa.StringArray, pa.ListArray]:
    """Drop units from every row; return what is left, and the spans of the original that it keeps.

    The remaining words are joined with single spaces, also where nothing is dropped.

    Args:
        parts: of the rows.
        keep_mask: True for units that are kept.  # (unit,)
    """
    # Indices -1 and -2 read what parts without a unit and breaks have.
    is_kept = np.append(keep_mask, [False, True]).take(parts.units)
    # 1) Put a space before each word of which something is kept, except the first of a row.
    totals = count_up(is_kept)
    bounds = np.append(parts.words, len(is_kept))
    has_space = totals[bounds[1:]] > totals[bounds[:-1]]
    kept_words = np.flatnonzero(has_space)
    first = np.searchsorted(kept_words, parts.row_words[:-1])
    has_space[kept_words[first[first < len(kept_words)]]] = False
    is_written = np.append(is_kept, has_space).take(parts.origins)
    # Indices are faster than the mask itself, whose branches no processor can predict.
    characters = parts.characters.take(np.flatnonzero(is_written))
    num_bytes = count_up(is_kept * parts.num_bytes)[parts.rows]
    num_spaces = count_up(has_space)[parts.row_words]
    strings = build_strings(characters, np.diff(num_bytes) + np.diff(num_spaces))
    # 2) Whatever stands between two dropped parts is kept, and so is the white space beside them.
    dropped = np.flatnonzero(~is_kept)
    starts, ends = np.zeros(len(dropped), np.int64), parts.starts.take(dropped)
    starts[1:] = parts.ends.take(dropped[:-1])
    starts[:1] = parts.ends[-1:]
    is_span = starts < ends
    offsets = count_up(is_span)[np.searchsorted(dropped, parts.rows)]
    spans = np.flatnonzero(is_span)
    return strings, SpanArrays(starts.take(spans), ends.take(spans), offsets).to_arrow()
