"""What is wrong with a leaderboard: broken or altered entries, and arms that are not complete."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from elusive.common.errors import InputError
from elusive.common.folders import file_hash
from elusive.evaluate.cells.cell import CellResult
from elusive.evaluate.compare.table import benchmarks, named_cells
from elusive.report.leaderboard.board import (
    ENTRIES,
    KNOWN_SUFFIX,
    answer_files,
    entry_paths,
    read_answers,
)
from elusive.report.leaderboard.entry import cell_of
from elusive.report.leaderboard.entry_check import entry_problems, schema_problems

Value = TypeVar("Value", bound=Hashable)


@dataclass(frozen=True)
class Checked:
    """What a look at a leaderboard found."""

    cells: list[CellResult]
    """Of the entries that are whole."""
    problems: list[str]
    """One line each."""


def check_board(board: Path, on_entry: Callable[[], object] = lambda: None) -> Checked:
    """Look at every entry, and at what they are together.

    Args:
        board: folder of the leaderboard.
        on_entry: called after each entry.

    Raises:
        InputError: the folder is no leaderboard, or an empty one.
    """
    cells, problems = [], []
    entries: dict[Path, dict[str, Any]] = {}
    for path in entry_paths(board):
        cell, found = _checked_entry(path, entries)
        problems += [_line(board, path, problem) for problem in found]
        if cell:
            cells.append(cell)
        on_entry()
    together = [*_duplicates(entries), *_without_entry(board, entries)]
    problems += [_line(board, path, problem) for path, problem in together]
    return Checked(cells, problems + list(_incomplete(cells)))


def _line(board: Path, path: Path, problem: str) -> str:
    """A problem with the file that it is in."""
    return f"{path.relative_to(board)}: {problem}"


def _checked_entry(
    path: Path, entries: dict[Path, dict[str, Any]]
) -> tuple[CellResult | None, list[str]]:
    """The cell of an entry, None if it cannot be read, and what is wrong with it.

    An entry that the schema allows is put among `entries`.
    """
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return None, [f"no JSON ({error})"]
    if problems := list(schema_problems(entry)):
        return None, problems
    entries[path] = entry
    answers = []
    for file, wanted in answer_files(path, entry).items():
        if not file.exists():
            problems.append(f"its answers are missing: {file.name}")
        elif file_hash(file) != wanted:
            problems.append(f"its answers were changed after the entry was made: {file.name}")
        else:
            try:
                answers.append(read_answers(file))
            except InputError as error:
                problems.append(str(error))
    if problems:
        return None, problems
    predictions, known = answers[0], answers[1] if len(answers) > 1 else []
    if path.stem != entry["cell"]:
        problems.append(f"$.cell: is {entry['cell']!r}, which is not the name of the file")
    problems += entry_problems(entry, predictions, known)
    return cell_of(entry, path, predictions, known), problems


def _duplicates(entries: dict[Path, dict[str, Any]]) -> Iterator[tuple[Path, str]]:
    """Entries of one cell, and trained cells whose answers are the same to the last digit."""
    cells: dict[str, Path] = {}
    answers: dict[str, Path] = {}
    for path, entry in entries.items():
        if (first := cells.setdefault(entry["cell"], path)) != path:
            yield path, f"the same cell as {first.name}"
        elif entry["parameters"]["training"] is not None:
            first = answers.setdefault(entry["predictions_sha256"], path)
            if first != path:
                yield path, f"the same answers as {first.name}, which is another cell"


def _without_entry(board: Path, entries: dict[Path, dict[str, Any]]) -> Iterator[tuple[Path, str]]:
    """Files of answers that no entry names."""
    for path in sorted((board / ENTRIES).glob("[!.]*.parquet")):
        known = path.name.endswith(KNOWN_SUFFIX)
        stem = path.name.removesuffix(KNOWN_SUFFIX) if known else path.stem
        entry = path.with_name(f"{stem}.json")
        if not entry.exists() or (
            known and entry in entries and "known_sha256" not in entries[entry]
        ):
            yield path, "answers without an entry"


def _incomplete(cells: list[CellResult]) -> Iterator[str]:
    """Arms whose seeds or questions are not those of the others of their benchmark."""
    for benchmark, members in (benchmarks(cells) if cells else {}).items():
        asked = {cell.folder.name: _asked(cell) for cell in members}
        usual = _most_common(list(asked.values()))
        for name, questions in asked.items():
            if questions != usual:
                yield f"{ENTRIES}/{name}.json: not the questions that others of {benchmark!r} have"
        yield from _seed_problems(benchmark, members)


def _seed_problems(benchmark: str, members: list[CellResult]) -> Iterator[str]:
    """Arms that lack seeds, or have some that others lack."""
    seeds = {
        arm: tuple(sorted(cell.parameters["seed"] for cell in cells))
        for arm, cells in named_cells(members).items()
    }
    usual = _most_common(list(seeds.values()), len)
    for arm, own in seeds.items():
        if own != usual:
            has, others = (", ".join(map(str, each)) for each in (own, usual))
            yield f"{benchmark!r}: arm {arm!r} has seeds {has}, others have {others}"


def _most_common(values: list[Value], size: Callable[[Value], int] = lambda value: 0) -> Value:
    """The value that most have; of equals, the larger one."""
    counts = Counter(values)
    return max(counts, key=lambda value: (counts[value], size(value)))


def _asked(cell: CellResult) -> int:
    """Equal for cells that answered the same questions, with the same gold answers."""
    by_id = defaultdict(list)
    for p in cell.predictions:
        by_id[p.question_id].append((p.entity, p.field, p.question, tuple(p.answers)))
    return hash(frozenset((name, tuple(sorted(asked))) for name, asked in by_id.items()))
