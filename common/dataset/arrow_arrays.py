"""Arrow arrays built from numpy buffers.

`pa.array`, `pa.scalar` and `to_numpy` import pandas, which takes longer than generating 100,000
biographies; none of these functions does.
"""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute creates its functions when it is imported)

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def build_string_array(values: Iterable[str]) -> pa.StringArray:
    """Return strings as an Arrow array."""
    encoded = [value.encode() for value in values]
    ends = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum([len(value) for value in encoded], out=ends[1:])
    data = pa.py_buffer(b"".join(encoded))
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(ends), data)


def build_integer_array(numbers: np.ndarray, is_null: np.ndarray | None = None) -> pa.Int32Array:
    """Return integers below 2**31 as an Arrow array; nulls where `is_null` is True."""
    valid = None if is_null is None else pa.py_buffer(np.packbits(~is_null, bitorder="little"))
    data = pa.py_buffer(np.ascontiguousarray(numbers, np.int32))
    return pa.Array.from_buffers(pa.int32(), len(numbers), [valid, data])


def build_digit_array(numbers: np.ndarray, width: int) -> pa.StringArray:
    """Return integers as strings of `width` digits, with leading zeros."""
    return pc.utf8_lpad(build_integer_array(numbers).cast(pa.string()), width, "0")


def join_rows(strings: pa.StringArray, indices: np.ndarray) -> pa.StringArray:
    """Return the strings of each row of `indices`, (row, part), joined."""
    rows, width = indices.shape
    parts = strings.take(build_integer_array(np.ascontiguousarray(indices, np.int32).ravel()))
    _, offsets, data = parts.buffers()  # the data of all parts is the data of the joined strings
    ends = np.frombuffer(offsets, np.int32)[: rows * width + 1 : width]
    return pa.StringArray.from_buffers(rows, pa.py_buffer(np.ascontiguousarray(ends)), data)


def join_columns(*columns: tuple[pa.StringArray, np.ndarray]) -> pa.StringArray:
    """Return strings joined row by row, from columns of strings with the index of each row's."""
    offsets = np.cumsum([0, *(len(strings) for strings, _ in columns[:-1])])
    indices = [index + offset for (_, index), offset in zip(columns, offsets, strict=True)]
    strings = pa.concat_arrays([strings for strings, _ in columns])
    return join_rows(strings, np.stack(indices, axis=1))


def build_boolean_array(mask: np.ndarray) -> pa.BooleanArray:
    """Return booleans as an Arrow array."""
    data = pa.py_buffer(np.packbits(mask, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(mask), [None, data])


def build_list_array(mask: np.ndarray, values: pa.Array) -> pa.ListArray:
    """Return one list per row of `mask`, with the `values` that belong to its True cells.

    Args:
        mask: (row, column) booleans.
        values: one per True cell, row by row.
    """
    ends = np.zeros(len(mask) + 1, np.int32)
    np.cumsum(mask.sum(1), out=ends[1:])
    return pa.ListArray.from_arrays(build_integer_array(ends), values)


def build_struct_array(type_: pa.StructType, columns: dict[str, pa.Array]) -> pa.StructArray:
    """Return structs from one array per field of the type."""
    fields = [type_.field(index) for index in range(type_.num_fields)]
    return pa.StructArray.from_arrays([columns[field.name] for field in fields], fields=fields)
