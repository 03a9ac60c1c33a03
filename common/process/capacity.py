"""What this process may use of its machine: processor cores and memory."""

import os
import sys
from contextlib import suppress
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def count_cores() -> int:
    """Count the cores that this process may use, at least 1: those of its affinity and its quota.

    A container's quota may be less than the cores that it sees.
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # `max 100000` where there is no limit
        quota, period = (CGROUP / "cpu.max").read_text().split()
        cores = min(cores, round(int(quota) / int(period)))
    return max(1, cores)


def measure_free_memory_gib() -> float | None:
    """Measure the memory in GiB that processes can still take; None if the system does not say."""
    free = []
    with suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(line for line in lines if line.startswith("MemAvailable"))
        free.append(int(available.split()[1]) * 1024)
    with suppress(OSError, ValueError):
        limit, used = (int((CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        free.append(limit - used)
    return min(free) / 2**30 if free else None


def has_gpu() -> bool:
    """Whether there is a GPU of NVIDIA or AMD that this process may use, found without PyTorch."""
    visible = [os.environ.get(f"{name}_VISIBLE_DEVICES") for name in ("CUDA", "HIP")]
    is_hidden = any(devices in ("", "-1") for devices in visible)
    return not is_hidden and any(Path(f"/dev/{name}").exists() for name in ("nvidiactl", "kfd"))
