"""Progress fits where it goes: bars on a terminal, a few plain lines in a log."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from elusive.common.process import progress
from elusive.common.process.progress import ProgressLines, open_bar

COUNT = """
from elusive.common.process import progress
progress.FIRST_LINE_SECONDS = 0.0
with progress.open_bar("reading", "entry", 1000) as bar:
    for _ in range(1000):
        bar.update()
"""


def test_a_log_gets_plain_lines_and_ever_fewer_of_them(capsys, monkeypatch):
    clock = iter(range(100_000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with open_bar("training", "step", 10_000) as bar:
        for _ in range(10_000):
            bar.update()
    lines = capsys.readouterr().err.splitlines()
    assert 10 < len(lines) < 20, "an hour has about 15 lines"
    assert lines[0].startswith("training: 0% of 10,000 steps in 0:15, about 2:46:")
    assert "\r" not in "".join(lines)
    assert "\x1b" not in "".join(lines)


def test_what_an_interrupted_command_had_done_does_not_count_as_speed(capsys, monkeypatch):
    clock = iter(range(100_000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with open_bar("pretraining", "token", 10_000) as bar:
        bar.update(9_000)  # from a checkpoint
        for _ in range(500):
            bar.update()
    first = capsys.readouterr().err.splitlines()[0]
    assert first == "pretraining: 90% of 10,000 tokens in 0:15, about 16:26 left"


def test_something_quick_writes_nothing_into_a_log(capsys):
    with open_bar("checking", "entry", 10) as bar:
        bar.update(10)
    assert capsys.readouterr().err == ""


def test_lines_without_a_total_count(capsys, monkeypatch):
    monkeypatch.setattr(progress, "FIRST_LINE_SECONDS", 0.0)
    ProgressLines(None, "checking", "entry").update(3)
    assert capsys.readouterr().err == "checking: 3 entries in 0:00\n"


def test_a_terminal_gets_a_bar(tmp_path: Path):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    own = {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"}
    subprocess.run([sys.executable, "-c", COUNT], stderr=theirs, check=True, cwd=tmp_path, env=own)
    os.close(theirs)
    assert b"reading: 100%|" in os.read(ours, 1 << 16)


@pytest.mark.parametrize(("seconds", "text"), [(5, "0:05"), (75, "1:15"), (11_000, "3:03:20")])
def test_durations_are_short(seconds, text):
    assert progress.format_time(seconds) == text


def test_bars_leave_no_semaphore_in_a_process_that_is_killed():
    """Python would warn about it after every Ctrl-C."""
    code = """
from elusive.common.process.progress import open_bar, print_line
from tqdm.std import TqdmDefaultWriteLock, tqdm
print_line("one line")
with tqdm([1], disable=False) as bar:
    list(bar)
assert not hasattr(TqdmDefaultWriteLock, "mp_lock")
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
