"""How long threads that wait for each other keep a core busy."""

import os

SPIN_COUNT = 1_000
"""Rounds of waiting, some tens of nanoseconds each, after which a thread sleeps: they last as long
as the gap between two operations. benchmarks/waiting.py compares counts."""
SPIN, POLICY = "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"


def limit_spinning() -> None:
    """Let waiting threads of OpenMP soon sleep, unless the environment says otherwise.

    By default, GNU's library lets a thread that waits for others spin 300,000 times, for
    milliseconds. If another program takes one of the cores, the thread that everybody waits for
    gets none while the waiting ones keep theirs busy. The library reads its settings when PyTorch
    loads it, so this must come before.
    """
    if SPIN not in os.environ and POLICY not in os.environ:
        os.environ[SPIN] = str(SPIN_COUNT)
