"""Things that could not be made, as records in a folder `failed`."""

import json
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from elusive.common.errors import InputError
from elusive.common.folders import write_atomically
from elusive.common.process.progress import print_line


@dataclass(frozen=True)
class Failure:
    """A cell, or a task, that failed."""

    cell: str
    """Its name."""
    error: str
    """One line."""
    details: str
    """The traceback."""


def build_failure(name: str, error: Exception) -> Failure:
    """Build the record of what failed; call it while handling the error."""
    return Failure(name, render_error(error), traceback.format_exc())


def render_error(error: Exception) -> str:
    """Render an error as one line, with its type unless the user's input is wrong."""
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"


def record_failure(out: Path, failure: Failure) -> None:
    """Write down a failure below a folder, and print it."""
    write_failure(out, failure)
    print_warning(f"{failure.cell} failed: {failure.error}")


def write_failure(out: Path, failure: Failure) -> None:
    """Write down a failure below a folder."""
    path = _find_record(out, failure.cell)
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, json.dumps(asdict(failure), indent=2) + "\n")


def read_failure(out: Path, name: str) -> Failure | None:
    """Read the failure of a name; None if there is none."""
    path = _find_record(out, name)
    return Failure(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def forget_failure(out: Path, name: str) -> None:
    """Remove the record of a failure, if there is one."""
    _find_record(out, name).unlink(missing_ok=True)


def _find_record(out: Path, name: str) -> Path:
    return out / "failed" / f"{name}.json"


def print_warning(message: str) -> None:
    """Print a line on stderr without breaking progress bars."""
    print_line(f"elusive: {message}")
