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
    found = {}
    for mode in ("keep", "usual"):
        command = [sys.executable, "-c", COUNT, mode]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[mode] = int(done.stdout)
    assert found["keep"] < 1000
    assert found["usual"] > 10 * found["keep"]
