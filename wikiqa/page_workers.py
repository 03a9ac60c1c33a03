"""Processes that clean the pages of a dump, each page within limits on time and memory."""

import pickle
import resource
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from elusive.common.errors import InputError
from elusive.common.parent import end_with_parent
from elusive.wikiqa.articles import Article, Counts

DONE = "done"
NO_PAGE = -1
"""What a process says in place of a page's index when it cleans none."""
CRASH_REASON = "article that crashes the parser"
CRASHES = (-signal.SIGSEGV, -signal.SIGABRT)
"""How a process ends itself when its C code fails, often for lack of the memory that it may use.
The load of the machine has no part in it: a system that runs out of memory sends SIGKILL."""
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Limits:
    """What cleaning one page may take."""

    seconds: int = 60
    """Of processor time, so that what is left out does not depend on the load of the machine."""
    memory: int = 2 << 30
    """Bytes beside those that the process has when it starts."""

    @property
    def time_reason(self) -> str:
        """Reason that counts the pages beyond the limit on time."""
        return f"article that takes more than {self.seconds} s"

    @property
    def memory_reason(self) -> str:
        """Reason that counts the pages beyond the limit on memory."""
        return f"article that takes more than {self.memory >> 20} MiB"


@dataclass(frozen=True)
class Job:
    """Pages to clean, and the file to write them to."""

    path: Path
    pages: Sequence[Any]
    counts: Counts
    settings: Any
    skipped: dict[int, str] = field(default_factory=dict)
    """Why a page is left out, by its index: it ended a process before."""


CleanPage = Callable[[Any, Counts, Any], Article]
WriteChunk = Callable[[Path, list[Article], Counts], object]


class PageWorkers:
    """A pool of processes that clean pages; one that a page ends is replaced, the page left out.

    A page's parser is C code, which neither a signal handler nor an exception can stop: the kernel
    holds its process to the limits.
    """

    def __init__(
        self, workers: int, clean_page: CleanPage, write_chunk: WriteChunk, limits: Limits
    ) -> None:
        self._threads = ThreadPoolExecutor(workers)
        self._limits = limits
        self._arguments = (clean_page, write_chunk, limits)
        self._idle: SimpleQueue[tuple[SpawnProcess, Connection] | None] = SimpleQueue()
        for _ in range(workers):
            self._idle.put(None)
        self._started: list[SpawnProcess] = []

    def __enter__(self) -> "PageWorkers":
        """Return the pool."""
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """End all processes."""
        self._threads.shutdown(wait=error is None, cancel_futures=True)
        for process in self._started:
            process.kill()
            process.join()

    def submit(self, job: Job) -> Future[int]:
        """Start to clean and write pages; the result is their number."""
        return self._threads.submit(self._run, job)

    def _run(self, job: Job) -> int:
        worker = self._idle.get()
        try:
            while True:
                process, connection = worker = worker or self._start()
                outcome = _follow(connection, job)
                if isinstance(outcome, Exception):
                    raise outcome
                if outcome is None:
                    return len(job.pages)
                worker = None
                process.join()
                job.skipped[outcome] = self._find_reason(process.exitcode, outcome, job)
        finally:
            self._idle.put(worker)

    def _find_reason(self, exitcode: int | None, index: int, job: Job) -> str:
        """Return why a page that ended its process is left out.

        Raises:
            InputError: the page need not be the cause.
        """
        if index != NO_PAGE and exitcode == -signal.SIGXCPU:
            return self._limits.time_reason
        if index != NO_PAGE and exitcode in CRASHES:
            return CRASH_REASON
        place = f"page {index + 1} of {len(job.pages)}" if index != NO_PAGE else "no page"
        raise InputError(
            f"a process that cleans pages ended (exit code {exitcode}, {place}, for "
            f"{job.path.name}), often for lack of memory: lower --workers, and rerun to resume"
        )

    def _start(self) -> tuple[SpawnProcess, Connection]:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, *self._arguments), daemon=True)
        process.start()
        theirs.close()
        self._started.append(process)
        return process, ours


def _follow(connection: Connection, job: Job) -> Exception | int | None:
    """Have a process do a job; return None at the end, its error, or the page at which it died."""
    index = NO_PAGE
    try:
        connection.send(job)
        while isinstance(message := connection.recv(), int):
            index = message
    except (EOFError, OSError):
        return index
    return None if message == DONE else message


def _serve(
    connection: Connection, clean_page: CleanPage, write_chunk: WriteChunk, limits: Limits
) -> None:
    """Do jobs until the other process is gone."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _set_limit(resource.RLIMIT_CORE, 0)
    if used := _measure_memory():
        _set_limit(resource.RLIMIT_DATA, used + limits.memory)
    try:
        while True:
            job = connection.recv()
            try:
                articles = _clean_pages(connection, job, clean_page, limits)
                write_chunk(job.path, articles, job.counts)
                connection.send(DONE)
            except Exception as error:
                connection.send(_make_sendable(error))
    except (EOFError, BrokenPipeError):
        return


def _make_sendable(error: Exception) -> Exception:
    """Return an error that another process can read: its words, if it cannot be pickled."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


def _clean_pages(
    connection: Connection, job: Job, clean_page: CleanPage, limits: Limits
) -> list[Article]:
    """Clean the pages of a job, and say of each that it begins."""
    articles = []
    for index, page in enumerate(job.pages):
        if index in job.skipped:
            job.counts[job.skipped[index]] += 1
            continue
        connection.send(index)
        used = resource.getrusage(resource.RUSAGE_SELF)
        _set_limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + limits.seconds)
        counts: Counts = Counter()
        try:
            articles.append(clean_page(page, counts, job.settings))
        except MemoryError:
            counts = Counter({limits.memory_reason: 1})
        job.counts.update(counts)
    _set_limit(resource.RLIMIT_CPU, resource.RLIM_INFINITY)
    connection.send(NO_PAGE)
    return articles


def _set_limit(kind: int, limit: int) -> None:
    """Set a limit of this process, not above the one that the system allows it."""
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY and (limit == resource.RLIM_INFINITY or limit > most):
        limit = most
    resource.setrlimit(kind, (limit, most))


def _measure_memory() -> int | None:
    """Return the bytes of data of this process, or None where the system does not say."""
    if not STATUS.exists():
        return None
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmData"))
    return int(line.split()[1]) * 1024
