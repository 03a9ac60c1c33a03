"""Claims pass from a killed holder to one other process, and never from a living one."""

import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from elusive.common import claims
from elusive.common.claims import Claim, ClaimedError, LostClaimError, hold_claim

HOLDER = """
import sys, time
from pathlib import Path
from elusive.common.claims import Claim
claim = Claim(Path(sys.argv[1]))
claim.acquire()
print("held", flush=True)
time.sleep(600)
"""


def start_holder(path: Path) -> subprocess.Popen:
    """Start a process that holds a claim until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
    assert process.stdout
    process.stdout.close()


@pytest.fixture
def elsewhere(monkeypatch) -> None:
    """This process is on another machine than those that it starts."""
    monkeypatch.setattr(claims, "_identify_machine", lambda: "0" * 12)


def test_a_claim_is_held_by_one_and_leaves_nothing_behind(tmp_path):
    with hold_claim(tmp_path / "locks" / "a"):
        with pytest.raises(ClaimedError), hold_claim(tmp_path / "locks" / "a", wait=False):
            pass
        with hold_claim(tmp_path / "locks" / "b", wait=False):
            pass
    with hold_claim(tmp_path / "locks" / "a", wait=False):
        pass
    assert list((tmp_path / "locks").iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
@pytest.mark.parametrize("wait", [True, False])
def test_a_folder_that_cannot_be_written_is_an_error_and_no_claim(
    number, wait, tmp_path, monkeypatch
):
    def refuse(path: object, mode: int = 0o777) -> None:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(claims.time, "sleep", lambda seconds: pytest.fail("it waits"))
    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(OSError, match=re.escape(os.strerror(number))):
        Claim(tmp_path / "a").acquire(wait)


def test_a_dead_holders_claim_that_cannot_be_taken_over_is_an_error(tmp_path, monkeypatch):
    def refuse(source: object, target: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), source)

    end(start_holder(tmp_path / "a"))
    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(OSError, match="Read-only"):
        Claim(tmp_path / "a").acquire(wait=False)


def test_a_claim_below_a_link_to_nowhere_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(claims.time, "sleep", lambda seconds: pytest.fail("it waits"))
    (tmp_path / "locks").symlink_to(tmp_path / "gone")
    with pytest.raises(FileExistsError):
        Claim(tmp_path / "locks" / "a").acquire()


def test_a_killed_holders_claim_is_taken_over_at_once_on_the_same_machine(tmp_path):
    process = start_holder(tmp_path / "a")
    with pytest.raises(ClaimedError):
        Claim(tmp_path / "a", stale_seconds=0).acquire(wait=False)
    process.kill()  # not waited for: a process that only its parent still remembers is dead
    deadline = time.monotonic() + 10
    while "State:\tZ" not in Path(f"/proc/{process.pid}/status").read_text():
        assert time.monotonic() < deadline
    Claim(tmp_path / "a").acquire(wait=False)
    end(process)


def test_a_stopped_holder_on_the_same_machine_keeps_its_claim(tmp_path):
    process = start_holder(tmp_path / "a")
    os.kill(process.pid, signal.SIGSTOP)
    claim = Claim(tmp_path / "a", stale_seconds=0.2)
    for _ in range(3):
        with pytest.raises(ClaimedError):
            claim.acquire(wait=False)
        time.sleep(0.15)
    end(process)


def test_a_process_with_the_number_of_a_dead_holder_does_not_keep_its_claim(tmp_path):
    claim = Claim(tmp_path / "a")
    machine, pid, start, token = claim._file.name.split("-")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / f"{machine}-{pid}-{int(start) - 1}-{token}").write_text("0")
    claim.acquire(wait=False)
    claim.release()


@pytest.mark.usefixtures("elsewhere")
def test_a_killed_holders_claim_is_taken_over_from_another_machine_once_it_is_silent(tmp_path):
    process = start_holder(tmp_path / "a")
    end(process)
    claim = Claim(tmp_path / "a", stale_seconds=0.3)
    with pytest.raises(ClaimedError):
        claim.acquire(wait=False)
    start = time.monotonic()
    claim.acquire()
    assert time.monotonic() - start > 0.29
    claim.release()
    assert not (tmp_path / "a").exists()


def test_a_living_holders_claim_is_never_taken_over_from_another_machine(tmp_path, monkeypatch):
    holder = Claim(tmp_path / "a", heartbeat_seconds=0.05)
    holder.acquire()
    monkeypatch.setattr(claims, "_identify_machine", lambda: "0" * 12)
    other = Claim(tmp_path / "a", stale_seconds=1)
    deadline = time.monotonic() + 2.5
    while time.monotonic() < deadline:
        with pytest.raises(ClaimedError):
            other.acquire(wait=False)
        time.sleep(0.1)
    holder.check()
    holder.release()
    other.acquire(wait=False)
    other.release()


def test_a_holder_hears_that_it_lost_its_claim(tmp_path, monkeypatch):
    silent = Claim(tmp_path / "a", heartbeat_seconds=0.6)
    silent.acquire()
    monkeypatch.setattr(claims, "_identify_machine", lambda: "0" * 12)
    other = Claim(tmp_path / "a", stale_seconds=0.1)
    other.acquire()
    silent.check()
    deadline = time.monotonic() + 10
    while not silent._is_lost:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(LostClaimError):
        silent.check()
    silent.release()
    with pytest.raises(ClaimedError):
        Claim(tmp_path / "a", stale_seconds=60).acquire(wait=False)
    other.release()


def test_of_many_contenders_for_a_dead_holders_claim_one_gets_it(tmp_path):
    for round_number in range(20):
        path = tmp_path / str(round_number)
        path.mkdir()
        (path / f"{claims._identify_machine()}-{2**22 + 1}-1-00000000").write_text("0")
        winners, barrier = [], threading.Barrier(8)

        def contend(path=path, winners=winners, barrier=barrier) -> None:
            claim = Claim(path)
            barrier.wait()
            try:
                claim.acquire(wait=False)
            except ClaimedError:
                return
            winners.append(claim)

        threads = [threading.Thread(target=contend) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(winners) == 1
        winners[0].release()


COUNTING = """
import sys, time
from pathlib import Path
from elusive.common import claims
claims.POLL_SECONDS = 0.005
folder = Path(sys.argv[1])
for _ in range(20):
    with claims.hold_claim(folder / "claim"):
        number = int((folder / "number").read_text())
        time.sleep(0.002)
        (folder / "number").write_text(str(number + 1))
"""
"""Adds to a number in a file, which loses additions unless one process at a time does it."""


def test_processes_that_wait_take_turns(tmp_path):
    (tmp_path / "number").write_text("0")
    command = [sys.executable, "-c", COUNTING, str(tmp_path)]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0, 0]
    assert (tmp_path / "number").read_text() == "80"
