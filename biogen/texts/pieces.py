"""Texts joined from pieces, many at a time, with the position of every piece known.

A piece is a string that has a number: its index in one Arrow array. A text is a row of piece
numbers. Taking the pieces of all rows from the Arrow array, one after the other, gives a data
buffer that already holds the joined texts; cumulative sums of the lengths give the positions.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from elusive.common.dataset.arrow_arrays import build_integer_array, build_string_array, join_rows

_CHARACTERS, _SPACES = 32, 12
"""Lowest bits of two of the three counts that a measure packs."""


@dataclass(frozen=True)
class Measures:
    """Characters, spaces and sentence ends of strings, or of the text before some position.

    One int64 packs the three counts, so that one lookup and one addition serve all of them:
    characters from bit 32 up, spaces from bit 12, sentence ends below. Sums of measures stay
    exact, because no text has 2**20 spaces or 2**12 sentence ends.
    """

    packed: np.ndarray  # int64, any shape

    @classmethod
    def pack(cls, characters: Any, spaces: Any, sentence_ends: Any) -> "Measures":
        """Return measures with these counts, arrays or lists of one shape."""
        counts = [np.asarray(count, np.int64) for count in (characters, spaces, sentence_ends)]
        return cls((counts[0] << _CHARACTERS) + (counts[1] << _SPACES) + counts[2])

    @property
    def characters(self) -> np.ndarray:
        """Characters, int32."""
        return (self.packed >> _CHARACTERS).astype(np.int32)

    @property
    def spaces(self) -> np.ndarray:
        """Spaces, int32."""
        return ((self.packed >> _SPACES) & 0xFFFFF).astype(np.int32)

    @property
    def sentence_ends(self) -> np.ndarray:
        """Sentence ends, int32."""
        return (self.packed & 0xFFF).astype(np.int32)

    def __getitem__(self, index: Any) -> "Measures":
        return Measures(self.packed[index])

    def sum(self, axis: int) -> "Measures":
        """Return the measures of the texts that are joined along an axis."""
        return Measures(self.packed.sum(axis))

    def compute_starts(self) -> "Measures":
        """Return what stands before each piece of each text, and before its end: (piece + 1, row).

        The measures of the pieces are (piece, row): with the rows last, this is many times faster.

        >>> Measures.pack([[3], [1], [4]], 0, 0).compute_starts().characters.ravel()
        array([0, 3, 4, 8], dtype=int32)
        """
        before = np.zeros((len(self.packed) + 1, self.packed.shape[1]), np.int64)
        for piece, measures in enumerate(self.packed):  # np.cumsum over the first axis is slower
            np.add(before[piece], measures, out=before[piece + 1])
        return Measures(before)


@dataclass(frozen=True)
class Strings:
    """Strings with their measures; a piece number is an index into both."""

    array: pa.StringArray
    measures: Measures  # (string,)

    @classmethod
    def from_values(cls, values: Iterable[str], sentence_ends: Any = 0) -> "Strings":
        """Return strings of an iterable, given how many sentences each one ends."""
        values = list(values)
        spaces = [value.count(" ") for value in values]
        measures = Measures.pack([len(value) for value in values], spaces, sentence_ends)
        return cls(build_string_array(values), measures)

    def __len__(self) -> int:
        return len(self.array)

    def join(self, pieces: np.ndarray) -> "Strings":
        """Return the texts of rows of pieces, (row, piece)."""
        return Strings(self.join_text(pieces), self.measures[pieces].sum(1))

    def join_text(self, pieces: np.ndarray) -> pa.StringArray:
        """Return the texts of rows of pieces, (row, piece), without their measures."""
        return join_rows(self.array, pieces)

    def take(self, pieces: np.ndarray) -> pa.StringArray:
        """Return single strings, (piece,)."""
        return self.array.take(build_integer_array(pieces))

    def select(self, pieces: np.ndarray) -> "Strings":
        """Return single strings with their measures, (piece,)."""
        return Strings(self.take(pieces), self.measures[pieces])


EMPTY = 0
"""Number of the empty piece."""


class Pieces:
    """Strings that texts consist of, collected before they become Arrow; the first is empty."""

    def __init__(self) -> None:
        self._parts: list[Strings] = []
        self._strings: list[str] = [""]
        self._sentence_ends: list[int] = [0]

    def add(self, text: str, sentence_ends: int = 0) -> int:
        """Add a string that ends so many sentences, and return its number."""
        return int(self.add_all([text], sentence_ends)[0])

    def add_all(self, texts: Iterable[str], sentence_ends: int = 0) -> np.ndarray:
        """Add strings that end so many sentences each, and return their numbers, (string,)."""
        first = self._count()
        self._strings.extend(texts)
        count = self._count() - first
        self._sentence_ends.extend([sentence_ends] * count)
        return first + np.arange(count)

    def add_strings(self, strings: Strings) -> np.ndarray:
        """Add strings that are Arrow already, and return their numbers, (string,)."""
        first = self._count()
        self._parts += [Strings.from_values(self._strings, self._sentence_ends), strings]
        self._strings, self._sentence_ends = [], []
        return first + np.arange(len(strings))

    def compile(self) -> Strings:
        """Return all strings, by their numbers."""
        rest = Strings.from_values(self._strings, self._sentence_ends)
        return concatenate([*self._parts, rest])[0]

    def _count(self) -> int:
        return sum(map(len, self._parts)) + len(self._strings)


def concatenate(parts: list[Strings]) -> tuple[Strings, list[np.ndarray]]:
    """Return the strings of several parts as one, and the new piece numbers of each part."""
    array = pa.concat_arrays([part.array for part in parts])
    measures = Measures(np.concatenate([part.measures.packed for part in parts]))
    numbers = np.split(np.arange(len(array)), np.cumsum([len(part) for part in parts[:-1]]))
    return Strings(array, measures), numbers
