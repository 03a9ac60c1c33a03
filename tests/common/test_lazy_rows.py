"""Rows that are read when they are asked for are those of the table."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elusive.common.dataset.lazy_rows import TableRows
from elusive.common.dataset.records import SCHEMAS, Shot
from elusive.common.lm.packing import Sequence
from elusive.evaluate.training.sequences import pack_epochs


def batch_of(numbers: list[int]) -> pa.RecordBatch:
    rows = [
        {"entity": f"e{n}", "field": "f", "question": "q", "answer": "a", "kind": "direct"}
        for n in numbers
    ]
    return pa.RecordBatch.from_pylist(rows, SCHEMAS[Shot])


@settings(deadline=None)  # the first example imports pandas
@given(st.lists(st.integers(0, 3), max_size=5), st.data())
def test_lazy_rows_are_indexed_like_a_list(sizes, data):
    ends = np.cumsum([0, *sizes]).tolist()
    batches = [batch_of(list(range(*pair))) for pair in pairwise(ends)]
    rows, expected = TableRows(batches, Shot), [f"e{n}" for n in range(ends[-1])]
    assert len(rows) == len(expected)
    assert [row.entity for row in rows] == expected
    numbers = st.none() | st.integers(-12, 12)
    chosen = slice(data.draw(numbers), data.draw(numbers), data.draw(st.sampled_from([1, 2, -1])))
    assert [row.entity for row in rows[chosen]] == expected[chosen]
    if expected:
        index = data.draw(st.integers(-len(expected), len(expected) - 1))
        assert rows[index].entity == expected[index]
    for index in (len(expected), -len(expected) - 1):
        with pytest.raises(IndexError):
            rows[index]


def test_sequences_are_built_only_for_the_rows_that_are_read():
    built: list[int] = []

    class Texts(list):
        def __getitem__(self, index):
            built.append(index)
            return Sequence([index + 2], [index + 2])

    texts, replay = Texts(range(100)), [Sequence([1], [1])] * 10
    rows = pack_epochs(lambda epoch: texts, replay, 3, 4, np.random.default_rng(0))
    assert (len(rows), built) == (78, [])  # 310 sequences
    last = rows[len(rows) - 1]
    assert last["input_ids"].numel() == 2
    assert len(built) <= 2
    tokens = [token for row in rows for token in row["input_ids"].flatten().tolist()]
    assert sorted(tokens) == sorted([*(3 * list(range(2, 102))), *([1] * 10)])
