"""Threads that wait for each other soon sleep, unless the environment says otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from elusive.common.process.capacity import count_cores, has_gpu, measure_free_memory_gib
from elusive.common.process.waiting import SPIN_COUNT

CODE = """
import sys
from elusive.cli.main import main
sys.argv = ["elusive", "--version"]
main()
import torch
"""


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch uses libgomp on Linux only")
@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({}, str(SPIN_COUNT)),
        ({"GOMP_SPINCOUNT": "77"}, "77"),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, "0"),
    ],
)
def test_the_command_tells_libgomp_before_it_is_loaded(given, count, tmp_path: Path):
    unset = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    own = {name: value for name, value in os.environ.items() if name not in unset}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env=own | {"OMP_DISPLAY_ENV": "VERBOSE"} | given,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"GOMP_SPINCOUNT = '{count}'" in done.stderr


def test_this_process_may_use_some_of_its_machine(monkeypatch):
    assert 1 <= count_cores() <= (os.cpu_count() or 1)
    free = measure_free_memory_gib()
    assert free is None or free > 0
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not has_gpu()


def test_a_container_s_quota_counts(tmp_path: Path, monkeypatch):
    from elusive.common.process import capacity

    (tmp_path / "cpu.max").write_text("100000 100000\n")
    (tmp_path / "memory.max").write_text(f"{3 << 30}\n")
    (tmp_path / "memory.current").write_text(f"{1 << 30}\n")
    monkeypatch.setattr(capacity, "CGROUP", tmp_path)
    assert capacity.count_cores() == 1
    assert capacity.measure_free_memory_gib() == pytest.approx(2)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert capacity.count_cores() >= 1
