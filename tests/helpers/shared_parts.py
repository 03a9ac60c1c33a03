"""Work in parts that processes of their own write, which import this module by its name."""

from pathlib import Path

from elusive.common.errors import InputError


def write_part(out: Path, number: int, tasks: int) -> None:
    """Write a file, or fail in part 1 while the folder has a file `broken`."""
    if number == 1 and (out / "broken").exists():
        raise InputError("this part is broken")
    (out / f"{number}").touch()


def count_part(out: Path, number: int, tasks: int) -> int:
    """Return 1 until the file is there, then 0."""
    return int(not (out / f"{number}").exists())
