"""Weights are hashed once, and those of the Hub's cache not at all."""

import hashlib
import os
from pathlib import Path

import pytest

from elusive.common import folders
from elusive.common.lm import references
from elusive.common.lm.references import ModelSource, hash_weights

CONTENT = b"weights of a model"


def hash_plainly(path: Path) -> str:
    """The hash of a folder with one weight file, from its definition."""
    content = hashlib.sha256(path.read_bytes()).digest()
    return hashlib.sha256(path.name.encode() + content).hexdigest()


@pytest.fixture
def reads(monkeypatch) -> list[Path]:
    """The files that are read to be hashed."""
    files: list[Path] = []

    def read(path: Path) -> str:
        files.append(path)
        return folders.hash_file(path)

    monkeypatch.setattr(references, "hash_file", read)
    return files


def hash_in_new_process(folder: Path) -> str:
    """Hash as a new process would, which remembers nothing."""
    references._hash_state.cache_clear()
    return hash_weights(ModelSource("model", folder))


def write_hub_cache(root: Path, content: bytes, name: str) -> Path:
    """Write a snapshot of the Hub's cache with one weight file; return its folder."""
    blob, snapshot = root / "blobs" / name, root / "snapshots" / "c0ffee"
    blob.parent.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    blob.write_bytes(content)
    (snapshot / "model.safetensors").symlink_to(os.path.relpath(blob, snapshot))
    return snapshot


def test_files_of_the_hub_cache_are_hashed_by_their_name(tmp_path, reads):
    folder = write_hub_cache(tmp_path, CONTENT, hashlib.sha256(CONTENT).hexdigest())
    assert hash_in_new_process(folder) == hash_plainly(folder / "model.safetensors")
    assert not reads


def test_small_files_of_the_hub_cache_are_read(tmp_path, reads):
    folder = write_hub_cache(tmp_path, CONTENT, hashlib.sha1(CONTENT).hexdigest())
    assert hash_in_new_process(folder) == hash_plainly(folder / "model.safetensors")
    assert len(reads) == 1


def test_a_link_outside_the_hub_cache_is_read(tmp_path, reads):
    (tmp_path / ("0" * 64)).write_bytes(CONTENT)
    path = tmp_path / "model" / "model.safetensors"
    path.parent.mkdir()
    path.symlink_to(tmp_path / ("0" * 64))
    assert hash_in_new_process(path.parent) == hash_plainly(path)
    assert len(reads) == 1


def test_local_files_are_read_once_by_all_processes(tmp_path, reads, monkeypatch):
    monkeypatch.setattr("elusive.common.cache.SETTLED_SECONDS", 0.0)
    path = tmp_path / "model.safetensors"
    path.write_bytes(CONTENT)
    assert hash_in_new_process(tmp_path) == hash_in_new_process(tmp_path) == hash_plainly(path)
    assert len(reads) == 1


def test_a_changed_file_of_the_same_size_and_time_is_read_again(tmp_path, reads, monkeypatch):
    monkeypatch.setattr("elusive.common.cache.SETTLED_SECONDS", 0.0)
    path = tmp_path / "model.safetensors"
    path.write_bytes(CONTENT)
    before, status = hash_in_new_process(tmp_path), path.stat()
    path.write_bytes(CONTENT.upper())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert hash_in_new_process(tmp_path) == hash_plainly(path) != before


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path, reads):
    path = tmp_path / "model.safetensors"
    path.write_bytes(CONTENT)
    hash_in_new_process(tmp_path)
    assert hash_in_new_process(tmp_path) == hash_plainly(path)
    assert len(reads) == 2
