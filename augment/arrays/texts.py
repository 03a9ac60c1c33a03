"""Many texts as one array of characters, and many rows of characters as Arrow strings."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa

from elusive.common.dataset.records import Span

IS_SPACE = np.array([chr(code).isspace() for code in range(0x3002)])
"""Whether `str.split` cuts at a character, by its code; no character above these is a space."""

UTF8_LIMITS = np.array([0x80, 0x800, 0x10000])
"""First characters that take two, three and four bytes in UTF-8."""


@dataclass(frozen=True)
class Texts:
    """Texts one after the other."""

    characters: np.ndarray
    """Codes of the characters; uint8 if all are ASCII, else uint32.  # (character,)"""
    starts: np.ndarray
    """Index of each text's first character, and the number of characters.  # (text + 1,)"""


def join_texts(texts: Sequence[str]) -> Texts:
    """Put texts one after the other.

    >>> join_texts(["Ada", "Bo"]).starts
    array([0, 3, 5])
    """
    joined = "".join(texts)
    if joined.isascii():
        characters = np.frombuffer(joined.encode(), np.uint8)
    else:
        characters = np.frombuffer(joined.encode("utf-32-le"), np.dtype("<u4"))
    return Texts(characters, count_up(list(map(len, texts))))


def count_up(lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return where each of some parts starts, and where the last one ends.  # (part + 1,).

    >>> count_up([2, 0, 3])
    array([0, 2, 2, 5])
    """
    starts = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


def count_within(offsets: np.ndarray) -> np.ndarray:
    """Number the items of each of some parts from 0.  # (item,).

    >>> count_within(np.array([0, 2, 2, 5]))
    array([0, 1, 0, 1, 2])
    """
    return np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))


def mark_spaces(characters: np.ndarray) -> np.ndarray:
    """Mark white space with True.  # (character,)."""
    if characters.dtype != np.uint8:
        characters = np.minimum(characters, len(IS_SPACE) - 1)
    return IS_SPACE.take(characters)


def measure_bytes(characters: np.ndarray) -> np.ndarray:
    """Return the number of bytes of each character in UTF-8.  # (character,)."""
    if characters.dtype == np.uint8:
        return np.ones(len(characters), np.int32)
    return 1 + np.searchsorted(UTF8_LIMITS, characters, side="right")


def build_strings(characters: np.ndarray, lengths: np.ndarray) -> pa.StringArray:
    """Build an Arrow array of strings.

    Args:
        characters: of all strings, one after the other.  # (character,)
        lengths: of each string, in bytes.  # (string,)
    """
    if characters.dtype == np.uint8:
        data = characters.tobytes()
    else:
        data = characters.tobytes().decode("utf-32-le").encode()
    offsets = count_up(lengths).astype(np.int32)
    return pa.StringArray.from_buffers(len(lengths), pa.py_buffer(offsets), pa.py_buffer(data))


@dataclass(frozen=True)
class SpanArrays:
    """Spans of many documents, document by document."""

    starts: np.ndarray
    """First character of each span in its document.  # (span,)"""
    ends: np.ndarray
    """One past its last character.  # (span,)"""
    offsets: np.ndarray
    """Index of each document's first span, and the number of spans.  # (document + 1,)"""

    @property
    def lengths(self) -> np.ndarray:
        """Number of spans of each document.  # (document,)."""
        return np.diff(self.offsets)

    @property
    def documents(self) -> np.ndarray:
        """Index of the document of each span.  # (span,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.lengths)

    def to_arrow(self) -> pa.ListArray:
        """Return a list of spans for each document."""
        columns = [pa.array(ends.astype(np.int32)) for ends in (self.starts, self.ends)]
        spans = pa.StructArray.from_arrays(columns, ["start", "end"])
        return pa.ListArray.from_arrays(pa.array(self.offsets.astype(np.int32)), spans)


def flatten_spans(groups: Iterable[Sequence[Span]]) -> SpanArrays:
    """Turn the spans of each of some documents into arrays."""
    groups = list(groups)
    offsets = count_up(list(map(len, groups)))
    numbers = chain.from_iterable(chain.from_iterable(groups))
    pairs = np.fromiter(numbers, np.int64, 2 * int(offsets[-1])).reshape(-1, 2)
    return SpanArrays(pairs[:, 0], pairs[:, 1], offsets)
