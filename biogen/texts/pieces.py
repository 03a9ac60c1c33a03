"""Texts put together from pieces, many at a time, with the place of every piece known.

A text is a row of piece numbers. Taking all pieces of all rows, one after the other, from one Arrow
array gives a data buffer that already is the texts joined; sums of lengths give the places.
"""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions when it is imported)

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_CHARACTERS, _SPACES = 32, 12
"""A measure packs characters, spaces and sentence ends into one number, so that one lookup and one
sum serve all three: characters from bit 32 up, spaces from bit 12, sentence ends below."""


def characters(measures: np.ndarray) -> np.ndarray:
    """Characters of measures, or of sums of measures."""
    return (measures >> _CHARACTERS).astype(np.int32)


def spaces(measures: np.ndarray) -> np.ndarray:
    """Spaces of measures, or of sums of measures."""
    return ((measures >> _SPACES) & 0xFFFFF).astype(np.int32)


def sentence_ends(measures: np.ndarray) -> np.ndarray:
    """Sentence ends of measures, or of sums of measures."""
    return (measures & 0xFFF).astype(np.int32)


@dataclass(frozen=True)
class Strings:
    """Strings with their measures."""

    array: pa.StringArray
    measures: np.ndarray  # (string,) int64

    @classmethod
    def of(cls, values: Iterable[str], ends: Iterable[int] | int = 0) -> "Strings":
        """Strings of any iterable, with the sentence ends that each one holds."""
        array = strings_array(values)
        lengths = numpy_of(pc.utf8_length(array)).astype(np.int64) << _CHARACTERS
        spaces = numpy_of(pc.count_substring(array, " ")).astype(np.int64) << _SPACES
        return cls(array, lengths + spaces + np.asarray(ends, np.int64))

    def __len__(self) -> int:
        return len(self.array)

    def join(self, pieces: np.ndarray) -> "Strings":
        """The texts of rows of pieces.

        Args:
            pieces: (row, piece) numbers of strings.
        """
        return Strings(self.join_text(pieces), self.measures[pieces].sum(1))

    def join_text(self, pieces: np.ndarray) -> pa.StringArray:
        """The texts of rows of pieces, without their measures."""
        rows, width = pieces.shape
        _, offsets, data = self.take(np.ascontiguousarray(pieces, np.int32).ravel()).buffers()
        ends = np.frombuffer(offsets, np.int32)[: rows * width + 1 : width]
        return pa.StringArray.from_buffers(rows, pa.py_buffer(np.ascontiguousarray(ends)), data)

    def take(self, numbers: np.ndarray) -> pa.StringArray:
        """Single strings by number."""
        return self.array.take(integers(numbers))


EMPTY = 0
"""Number of the empty piece."""


class Pieces:
    """Strings that texts are made of, collected before they become Arrow; first the empty one."""

    def __init__(self) -> None:
        self._parts: list[Strings] = []
        self._strings: list[str] = [""]
        self._ends: list[int] = [0]

    def add(self, strings: Iterable[str], sentences: int = 0) -> int:
        """Add strings that each end so many sentences; the number of the first."""
        base = self._size()
        self._strings.extend(strings)
        self._ends.extend([sentences] * (self._size() - base))
        return base

    def add_compiled(self, strings: Strings) -> int:
        """Add strings that are Arrow already; the number of the first."""
        base = self._size()
        self._parts += [Strings.of(self._strings, self._ends), strings]
        self._strings, self._ends = [], []
        return base

    def compiled(self) -> Strings:
        """All of them."""
        return concatenated([*self._parts, Strings.of(self._strings, self._ends)])

    def _size(self) -> int:
        """How many there are so far."""
        return sum(map(len, self._parts)) + len(self._strings)


def concatenated(parts: list[Strings]) -> Strings:
    """All strings of all parts, in order."""
    return Strings(
        pa.concat_arrays([part.array for part in parts]),
        np.concatenate([part.measures for part in parts]),
    )


# What follows builds Arrow arrays from buffers: pa.array would import pandas, which takes longer
# than making 100,000 biographies.


def strings_array(values: Iterable[str]) -> pa.StringArray:
    """Strings as an Arrow array."""
    encoded = [value.encode() for value in values]
    ends = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum([len(value) for value in encoded], out=ends[1:])
    data = pa.py_buffer(b"".join(encoded))
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(ends), data)


def integers(numbers: np.ndarray, is_null: np.ndarray | None = None) -> pa.Int32Array:
    """Integers below 2**31 as an Arrow array."""
    valid = None if is_null is None else pa.py_buffer(np.packbits(~is_null, bitorder="little"))
    data = pa.py_buffer(np.ascontiguousarray(numbers, np.int32))
    return pa.Array.from_buffers(pa.int32(), len(numbers), [valid, data])


def booleans(mask: np.ndarray) -> pa.BooleanArray:
    """Booleans as an Arrow array."""
    data = pa.py_buffer(np.packbits(mask, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(mask), [None, data])


def numpy_of(counts: pa.Int32Array) -> np.ndarray:
    """An Arrow array of int32 without nulls as numpy."""
    return np.frombuffer(counts.buffers()[1], np.int32)[counts.offset : counts.offset + len(counts)]


def starts(measures: np.ndarray) -> np.ndarray:
    """Where each piece begins: sums of the measures before it, (piece + 1, row).

    Args:
        measures: (piece, row); the rows are last because that is many times faster.

    >>> starts(np.array([[3], [1], [4]])).ravel()
    array([0, 3, 4, 8])
    """
    before = np.zeros((len(measures) + 1, measures.shape[1]), np.int64)
    for piece, lengths in enumerate(measures):  # np.cumsum over the first axis is slower
        np.add(before[piece], lengths, out=before[piece + 1])
    return before


def digits(numbers: np.ndarray, width: int) -> pa.StringArray:
    """Numbers in decimal, filled up with zeros to `width` characters.

    >>> digits(np.array([7, 123]), 4).to_pylist()
    ['0007', '0123']
    """
    powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    characters = (numbers[:, None] // powers % 10 + ord("0")).astype(np.uint8)
    ends = np.arange(len(numbers) + 1, dtype=np.int32) * width
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(ends), pa.py_buffer(characters))


def list_array(mask: np.ndarray, values: pa.Array) -> pa.ListArray:
    """A list per row of `mask`, of the `values` that belong to its True places.

    Args:
        mask: (row, place) booleans.
        values: one per True place, row by row.
    """
    ends = np.zeros(len(mask) + 1, np.int32)
    np.cumsum(mask.sum(1), out=ends[1:])
    return pa.ListArray.from_arrays(integers(ends), values)


def struct_array(schema: pa.StructType, columns: dict[str, pa.Array]) -> pa.StructArray:
    """Structs from one array per field, in the type's order."""
    names = [schema.field(index).name for index in range(schema.num_fields)]
    fields = [schema.field(index) for index in range(schema.num_fields)]
    return pa.StructArray.from_arrays([columns[name] for name in names], fields=fields)


def repeated(value: str, count: int) -> pa.StringArray:
    """The same string, `count` times."""
    return pa.repeat(pa.scalar(value, pa.string()), count)
