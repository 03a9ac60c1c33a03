"""Freed memory stays with the process, so that taking it again costs no page faults."""

import subprocess
import sys

import pytest

COUNT = """
import resource, sys
import numpy as np
from elusive.common.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(8_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc alone is told")
def test_large_arrays_taken_again_cause_hardly_any_page_faults():
    counts = {}
    for mode in ("keep", "usual"):
        command = [sys.executable, "-c", COUNT, mode]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        counts[mode] = int(done.stdout)
    assert counts["keep"] < 1000
    assert counts["usual"] > 10 * counts["keep"]


GIVE_BACK = """
import numpy as np
from elusive.common.memory import give_back_freed_memory, keep_freed_memory
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
keep_freed_memory()
blocks = [np.ones(200_000 + 1000 * number) for number in range(200)]
del blocks[::2]
last = blocks.pop()
del blocks
before = resident()
assert give_back_freed_memory()
print(before, resident())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc alone is told")
def test_freed_memory_is_given_back_on_demand():
    done = subprocess.run(
        [sys.executable, "-c", GIVE_BACK], capture_output=True, text=True, check=True
    )
    before, after = map(int, done.stdout.split())
    assert before > 300e6
    assert after < before / 2
