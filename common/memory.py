"""How this process returns memory to the system, and what a stage takes of it."""

import ctypes
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

# Parameters of mallopt, from glibc's malloc.h.
TRIM_THRESHOLD, MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Let malloc reuse freed memory in place of returning it; whether the C library can.

    A training step frees and takes the same large arrays again and again. glibc returns each of
    them to the system, which then clears every page anew: about a third of a small model's step
    on a CPU.
    """
    mallopt = _from_c_library("mallopt")
    return bool(mallopt and mallopt(MMAP_MAX, 0) and mallopt(TRIM_THRESHOLD, -1))


def give_back_freed_memory() -> bool:
    """Return what is free to the system, once; whether the C library can.

    Arrays of ever other sizes leave gaps that none fits into, so kept memory grows without end
    where it is never given back.
    """
    malloc_trim = _from_c_library("malloc_trim")
    return malloc_trim is not None and malloc_trim(0) >= 0


def _from_c_library(name: str) -> Callable[..., int] | None:
    """A function of glibc; None on other systems."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), name, None)


@dataclass
class Cost:
    """What a stage took."""

    seconds: float = 0.0
    peak_memory_mib: float = 0.0
    """Largest resident memory of the process meanwhile, of the GPU where one is used, in MiB."""


@contextmanager
def measured() -> Iterator[Cost]:
    """Seconds and peak memory of a block, known when it ends.

    On Linux the peak is that of the block; elsewhere that of the process since it began.
    """
    import torch

    cost = Cost()
    _forget_peak()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    start = perf_counter()
    try:
        yield cost
    finally:
        cost.seconds = perf_counter() - start
        on_gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
        cost.peak_memory_mib = (on_gpu or _peak_bytes()) / 2**20


def _forget_peak() -> None:
    """Let Linux count this process's peak of resident memory anew."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    """Largest resident memory since the peak was last forgotten."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
