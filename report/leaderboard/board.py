"""A leaderboard's folder: `entries/` holds one JSON file per cell, with its answers beside it."""

import json
import os
import shutil
import uuid
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from elusive.common.dataset.records import Prediction, from_table
from elusive.common.errors import InputError, validate_config
from elusive.common.folders import hash_file, write_atomically
from elusive.common.jinja import render_template
from elusive.evaluate.cells.cell_folder import KNOWN, PREDICTIONS, CellResult
from elusive.report.leaderboard.board_settings import (
    SETTINGS,
    BoardSettings,
    render_board_settings,
)
from elusive.report.leaderboard.entry import (
    Entry,
    build_entry,
    find_differences,
    render_schema,
)
from elusive.report.leaderboard.entry_check import find_entry_problems, find_gold_problems
from elusive.report.leaderboard.verification import VERIFIED_SUFFIX

ENTRIES, README, SCHEMA = "entries", "README.md", "entry.schema.json"
WORKFLOW = Path(".github") / "workflows" / "check-entries.yaml"
KNOWN_SUFFIX = ".known.parquet"


def init_board(board: Path, title: str | None = None) -> bool:
    """Create a leaderboard's folder, and in it what explains, describes and checks entries.

    It gets a README.md that says how to submit, the settings of its page, the schema of entries,
    and a workflow that checks pull requests on GitHub. Existing files stay as they are, except the
    schema, which becomes that of this version.

    Args:
        board: the folder.
        title: of the leaderboard; "Leaderboard" if None.

    Returns:
        False if the leaderboard already existed.

    Raises:
        InputError: `board` holds other files.
    """
    if board.exists() and not board.is_dir():
        raise InputError(f"{board} is a file, not a folder: choose another name")
    exists = (board / ENTRIES).is_dir()
    if board.exists() and not exists:
        # Hidden files belong to git or its host.
        names = sorted(path.name for path in board.iterdir() if not path.name.startswith("."))
        if set(names) - {README, SETTINGS}:
            raise InputError(
                f"{board} holds other files ({names[0]}): choose a new or an empty folder"
            )
    (board / ENTRIES).mkdir(parents=True, exist_ok=True)
    settings = BoardSettings(title=title) if title else BoardSettings()
    templates = Path(__file__).parent
    texts = {
        Path(README): render_template(templates / "board.md.j2", title=settings.title),
        Path(SETTINGS): render_board_settings(settings),
        WORKFLOW: render_template(templates / "workflow.yaml.j2", version=version("elusive")),
    }
    for path, text in texts.items():
        if not (board / path).exists():
            (board / path).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(board / path, text)
    write_atomically(board / SCHEMA, render_schema())
    return not exists


@dataclass(frozen=True)
class Added:
    """Result of adding cells."""

    new: list[Path]
    """Entries that were written."""
    same: int
    """Number of cells whose entries were already there."""


def add_cells(
    cells: list[CellResult], board: Path, by: str | None = None, day: date | None = None
) -> Added:
    """Write an entry for each finished cell that the leaderboard lacks.

    Nothing is written unless all cells are valid.

    Args:
        cells: finished cells.
        board: folder of the leaderboard.
        by: name of the submitter.
        day: day of submission; today if None.

    Raises:
        InputError: a cell differs from its entry, its answers do not give its scores, or it lacks
            something that entries need.
    """
    entries: dict[Path, tuple[CellResult, dict[str, Any]]] = {}
    for cell in cells:
        entry = _build_valid_entry(cell, by, day or date.today())
        entries.setdefault(board / ENTRIES / f"{entry['cell']}.json", (cell, entry))
    new = [path for path, (cell, entry) in entries.items() if not _is_present(path, cell, entry)]
    for path in new:
        _write(path, *entries[path])
    return Added(new, len(entries) - len(new))


def _build_valid_entry(cell: CellResult, by: str | None, day: date) -> dict[str, Any]:
    try:
        entry = build_entry(cell, by, day)
    except InputError as error:
        raise InputError(
            f"{cell.folder} cannot become an entry ({error}): run its plan again into a new folder"
        ) from None
    problems = [
        *find_entry_problems(entry, cell.predictions, cell.known),
        *find_gold_problems(entry, cell.predictions, cell.known, {}),
    ]
    if problem := next(iter(problems), None):
        raise InputError(f"{cell.folder} cannot become an entry: {problem}")
    return entry


def _is_present(path: Path, cell: CellResult, entry: dict[str, Any]) -> bool:
    """Whether the leaderboard holds this entry with its answers.

    Raises:
        InputError: the entry with this id differs.
    """
    if not path.exists():
        return False
    differences = find_differences(read_entry(path), entry)
    if differences:
        raise InputError(
            f"{cell.folder} differs from its entry {path} in {', '.join(differences)}: keep the "
            "entry, or delete it and add the cell again"
        )
    return all(
        file.exists() and hash_file(file) == sha256
        for file, sha256 in list_answer_files(path, entry).items()
    )


def _write(path: Path, cell: CellResult, entry: dict[str, Any]) -> None:
    # The entry comes last: answers without an entry count for nothing.
    for name, target in ((PREDICTIONS, path.with_suffix(".parquet")), (KNOWN, _known_path(path))):
        if (cell.folder / name).exists():
            temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
            shutil.copyfile(cell.folder / name, temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
    text = json.dumps(entry, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(path, text + "\n")


def _known_path(path: Path) -> Path:
    return path.with_name(path.stem + KNOWN_SUFFIX)


def list_answer_files(path: Path, entry: dict[str, Any]) -> dict[Path, str]:
    """Return the SHA-256 of each file of answers that an entry names, by its path."""
    files = {path.with_suffix(".parquet"): entry["predictions_sha256"]}
    if "known_sha256" in entry:
        files[_known_path(path)] = entry["known_sha256"]
    return files


def list_entry_paths(board: Path) -> list[Path]:
    """Return the paths of all entries, sorted by name.

    Raises:
        InputError: the folder is not a leaderboard, or has no entries.
    """
    if not (board / ENTRIES).is_dir():
        raise InputError(
            f"{board} is not a leaderboard, because it has no folder {ENTRIES}/: create one with "
            "`elusive leaderboard init BOARD`"
        )
    files = sorted((board / ENTRIES).glob("[!.]*.json"))
    paths = [path for path in files if not path.name.endswith(VERIFIED_SUFFIX)]
    if not paths:
        raise InputError(
            f"{board} has no entries: add some with `elusive leaderboard add RUN --to {board}`"
        )
    return paths


def read_entry(path: Path) -> dict[str, Any]:
    """Read an entry as JSON values and validate it.

    Raises:
        InputError: the file is broken or violates the schema.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not valid JSON ({error}): add its cell again") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} is not a JSON object: add its cell again")
    try:
        validate_config(Entry, values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return values


def read_answers(path: Path) -> list[Prediction]:
    """Read stored answers.

    Raises:
        InputError: the file cannot be read, or has other columns.
    """
    try:
        return from_table(pq.read_table(path), Prediction)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"cannot read answers from {path} ({reason}): add the cell again"
        ) from None
