"""A run chooses how many cells are made at a time, the longest first, and prints each of them."""

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from commands import run, write_grid_plan

from elusive.common.claims import hold_claim
from elusive.common.process.progress import ProgressLines
from elusive.evaluate.cells.cell_folder import load_cell
from elusive.evaluate.engines import local
from elusive.evaluate.engines.side_by_side import (
    Load,
    Machine,
    choose_processes,
    measure_load,
    render_choice,
    sort_longest_first,
)
from elusive.evaluate.jobs import list_jobs
from elusive.evaluate.plans import load_plan
from elusive.evaluate.run import run_plan
from elusive.evaluate.run_folder import RunFolder

HEED_CTRL_C = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)
"""Starts a command with its arguments: shells start what runs in the background, perhaps these
tests, with Ctrl-C ignored."""
GRID = Load(cells=7, threads=1, seconds=300.0, memory_gib=0.7)


@pytest.mark.parametrize(
    ("change", "machine", "processes"),
    [
        ({}, Machine(2, 8.0), 2),
        ({}, Machine(16, 8.0), 7),
        ({"threads": 2}, Machine(16, 16.0), 7),
        ({"threads": 2}, Machine(3, 8.0), 1),
        ({"threads": 2}, Machine(1, 8.0), 1),
        ({"memory_gib": 3.0}, Machine(16, 8.0), 2),
        ({"memory_gib": 9.0}, Machine(16, 8.0), 1),
        ({}, Machine(4, None), 4),
        ({"seconds": 50.0}, Machine(16, 8.0), 2),
        ({"seconds": 3.0}, Machine(16, 8.0), 1),
        ({}, Machine(16, 64.0, has_gpu=True), 1),
    ],
)
def test_cores_memory_and_work_limit_the_processes(change, machine, processes):
    assert choose_processes(Load(**{**vars(GRID), **change}), machine) == processes


def test_the_choice_is_one_line():
    line = render_choice(GRID, Machine(2, 8.0), 2)
    assert line == (
        "2 cells at a time, 1 thread each (2 cores, 8.0 GiB free, about 0.7 GiB a cell): "
        "--jobs N changes it"
    )


def test_the_demo_is_worth_two_processes_and_a_large_model_needs_more():
    demo = load_plan(Path("nano-demo"))
    load = measure_load(demo)
    assert (load.cells, load.threads) == (7, 1)
    assert choose_processes(load, Machine(2, 8.0)) == 2
    larger = measure_load(demo.model_copy(update={"model": "nano-small"}))
    assert larger.seconds < load.seconds
    assert larger.memory_gib < load.memory_gib
    full = load_plan(Path("nano-demo"), ["training.tuning=full"])
    assert measure_load(full).memory_gib > load.memory_gib


def test_the_longest_cells_come_first(tmp_path, model_folder):
    longer = {"method": "random", "training": {"epochs": 3}}
    plan = load_plan(write_grid_plan(tmp_path, model_folder, arms=["plain", longer], seeds=[0]))
    folder = RunFolder(plan, tmp_path / "out")
    names = [job.label for job in sort_longest_first(list_jobs(plan), folder.count_steps)]
    assert names == ["random", "plain", "untrained"]


def test_the_command_prints_each_finished_cell_and_no_bars_in_a_log(tmp_path, model_folder):
    plan = write_grid_plan(tmp_path, model_folder, seeds=[0])
    result = run("run", plan, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    lines = result.stderr.splitlines()
    assert lines[0].startswith("elusive: 1 cell at a time, 1 thread each ("), "too little work"
    header = next(number for number, line in enumerate(lines) if line.startswith("finished cell"))
    rows = lines[header + 1 : header + 4]
    assert [row.split()[0] for row in rows] == ["untrained-seed0", "plain-seed0", "random-seed0"]
    for row in rows:
        (folder,) = (tmp_path / "out" / "cells").glob(f"{row.split()[0]}-*")
        em = round(100 * load_cell(folder).metrics["em"])
        assert re.match(rf"\S+ +{em} \[\d+, \d+\] ", row)
    assert "\r" not in result.stderr
    assert "\x1b" not in result.stderr
    again = run("run", plan, "--out", tmp_path / "out")
    assert "finished cell" not in again.stderr


def test_processes_side_by_side_print_their_cells_too(tmp_path, model_folder, capsys):
    plan = load_plan(write_grid_plan(tmp_path, model_folder, arms=["plain"], seeds=[0]))
    assert run_plan(plan, tmp_path / "out", jobs=2).failures == []
    printed = capsys.readouterr().err
    for name in ("untrained-seed0", "plain-seed0"):
        assert re.search(rf"^{name} .*\[\d+, \d+\]", printed, re.MULTILINE)


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_bar_counts_each_cell_once(jobs, tmp_path, model_folder, monkeypatch):
    """A process comes past cells that another has made, and a resumed run past those it made."""
    shown: list[float] = []

    class RecordedLines(ProgressLines):
        def update(self, count: float = 1) -> None:
            super().update(count)
            shown.append(self.n)

    def open_recorded(desc: str, unit: str, total: float, initial: float = 0, **_) -> ProgressLines:
        initials.append(initial)
        return RecordedLines(total, desc, unit, initial)

    initials: list[float] = []
    monkeypatch.setattr(local, "open_bar", open_recorded)
    for arms, made in ((["plain"], 2), (["plain", "random", "permute"], 4)):
        shown.clear()
        plan = load_plan(write_grid_plan(tmp_path, model_folder, arms=arms, seeds=[0]))
        run_plan(plan, tmp_path / "out", jobs=jobs)
        assert max(shown) == shown[-1] == pytest.approx(made)
    assert initials == [0, 2]


def test_processes_end_with_a_command_that_is_killed(tmp_path, model_folder):
    """A killed command cannot end its processes; they must not go on making cells unseen."""
    command, out = start_with_two_processes(tmp_path, model_folder)
    os.kill(command.pid, signal.SIGKILL)
    command.communicate()
    deadline = time.monotonic() + 60
    while _is_any_left(command.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _is_any_left(command.pid)
    assert len(list(out.glob("cells/[!.]*"))) < 12, "it was killed before its end"


@pytest.mark.parametrize(
    ("send", "number", "code"),
    [(os.killpg, signal.SIGINT, 130), (os.kill, signal.SIGTERM, 143)],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_a_command_that_is_interrupted_says_so_in_one_line(
    send, number, code, tmp_path, model_folder
):
    """Ctrl-C reaches all processes of a terminal; SIGTERM, as `timeout` sends it, the command."""
    command, out = start_with_two_processes(tmp_path, model_folder)
    send(command.pid, number)
    errors = command.communicate()[1]
    assert command.returncode == code
    assert errors.splitlines()[-1] == "elusive: interrupted; finished results are kept"
    assert "leaked" not in errors
    assert len(list(out.glob("cells/[!.]*"))) < 12, "it was interrupted before its end"


@pytest.mark.parametrize("seconds", [0.0, 0.7, 1.5, 2.5, 4.0])
def test_ctrl_c_while_processes_start_is_one_line(seconds, tmp_path, model_folder):
    command, _ = start_command(tmp_path, model_folder)
    assert command.stderr
    assert "loading PyTorch" in command.stderr.readline(), "earlier, Python may be starting"
    time.sleep(seconds)
    os.killpg(command.pid, signal.SIGINT)
    errors = command.communicate()[1]
    assert command.returncode == 130
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].startswith("elusive: interrupted")


def start_with_two_processes(tmp_path: Path, model_folder) -> tuple[subprocess.Popen, Path]:
    """Start a run of twelve cells, and wait for the first."""
    command, out = start_command(tmp_path, model_folder)
    deadline = time.monotonic() + 120
    while not list(out.glob("cells/[!.]*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    return command, out


def start_command(tmp_path: Path, model_folder) -> tuple[subprocess.Popen, Path]:
    """Start a run of twelve cells in two processes."""
    arms = ["plain", "random", "permute"]
    plan = write_grid_plan(tmp_path, model_folder, arms=arms, seeds=[0, 1, 2])
    out = tmp_path / "out"
    arguments = [sys.executable, "-m", "elusive.cli.main", "run", plan, "--jobs", "2", "--out", out]
    command = subprocess.Popen(
        [sys.executable, "-c", HEED_CTRL_C, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    return command, out


def _is_any_left(group: int) -> bool:
    """Whether a process of a group is still there."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_cells_that_another_command_is_at_are_waited_for(tmp_path, model_folder):
    plan, out = (
        load_plan(write_grid_plan(tmp_path, model_folder, arms=["plain"], seeds=[0])),
        tmp_path / "out",
    )
    names = [folder.name for folder in run_plan(plan, out).folders]
    (held,) = [name for name in names if name.startswith("plain")]
    (out / "cells").rename(tmp_path / "cells")
    with ThreadPoolExecutor() as pool, hold_claim(out / "locks" / held):
        other = pool.submit(run_plan, plan, out, jobs=2)
        while not list(out.glob("cells/untrained-*")) and not other.done():
            time.sleep(0.05)
        time.sleep(1)
        assert not other.done(), "the cell is waited for"
        (tmp_path / "cells" / held).rename(out / "cells" / held)
    result = other.result()
    assert result.failures == []
    assert sorted(folder.name for folder in result.folders) == sorted(names)


def test_a_full_disk_in_a_process_stops_the_run(tmp_path, model_folder):
    own = tmp_path / "own.py"
    own.write_text(
        "import errno\n"
        "from elusive.evaluate.cells import make_cell\n"
        "def write_results(folder, outcome):\n"
        "    raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "make_cell.write_results = write_results  # in the process that makes the cell\n"
        "def score(document, units):\n"
        "    return [0.0] * len(units)\n"
    )
    arms = [{"method_file": f"{own}:score"}]
    plan = load_plan(write_grid_plan(tmp_path, model_folder, arms=arms, seeds=[0]))
    with pytest.raises(OSError, match="No space left on device"):
        run_plan(plan, tmp_path / "out", jobs=2)
    assert not list((tmp_path / "out").glob("failed/*"))
