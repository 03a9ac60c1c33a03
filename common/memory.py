"""How this process returns memory to the system, and what a stage costs in time and memory."""

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
    """Let malloc reuse freed memory instead of returning it; return whether the C library can.

    A training step frees and allocates the same large arrays again and again. By default, glibc
    returns each of them to the system, which then has to clear every page: this takes about a
    third of a small model's step on a CPU.
    """
    mallopt = _find_c_function("mallopt")
    return bool(mallopt and mallopt(MMAP_MAX, 0) and mallopt(TRIM_THRESHOLD, -1))


def give_back_freed_memory() -> bool:
    """Return free memory to the system, once; return whether the C library can.

    Arrays of ever new sizes leave gaps that no later array fits into, so memory that is kept grows
    without bound unless it is given back now and then.
    """
    malloc_trim = _find_c_function("malloc_trim")
    return malloc_trim is not None and malloc_trim(0) >= 0


def _find_c_function(name: str) -> Callable[..., int] | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), name, None)


@dataclass
class Cost:
    """Cost of a stage."""

    seconds: float = 0.0
    peak_memory_mib: float = 0.0
    """Peak during the stage, in MiB: of the GPU if one is used, else of the process."""


@contextmanager
def measure_cost() -> Iterator[Cost]:
    """Measure the seconds and peak memory of a block; they are set when the block ends.

    On Linux the peak is that of the block; on other systems that of the process since its start.
    """
    import torch

    cost = Cost()
    _reset_peak()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    start = perf_counter()
    try:
        yield cost
    finally:
        cost.seconds = perf_counter() - start
        on_gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
        cost.peak_memory_mib = (on_gpu or _read_peak_bytes()) / 2**20


def _reset_peak() -> None:
    """Reset Linux's peak of this process's resident memory."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _read_peak_bytes() -> int:
    """Return the peak of resident memory since it was last reset."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
