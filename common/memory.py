"""How this process returns memory to the system."""

import ctypes
import sys
from collections.abc import Callable

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
