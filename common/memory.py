"""How this process returns memory to the system."""

import ctypes
import sys

# Parameters of mallopt, from glibc's malloc.h.
TRIM_THRESHOLD, MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Let malloc reuse freed memory in place of returning it; whether the C library can.

    A training step frees and takes the same large arrays again and again. glibc returns each of
    them to the system, which then clears every page anew: about a third of a small model's step
    on a CPU.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(MMAP_MAX, 0) and mallopt(TRIM_THRESHOLD, -1))
