"""Sequences whose items are read or built when they are asked for."""

from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TypeVar, overload

import pyarrow as pa

from elusive.common.dataset.records import from_table

Item = TypeVar("Item")


class LazyRows(Sequence[Item]):
    """A sequence that gets its items one by one."""

    @abstractmethod
    def get(self, index: int) -> Item:
        """Return the item of an index, from 0 to before the length."""

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self.get(number) for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.get(int(index) % len(self))


class TableRows(LazyRows[Item]):
    """The rows of a memory-mapped table as records.

    Args:
        batches: of the table.
        kind: of the records.
    """

    def __init__(self, batches: Iterable[pa.RecordBatch], kind: type[Item]) -> None:
        self._batches, self._kind = list(batches), kind
        self._starts = list(accumulate(map(len, self._batches), initial=0))

    def __len__(self) -> int:
        return self._starts[-1]

    def get(self, index: int) -> Item:
        """Read one row."""
        number = bisect_right(self._starts, index) - 1
        row = self._batches[number].slice(index - self._starts[number], 1)
        return from_table(row, self._kind)[0]
