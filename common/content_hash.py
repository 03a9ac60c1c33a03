"""Hashes of tables that depend on their values alone, not on files, chunks, types or compression.

A table's hash is the root of a small tree, `{table: {split: {"rows": {column: hash}}}}`, in which
every level is hashed by itself. Whoever knows the root and the siblings along a path can therefore
check a column without the other tables: see `collapse`.
"""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute creates its functions when it is imported)

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

Tree = str | dict[str, "Tree"]
"""A hash, or the trees that give one."""

ROWS, FIRST = "rows", "first"
NUM_FIRST = 250
"""Rows of each split that are also hashed by themselves, so that a sample can be checked."""
ONLY_SPLIT = "train"
"""Split of a table that has no column `split`."""


def hash_tree(tree: Tree) -> str:
    """Hash a tree: a leaf is its own hash, and any part may be replaced by its hash.

    >>> whole = {"a": {"x": "1", "y": "2"}, "b": "3"}
    >>> hash_tree(whole) == hash_tree({"a": hash_tree(whole["a"]), "b": "3"})
    True
    """
    if isinstance(tree, str):
        return tree
    return _hash_named({name: hash_tree(part) for name, part in tree.items()})


def _hash_named(hashes: dict[str, str]) -> str:
    digest = hashlib.sha256()
    for name in sorted(hashes):
        digest.update(f"{len(name)}:{name}={hashes[name]}\n".encode())
    return digest.hexdigest()


def collapse(tree: Tree, path: tuple[str, ...]) -> Tree:
    """Replace all parts of a tree that are not on a path by their hashes.

    >>> collapse({"a": {"x": "1"}, "b": "3"}, ("b",)) == {"a": hash_tree({"x": "1"}), "b": "3"}
    True
    """
    if isinstance(tree, str) or not path:
        return tree
    return {
        name: collapse(part, path[1:]) if name == path[0] else hash_tree(part)
        for name, part in tree.items()
    }


def list_data_files(folder: Path) -> list[Path]:
    """List the tables (Arrow, Parquet) below a folder, also in folders that are symbolic links."""
    seen: set[str] = set()
    paths: list[Path] = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a link to a folder above it
            folders.clear()
            continue
        seen.add(real)
        paths += [Path(parent, name) for name in names if name.endswith((".arrow", ".parquet"))]
    return sorted(paths)


def build_content_tree(folder: Path) -> dict[str, Tree]:
    """Hash the tables (Arrow, Parquet) below a folder, by the name of their folder or file.

    Rows of one split keep their order; splits may be mixed or in files of their own. So a dataset
    has the same hash as Arrow on a disk and as Parquet on the Hub.

    Raises:
        OSError, pa.ArrowException: a file cannot be read.
    """
    files: dict[str, list[Path]] = defaultdict(list)
    for path in list_data_files(folder):
        relative = path.relative_to(folder)
        name = relative.parent.as_posix() if len(relative.parts) > 1 else relative.stem
        files[name].append(path)
    return {
        name: hash_batches(batch for path in paths for batch in _read_batches(path))
        for name, paths in files.items()
    }


def _read_batches(path: Path) -> Iterator[pa.RecordBatch]:
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches()
    else:
        with pa.memory_map(str(path)) as source:
            yield from pa.ipc.open_stream(source)


def hash_batches(batches: Iterable[pa.RecordBatch]) -> dict[str, Tree]:
    """Hash the columns of each split of a table, of all rows and of the first ones."""
    splits: dict[str, _Split] = defaultdict(_Split)
    for batch in batches:
        for name, rows in split_rows(batch):
            splits[name].add(rows)
    return {
        name: {ROWS: split.rows.list_hashes(), FIRST: split.first.list_hashes()}
        for name, split in splits.items()
    }


def split_rows(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yield the rows of each value of the column `split`, by name."""
    if "split" not in batch.schema.names:
        yield ONLY_SPLIT, batch
        return
    column = batch.column("split")
    # These are Arrow's scalars: comparing with a string would import pandas.
    names = sorted(pc.unique(column), key=lambda name: name.as_py())
    for name in names:
        is_own = pc.equal(column, name) if len(names) > 1 else None
        yield name.as_py(), batch if is_own is None else batch.filter(is_own)


class _Columns:
    """Running hashes of the values of columns."""

    def __init__(self) -> None:
        self._streams: dict[str, dict[str, hashlib._Hash]] = defaultdict(
            lambda: defaultdict(hashlib.sha256)
        )

    def add(self, rows: pa.RecordBatch) -> None:
        """Append rows."""
        for name, column in zip(rows.schema.names, rows.columns, strict=True):
            for part, values in _list_values(column, ""):
                self._streams[name][part].update(values)

    def list_hashes(self) -> dict[str, Tree]:
        """Return the hash of each column."""
        return {
            name: _hash_named({part: stream.hexdigest() for part, stream in streams.items()})
            for name, streams in self._streams.items()
        }


class _Split:
    """Running hashes of the rows of one split."""

    def __init__(self) -> None:
        self.rows, self.first, self._count = _Columns(), _Columns(), 0

    def add(self, rows: pa.RecordBatch) -> None:
        self.rows.add(rows)
        if self._count < NUM_FIRST:
            self.first.add(rows.slice(0, NUM_FIRST - self._count))
        self._count += len(rows)


def _list_values(array: pa.Array, path: str) -> Iterator[tuple[str, memoryview | bytes]]:
    """Yield the bytes of an array's values, by what they are: an array cut in two gives the same.

    Integers count as 64-bit integers, other numbers as 64-bit floats, texts as UTF-8 and lengths.
    """
    kind = array.type
    if isinstance(array, pa.DictionaryArray):
        yield from _list_values(array.dictionary_decode(), path)
        return
    yield f"{path}?", _to_bytes(array.is_valid(), np.uint8)
    if pa.types.is_null(kind):
        return
    if pa.types.is_struct(kind):
        for field, part in zip(kind, array.flatten(), strict=True):
            yield from _list_values(part, f"{path}.{field.name}")
        return
    values = array.drop_null() if array.null_count else array
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield f"{path}#", _to_bytes(pc.list_value_length(values), np.int64)
        yield from _list_values(values.flatten(), f"{path}[]")
    elif pa.types.is_integer(kind):
        yield f"{path}:integer", _to_bytes(values, np.int64)
    elif pa.types.is_boolean(kind):
        yield f"{path}:boolean", _to_bytes(values, np.uint8)
    elif pa.types.is_floating(kind):
        yield f"{path}:float", _to_bytes(values, np.float64)
    else:
        texts = values.cast(pa.large_string())
        yield f"{path}#", _to_bytes(pc.binary_length(texts), np.int64)
        yield f"{path}:text", _get_text_bytes(texts)


def _to_bytes(array: pa.Array, kind: type[np.generic]) -> memoryview:
    """Return the numbers of an array without nulls as little-endian bytes."""
    wanted = np.dtype(kind).newbyteorder("<")
    return np.ascontiguousarray(read_numbers(array), wanted).data.cast("B")


def read_numbers(array: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return an array's numbers or booleans, without importing pandas as `to_numpy` would.

    Where the array has a null, the number is arbitrary.
    """
    whole = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    if pa.types.is_boolean(whole.type):
        return read_numbers(whole.cast(pa.uint8())).astype(bool)
    data, kind = whole.buffers()[1], np.dtype(whole.type.to_pandas_dtype())
    if data is None or not len(whole):
        return np.zeros(0, kind)
    return np.frombuffer(data, kind)[whole.offset : whole.offset + len(whole)]


def _get_text_bytes(texts: pa.LargeStringArray) -> memoryview | bytes:
    """Return the characters of an array without nulls, one text after the other."""
    _, ends, characters = texts.buffers()
    if not len(texts) or characters is None:
        return b""
    offsets = np.frombuffer(ends, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return memoryview(characters)[offsets[0] : offsets[-1]]
