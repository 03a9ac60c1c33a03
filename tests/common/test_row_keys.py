"""Keys on disk are joined as sets would be."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elusive.common.dataset import row_keys
from elusive.common.dataset.row_keys import RowKeys

KEYS = st.lists(st.integers(0, 40), max_size=60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("keys")


def fill(folder, keys) -> RowKeys:
    filled = RowKeys(folder / str(len(list(folder.iterdir()))))
    for row, key in enumerate(keys):
        filled.add(key, row)
    return filled


@settings(deadline=None)
@given(own=KEYS, other=KEYS, buffered=st.integers(1, 50), buckets=st.integers(1, 5))
def test_rows_are_found_as_with_sets(own, other, buffered, buckets, folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_keys, "BUFFERED", buffered)
        patch.setattr(row_keys, "BUCKETS", buckets)
        first, second = fill(folder, own), fill(folder, other)
        absent = first.find_absent(second).tolist()
        shared = [(row, rows.tolist()) for row, rows in first.find_candidates(second)]
        repeated = [(row, rows.tolist()) for row, rows in first.find_repetitions()]
    assert absent == [row for row, key in enumerate(own) if key not in other]
    assert shared == [
        (row, [index for index, known in enumerate(other) if known == key])
        for row, key in enumerate(own)
        if key in other
    ]
    assert repeated == [
        (row, [index for index, known in enumerate(own[:row]) if known == key])
        for row, key in enumerate(own)
        if key in own[:row]
    ]


def test_few_keys_are_in_memory(folder, monkeypatch):
    monkeypatch.setattr(row_keys, "BUFFERED", 100)
    keys = fill(folder, range(10_000))
    assert len(keys._buffer) < 2 * 100
    assert sum(path.stat().st_size for path in keys._folder.iterdir()) == 16 * 10_000
    assert max(map(len, keys._iterate_buckets())) < 100
