"""Every library's way of saying that the disk is full is understood."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from elusive.common.folders import find_full_disk_error, write_atomically

WRITERS: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("x" * 2**20),
    "parquet": lambda path: pq.write_table(pa.table({"a": np.random.rand(2**17)}), path),
    "safetensors": lambda path: save_file({"a": torch.zeros(2**18)}, path),
    "torch": lambda path: torch.save(torch.zeros(2**18), path),
}


@pytest.fixture(scope="module")
def disk(tmp_path_factory) -> Iterator[Path]:
    """A disk of 64 KiB."""
    folder = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a disk needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_known_as_one_whoever_writes(disk, name):
    with pytest.raises(Exception, match=r".") as raised:
        WRITERS[name](disk / name)
    error = find_full_disk_error(raised.value)
    assert error
    assert error.errno == errno.ENOSPC
    for path in disk.iterdir():
        path.unlink()


def test_a_file_that_cannot_be_written_is_named_by_its_own_name(disk, tmp_path):
    """Not by that under which it is written, of which nothing is left."""
    for path, text in ((disk / "page.html", "x" * 2**20), (tmp_path / "none" / "page.html", "x")):
        with pytest.raises(OSError, match=r".") as raised:
            write_atomically(path, text)
        assert raised.value.filename == str(path)
    assert list(disk.iterdir()) == []


def test_other_errors_are_not_a_full_disk():
    assert find_full_disk_error(OSError(2, "No such file or directory")) is None
    assert find_full_disk_error(RuntimeError("inline_container.cc: file not found")) is None
