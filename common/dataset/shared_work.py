"""Work that several machines share: each writes a part of the shards of one folder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SharedWork:
    """What is to be written into a claimed folder; plain data that can be sent to a machine."""

    out: Path
    """The folder."""
    unit: str
    """What it consists of, for progress bars."""
    write: Callable[[int, int], object]
    """Writes what is missing of a task, given its number, from 0, and the number of tasks; may be
    repeated, also while another machine does the same."""
    count_missing: Callable[[int, int], int]
    """Counts what is missing of a task, given the same."""


Share = Callable[[SharedWork], object]
"""Has all of a work written, and returns when it is there."""
