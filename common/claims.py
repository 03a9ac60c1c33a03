"""Claims: one process at a time makes a thing, also where machines share only a file system.

The system's own file locks are local to a machine on many network file systems. A claim needs no
more than atomic renames within one folder, which all of them have.
"""

import errno
import hashlib
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import Event, Thread

HEARTBEAT_SECONDS = 10.0
"""Time between two signs of life of a claim's holder."""
STALE_SECONDS = 120.0
"""Time without a sign of life after which a holder on another machine counts as dead. Clients of a
network file system may see a change up to a minute late."""
POLL_SECONDS = 0.25
LOST_RACE = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOENT, errno.ESTALE)
"""How a rename fails because another process was faster: it has claimed or released in between."""
OWNER = re.compile(r"(?P<machine>[0-9a-f]{12})-(?P<pid>\d+)-(?P<start>\d*)-[0-9a-f]{8}")


class ClaimedError(Exception):
    """Another process holds the claim."""


class LostClaimError(Exception):
    """Another process has taken the claim over, because its holder gave no sign of life."""


class Claim:
    """A folder that holds one file, named after the process that has the claim.

    A process claims by renaming a prepared folder, which fails if one with a file is there. It
    takes a dead holder's claim over by renaming the holder's file to a name of its own, which
    succeeds for one process only. The file's content is a counter, the holder's sign of life.
    A holder on this machine counts as dead when its process is gone, however long it is silent;
    one on another machine, when its counter has not changed for `stale_seconds` of our own clock.

    Args:
        path: of the folder; it disappears when the claim is released.
        stale_seconds: silence after which a holder on another machine counts as dead.
        heartbeat_seconds: time between signs of life.
    """

    def __init__(
        self,
        path: Path,
        stale_seconds: float = STALE_SECONDS,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        self.path, self.stale_seconds = path, stale_seconds
        self.heartbeat_seconds = heartbeat_seconds
        self._seen: tuple[tuple[str, str], float] | None = None
        self._file = path / _name_owner()
        self._stop, self._is_lost = Event(), False

    def acquire(self, wait: bool = True) -> None:
        """Claim, if need be after waiting.

        Raises:
            ClaimedError: another process holds the claim, and `wait` is False.
            OSError: the folder cannot be written, so waiting is of no use.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while not self._try():
            if not wait:
                raise ClaimedError(f"another process holds {self.path}")
            time.sleep(POLL_SECONDS)
        self._stop, self._is_lost = Event(), False
        Thread(target=self._beat, args=(self._stop,), daemon=True).start()

    def release(self) -> None:
        """Give the claim back; nothing happens if it was lost."""
        self._stop.set()
        self._file.unlink(missing_ok=True)
        with suppress(OSError):  # another process has claimed it since
            self.path.rmdir()

    def check(self) -> None:
        """Raise LostClaimError if another process has taken the claim over."""
        if self._is_lost:
            raise LostClaimError(f"another process has taken over {self.path}")

    def is_held(self) -> bool:
        """Whether a process holds the claim; one on another machine counts while its file is new.

        A holder gives a sign of life every `heartbeat_seconds`, which the time of its file shows to
        whoever looks only once.
        """
        holder = self._read_holder()
        if not holder or self._is_dead(*holder):
            return False
        try:
            silent = time.time() - (self.path / holder[0]).stat().st_mtime
        except FileNotFoundError:
            return False
        owner = OWNER.fullmatch(holder[0])
        is_here = bool(owner) and owner["machine"] == _identify_machine()
        return is_here or silent < self.stale_seconds

    def _try(self) -> bool:
        """Claim if there is no holder or if the holder is dead; return whether that succeeded."""
        holder = self._read_holder()
        if holder and not self._is_dead(*holder):
            return False
        try:
            if holder:
                (self.path / holder[0]).rename(self._file)
            else:
                self._rename_draft()
        except OSError as error:
            if error.errno not in LOST_RACE:
                raise
            # A network file system may report the failure of a rename that it has repeated.
            return self._file.exists()
        return True

    def _rename_draft(self) -> None:
        draft = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:8]}")
        draft.mkdir(parents=True)
        try:
            (draft / self._file.name).write_text("0", encoding="ascii")
            draft.rename(self.path)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _read_holder(self) -> tuple[str, str] | None:
        """Read name and counter of the holder; None if nobody holds the claim."""
        try:
            names = os.listdir(self.path)
            # Opening the file asks the server, where looking at its time would ask a cache.
            return (names[0], (self.path / names[0]).read_text()) if names else None
        except FileNotFoundError:
            return None

    def _is_dead(self, name: str, counter: str) -> bool:
        owner = OWNER.fullmatch(name)
        if owner and owner["machine"] == _identify_machine():
            start = _read_start(int(owner["pid"]))
            if start is None:
                return True
            if owner["start"]:
                return start != owner["start"]
        now = time.monotonic()
        if self._seen is None or self._seen[0] != (name, counter):
            self._seen = (name, counter), now
        return now - self._seen[1] > self.stale_seconds

    def _beat(self, stop: Event) -> None:
        """Count in the holder's file until the claim is released or lost."""
        number = 0
        while not stop.wait(self.heartbeat_seconds):
            number += 1
            try:
                with self._file.open("r+", encoding="ascii") as file:
                    file.write(str(number))
            except FileNotFoundError:
                self._is_lost = not stop.is_set()
                return
            except OSError:  # the file system is away for a moment
                continue


@contextmanager
def hold_claim(path: Path, wait: bool = True) -> Iterator[Claim]:
    """Hold the claim at `path` in a block; `Claim` says how and when a claim changes hands.

    Raises:
        ClaimedError: another process holds the claim, and `wait` is False.
        OSError: the folder cannot be written.
    """
    claim = Claim(path)
    claim.acquire(wait)
    try:
        yield claim
    finally:
        claim.release()


def _name_owner() -> str:
    pid = os.getpid()
    return f"{_identify_machine()}-{pid}-{_read_start(pid) or ''}-{uuid.uuid4().hex[:8]}"


@cache
def _identify_machine() -> str:
    """Identify the running system and its numbering of processes, which a container may share."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux
        boot, namespace = socket.gethostname(), str(uuid.getnode())
    return hashlib.sha256(f"{boot} {namespace}".encode()).hexdigest()[:12]


def _read_start(pid: int) -> str | None:
    """Read when a process of this machine started: "" if unknown, None if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            return ""
        return ""
    return None if fields[0] in "ZX" else fields[19]
