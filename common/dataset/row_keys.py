"""Keys of a table's rows, kept on disk, to find rows that share a key or lack it elsewhere."""

from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

BUCKETS = 256
"""Files over which keys are spread by hash; one file at a time is in memory."""
BUFFERED = 1 << 16
"""Keys that are in memory before they are written."""


def hash_key(key: object) -> int:
    """Hash a key to 64 bits; another process hashes it otherwise."""
    return hash(key)


class RowKeys:
    """Hashes of keys with the numbers of their rows, of which few are in memory at a time.

    Different keys can have the same hash, though among a billion keys that happens to one pair with
    a probability of 3%. So rows that share a hash are candidates, whose keys are to be compared,
    whereas a row whose hash is absent elsewhere does lack its key there.

    Args:
        folder: for the files; it must not exist.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._buffer = array("q")
        """Hash and row, in turn."""

    def add(self, key: object, row: int) -> None:
        """Add the key of a row; rows come in ascending order."""
        self._buffer.append(hash_key(key))
        self._buffer.append(row)
        if len(self._buffer) >= 2 * BUFFERED:
            self._write()

    def _write(self) -> None:
        pairs = _to_pairs(self._buffer)
        numbers = pairs[:, 0] % BUCKETS
        order = np.argsort(numbers, kind="stable")
        ends = np.cumsum(np.bincount(numbers, minlength=BUCKETS))[:-1]
        for number, part in enumerate(np.split(pairs[order], ends)):
            if len(part):
                with self._find_file(number).open("ab") as file:
                    file.write(part.tobytes())
        self._buffer = array("q")

    def _find_file(self, number: int) -> Path:
        return self._folder / f"{number:03d}"

    def _iterate_buckets(self) -> Iterator[np.ndarray]:
        """Yield hashes and rows of each bucket; rows ascend.  # (key, 2)."""
        buffered = _to_pairs(self._buffer)
        numbers = buffered[:, 0] % BUCKETS
        for number in range(BUCKETS):
            path, last = self._find_file(number), buffered[numbers == number]
            if path.exists():
                last = np.concatenate([np.fromfile(path, np.int64).reshape(-1, 2), last])
            yield last

    def find_absent(self, other: "RowKeys") -> np.ndarray:
        """Find the rows whose key no row of another table has, in ascending order.  # (row,)."""
        rows = [
            own[~np.isin(own[:, 0], others[:, 0]), 1]
            for own, others in zip(self._iterate_buckets(), other._iterate_buckets(), strict=True)
        ]
        return np.sort(np.concatenate(rows))

    def find_candidates(self, other: "RowKeys") -> list[tuple[int, np.ndarray]]:
        """Find the rows that share a hash with rows of another table, each with these rows."""
        found = []
        for own, others in zip(self._iterate_buckets(), other._iterate_buckets(), strict=True):
            others = others[np.argsort(others[:, 0], kind="stable")]
            first, last = (
                np.searchsorted(others[:, 0], own[:, 0], side) for side in ("left", "right")
            )
            for index in np.flatnonzero(first < last):
                found.append((int(own[index, 1]), others[first[index] : last[index], 1]))
        return sorted(found, key=lambda pair: pair[0])

    def find_repetitions(self) -> list[tuple[int, np.ndarray]]:
        """Find the rows that share a hash with earlier rows, each with these rows."""
        found = []
        for pairs in self._iterate_buckets():
            pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
            first = np.searchsorted(pairs[:, 0], pairs[:, 0])
            for index in np.flatnonzero(first < np.arange(len(pairs))):
                found.append((int(pairs[index, 1]), pairs[first[index] : index, 1]))
        return sorted(found, key=lambda pair: pair[0])


def _to_pairs(numbers: array) -> np.ndarray:
    return np.array(numbers, np.int64).reshape(-1, 2)
