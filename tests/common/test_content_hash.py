"""A folder's content hash depends on the values of its tables, and on nothing else."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import DatasetInfo, Features
from hypothesis import given
from hypothesis import strategies as st

from elusive.augment.scores import token_scores
from elusive.common.content_hash import collapse, hash_batches, hash_tree
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.dataset.records import SCHEMAS
from elusive.common.dataset.shards import describe_type
from elusive.common.errors import InputError
from elusive.common.folders import MANIFEST, hash_content, read_manifest
from elusive.report.hub.dataset_repository import build_dataset_repository

ROWS = [
    {"a": "x", "n": 1, "f": 0.5, "list": [{"t": "é", "i": 3}], "texts": ["p", "q"], "b": True},
    {"a": None, "n": None, "f": None, "list": [], "texts": None, "b": None},
    {"a": "yz", "n": 2, "f": 1.5, "list": None, "texts": [], "b": False},
    {"a": "", "n": 0, "f": -1.0, "list": [{"t": None, "i": None}], "texts": [None], "b": True},
]
SCHEMA = pa.schema(
    [
        ("a", pa.string()),
        ("n", pa.int32()),
        ("f", pa.float32()),
        ("list", pa.list_(pa.struct([("t", pa.string()), ("i", pa.int32())]))),
        ("texts", pa.list_(pa.string())),
        ("b", pa.bool_()),
    ]
)
WIDE = pa.schema(
    [
        ("b", pa.bool_()),
        ("texts", pa.large_list(pa.large_string())),
        ("list", pa.list_(pa.struct([("t", pa.large_string()), ("i", pa.int64())]))),
        ("f", pa.float64()),
        ("n", pa.int64()),
        ("a", pa.large_string()),
    ]
)


def hash_rows(rows: list[dict], schema: pa.Schema = SCHEMA, chunk: int = 1000) -> str:
    """Hash of a table that is cut into chunks."""
    table = pa.Table.from_pylist(rows, schema)
    return hash_tree(hash_batches(table.to_batches(max_chunksize=chunk)))


def write_parquet(rows: list[dict], folder: Path, **options: Any) -> str:
    """Write a Parquet file into a folder, and hash the folder."""
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), folder / "table.parquet", **options)
    return hash_content(folder)


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_chunks_and_the_width_of_types_do_not_change_the_hash(chunk):
    assert hash_rows(ROWS, chunk=chunk) == hash_rows(ROWS)
    assert hash_rows(ROWS, WIDE, chunk) == hash_rows(ROWS)


def test_compression_and_row_groups_do_not_change_the_hash(tmp_path):
    first = write_parquet(ROWS, tmp_path / "a")
    for name, options in {
        "b": {"compression": "zstd", "row_group_size": 1},
        "c": {"use_dictionary": False, "version": "1.0"},
    }.items():
        assert write_parquet(ROWS, tmp_path / name, **options) == first


def test_every_value_and_the_order_of_rows_change_the_hash():
    changes = [("a", ""), ("n", 0), ("f", 0.0), ("list", None), ("texts", []), ("b", False)]
    tables = [[ROWS[0], ROWS[1] | {name: value}, *ROWS[2:]] for name, value in changes]
    tables += [ROWS, [*ROWS[:2], ROWS[3], ROWS[2]], ROWS[:3]]
    assert len({hash_rows(rows) for rows in tables}) == len(tables)


@given(st.lists(st.lists(st.text(max_size=2), max_size=3), min_size=1, max_size=5), st.data())
def test_texts_do_not_run_into_each_other(rows, data):
    other = data.draw(st.lists(st.lists(st.text(max_size=2), max_size=3), min_size=1, max_size=5))
    schema = pa.schema([("texts", pa.list_(pa.string()))])
    hashes = [hash_rows([{"texts": row} for row in table], schema) for table in (rows, other)]
    assert (hashes[0] == hashes[1]) == (rows == other)


def test_a_published_dataset_has_the_hash_of_the_folder(people_folder, tmp_path):
    build_dataset_repository(people_folder, tmp_path, "ann/people", shard_bytes=1000)
    assert len(list(tmp_path.glob("questions/*.parquet"))) == 2, "dev and test"
    published = read_manifest(tmp_path, "dataset").content_hash
    assert hash_content(tmp_path) == published == hash_content(people_folder)


def test_a_tree_with_hashes_for_its_branches_has_the_same_root():
    tree: Any = hash_batches(pa.Table.from_pylist(ROWS, SCHEMA).to_batches())
    proof: Any = collapse({"table": tree, "other": tree}, ("table", "train", "rows"))
    assert proof["other"] == hash_tree(tree)
    assert proof["table"]["train"]["rows"] == tree["train"]["rows"]
    assert hash_tree(proof) == hash_tree({"table": tree, "other": tree})
    proof["table"]["train"]["rows"]["a"] = "0" * 64
    assert hash_tree(proof) != hash_tree({"table": tree, "other": tree})


@pytest.mark.parametrize("damage", [b"", b"no Arrow", None])
def test_a_file_that_cannot_be_read_is_damaged(people_folder, tmp_path, damage):
    folder = shutil.copytree(people_folder, tmp_path / "people")
    (path,) = folder.glob("questions/*.arrow")
    path.write_bytes(path.read_bytes()[:900] if damage is None else damage)
    with pytest.raises(InputError, match="do not match the content hash"):
        load_dataset_folder(folder)


def test_a_folder_of_an_earlier_version_is_verified_by_the_bytes_of_its_files(
    people_folder, tmp_path
):
    folder = shutil.copytree(people_folder, tmp_path / "people")
    old = hashlib.sha256()
    for path in sorted(folder.rglob("*.arrow")):
        old.update(path.relative_to(folder).as_posix().encode())
        old.update(hashlib.sha256(path.read_bytes()).digest())
    manifest = json.loads((folder / MANIFEST).read_text()) | {"content_hash": old.hexdigest()}
    del manifest["hashed"]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    assert load_dataset_folder(folder).content_hash == old.hexdigest()
    path.write_bytes(path.read_bytes() + b"1")
    with pytest.raises(InputError, match="do not match the content hash"):
        load_dataset_folder(folder)


@pytest.mark.parametrize("schema", [SCHEMA, *SCHEMAS.values(), token_scores.SCHEMA])
def test_columns_are_described_as_datasets_describes_them(schema, tmp_path):
    info = DatasetInfo(features=Features.from_arrow_schema(schema))
    info.write_to_directory(str(tmp_path))
    expected = json.loads((tmp_path / "dataset_info.json").read_text())["features"]
    assert {column.name: describe_type(column.type) for column in schema} == expected
