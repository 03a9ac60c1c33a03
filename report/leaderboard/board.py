"""A leaderboard: a folder whose `entries/` hold one JSON file per cell, its answers beside it."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from elusive.common.dataset.records import Prediction, from_table
from elusive.common.errors import InputError, validated
from elusive.common.folders import file_hash, write_atomically
from elusive.common.templates import render_template
from elusive.evaluate.cells.cell import KNOWN, PREDICTIONS, CellResult
from elusive.report.leaderboard.entry import Entry, cell_of, differing, entry_of, schema_text
from elusive.report.leaderboard.entry_check import entry_problems

ENTRIES, README, SCHEMA = "entries", "README.md", "entry.schema.json"
KNOWN_SUFFIX = ".known.parquet"


def init_board(board: Path) -> bool:
    """Make a leaderboard's folder, how to submit, and the schema; False if it was there.

    A README.md that is there is left alone; the schema becomes that of this version.

    Raises:
        InputError: `board` holds something else.
    """
    if board.exists() and not board.is_dir():
        raise InputError(f"{board} is a file, not a folder: choose another name")
    was_there = (board / ENTRIES).is_dir()
    others = [] if was_there or not board.exists() else _visible(board)
    if others and others != [README]:
        raise InputError(
            f"{board} holds other files ({others[0]}): choose another folder, or an empty one"
        )
    (board / ENTRIES).mkdir(parents=True, exist_ok=True)
    if not (board / README).exists():
        write_atomically(board / README, render_template(Path(__file__).parent / "board.md.j2"))
    write_atomically(board / SCHEMA, schema_text())
    return not was_there


def _visible(folder: Path) -> list[str]:
    """Names of the files of a folder, those of git and its host left out."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


@dataclass(frozen=True)
class Added:
    """What adding cells led to."""

    new: list[Path]
    """Entries that were written."""
    same: int
    """Cells that the leaderboard had already."""


def add_cells(
    cells: list[CellResult], board: Path, by: str | None = None, day: date | None = None
) -> Added:
    """Write an entry for each finished cell that the leaderboard lacks; all, or none.

    Args:
        cells: as read from their folders.
        board: folder of the leaderboard.
        by: who submits.
        day: of submission; today if None.

    Raises:
        InputError: a cell differs from its entry, its scores do not follow from its answers, or it
            lacks something that entries hold.
    """
    wanted: dict[Path, tuple[CellResult, dict[str, Any]]] = {}
    for cell in cells:
        entry = _checked_entry(cell, by, day or date.today())
        wanted.setdefault(board / ENTRIES / f"{entry['cell']}.json", (cell, entry))
    new = [path for path, (cell, entry) in wanted.items() if not _is_there(path, cell, entry)]
    for path in new:
        _write(path, *wanted[path])
    return Added(new, len(wanted) - len(new))


def _checked_entry(cell: CellResult, by: str | None, day: date) -> dict[str, Any]:
    """The entry of a cell, found right."""
    try:
        entry = entry_of(cell, by, day)
    except InputError as error:
        raise InputError(
            f"{cell.folder} cannot become an entry ({error}): run its plan again into a new folder"
        ) from None
    if problem := next(entry_problems(entry, cell.predictions, cell.known), None):
        raise InputError(f"{cell.folder} cannot become an entry: {problem}")
    return entry


def _is_there(path: Path, cell: CellResult, entry: dict[str, Any]) -> bool:
    """Whether the leaderboard has just this entry.

    Raises:
        InputError: it has another one under the same id.
    """
    if not path.exists():
        return False
    differences = differing(read_entry(path), entry)
    if differences:
        raise InputError(
            f"{cell.folder} differs from {path}, which is of the same cell, in "
            f"{', '.join(differences)}: keep the entry that is there, or delete it and add again"
        )
    return all(
        file.exists() and file_hash(file) == wanted
        for file, wanted in answer_files(path, entry).items()
    )


def _write(path: Path, cell: CellResult, entry: dict[str, Any]) -> None:
    """Write the answers, then the entry, which makes them count."""
    for name, target in ((PREDICTIONS, path.with_suffix(".parquet")), (KNOWN, known_path(path))):
        if (cell.folder / name).exists():
            temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
            shutil.copyfile(cell.folder / name, temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
    text = json.dumps(entry, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(path, text + "\n")


def known_path(path: Path) -> Path:
    """Where the answers about what was known before go."""
    return path.with_name(path.stem + KNOWN_SUFFIX)


def answer_files(path: Path, entry: dict[str, Any]) -> dict[Path, str]:
    """Files of answers that an entry names, with their SHA-256."""
    files = {path.with_suffix(".parquet"): entry["predictions_sha256"]}
    if "known_sha256" in entry:
        files[known_path(path)] = entry["known_sha256"]
    return files


def entry_paths(board: Path) -> list[Path]:
    """Files of all entries, by name.

    Raises:
        InputError: the folder is no leaderboard, or an empty one.
    """
    if not (board / ENTRIES).is_dir():
        raise InputError(
            f"{board} is no leaderboard, it has no folder {ENTRIES}: make one with "
            "`elusive leaderboard init BOARD`"
        )
    paths = sorted((board / ENTRIES).glob("[!.]*.json"))
    if not paths:
        raise InputError(
            f"{board} holds no entries: add some with `elusive leaderboard add RUN --to {board}`"
        )
    return paths


def read_entry(path: Path) -> dict[str, Any]:
    """An entry as JSON has it, which the schema allows.

    Raises:
        InputError: it is broken, or the schema does not allow it.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no JSON ({error}): add its cell again") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} is no JSON object: add its cell again")
    try:
        validated(Entry, values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return values


def read_answers(path: Path) -> list[Prediction]:
    """Stored answers.

    Raises:
        InputError: the file is missing or broken.
    """
    if not path.exists():
        raise InputError(f"{path} is missing: add the cell again")
    try:
        return from_table(pq.read_table(path), Prediction)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} holds no answers ({reason}): add the cell again") from None


def read_cell(path: Path, entry: dict[str, Any]) -> CellResult:
    """The cell of an entry.

    Raises:
        InputError: answers are missing or changed since the entry was made.
    """
    answers = []
    for file, wanted in answer_files(path, entry).items():
        if file.exists() and file_hash(file) != wanted:
            raise InputError(f"{file} was changed after the entry was made: add the cell again")
        answers.append(read_answers(file))
    return cell_of(entry, path, answers[0], answers[1] if len(answers) > 1 else [])


def load_board(board: Path) -> list[CellResult]:
    """All entries of a leaderboard as finished cells; `elusive leaderboard check` looks closer.

    Raises:
        InputError: no leaderboard, a broken entry, answers that are missing or changed.
    """
    return list(_cells(board))


def _cells(board: Path) -> Iterator[CellResult]:
    """The cells of all entries, one after another."""
    for path in entry_paths(board):
        yield read_cell(path, read_entry(path))
