"""Check a leaderboard for broken or altered entries and for incomplete arms."""

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from elusive.common.dataset.folder import DatasetFolder, load_dataset_folder
from elusive.common.errors import InputError
from elusive.common.folders import hash_file
from elusive.evaluate.cells.cell_folder import CellResult, Trust
from elusive.evaluate.compare.groups import group_arms, group_benchmarks
from elusive.report.leaderboard.board import (
    ENTRIES,
    KNOWN_SUFFIX,
    list_answer_files,
    list_entry_paths,
    read_answers,
)
from elusive.report.leaderboard.board_settings import load_board_settings
from elusive.report.leaderboard.entry import build_cell
from elusive.report.leaderboard.entry_check import (
    find_entry_problems,
    find_gold_problems,
    find_schema_problems,
    is_gold_bound,
)
from elusive.report.leaderboard.verification import (
    VERIFIED_SUFFIX,
    find_verification_problems,
    get_record_path,
    read_record,
)

Value = TypeVar("Value", bound=Hashable)


@dataclass(frozen=True)
class Checked:
    """Result of checking a leaderboard."""

    cells: list[CellResult]
    """Cells of the entries that can be read."""
    problems: list[str]
    """One line per problem."""


def check_board(
    board: Path,
    on_entry: Callable[[], object] = lambda: None,
    datasets: Sequence[Path] = (),
) -> Checked:
    """Check every entry by itself, then all entries together.

    Args:
        board: folder of the leaderboard.
        on_entry: called after each entry.
        datasets: folders of datasets, with which gold answers are compared.

    Raises:
        InputError: the folder is not a leaderboard, or has no entries; no entry was measured on one
            of the datasets.
    """
    cells, problems = [], []
    entries: dict[Path, dict[str, Any]] = {}
    folders = {folder.content_hash: folder for folder in map(load_dataset_folder, datasets)}
    for path in list_entry_paths(board):
        cell, own_problems = _check_entry(path, entries, folders)
        problems += [_line(board, path, problem) for problem in own_problems]
        if cell:
            cells.append(cell)
        on_entry()
    _check_datasets(entries, folders)
    joint_problems = [
        *_duplicates(entries),
        *_without_entry(board, entries),
        *_unproven(entries, folders),
    ]
    problems += [_line(board, path, problem) for path, problem in joint_problems]
    problems += _find_settings_problems(board)
    return Checked(cells, problems + list(dict.fromkeys(_incomplete(cells))))


def _find_settings_problems(board: Path) -> list[str]:
    """Problems of the leaderboard's own settings, which `build` would refuse."""
    try:
        load_board_settings(board)
    except InputError as error:
        return [str(error)]
    return []


def _line(board: Path, path: Path, problem: str) -> str:
    return f"{path.relative_to(board)}: {problem}"


def _check_entry(
    path: Path, entries: dict[Path, dict[str, Any]], datasets: dict[str, DatasetFolder]
) -> tuple[CellResult | None, list[str]]:
    """Return the cell of an entry, None if it cannot be read, and the entry's problems.

    An entry that the schema allows is added to `entries`.
    """
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        return None, [f"not valid JSON ({error})"]
    if problems := list(find_schema_problems(entry)):
        return None, problems
    entries[path] = entry
    answers = []
    for file, sha256 in list_answer_files(path, entry).items():
        if not file.exists():
            problems.append(f"its answers are missing: {file.name}")
        elif hash_file(file) != sha256:
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
        problems.append(f"$.cell: {entry['cell']!r} is not the name of the file")
    problems += find_entry_problems(entry, predictions, known)
    problems += find_gold_problems(entry, predictions, known, datasets)
    verified = _check_verification(path, entry, problems)
    submission = (entry.get("submitted_by"), entry["submitted"])
    trust = Trust(is_gold_bound(entry, datasets), verified, *submission)
    return build_cell(entry, path, predictions, known, trust), problems


def _check_verification(path: Path, entry: dict[str, Any], problems: list[str]) -> bool:
    """Whether an entry was verified; adds the problems of its record."""
    record_path = get_record_path(path)
    if not record_path.exists():
        return False
    try:
        found = list(find_verification_problems(read_record(record_path), entry))
    except InputError as error:
        found = [str(error)]
    problems += [f"its verification {record_path.name}: {problem}" for problem in found]
    return not found


def _check_datasets(
    entries: dict[Path, dict[str, Any]], datasets: dict[str, DatasetFolder]
) -> None:
    """Raise InputError if no entry was measured on a dataset."""
    parameters = [entry["parameters"] for entry in entries.values()]
    used = {own[name] for own in parameters for name in ("dataset", "known") if own.get(name)}
    for content_hash, dataset in datasets.items():
        if content_hash not in used:
            raise InputError(
                f"--dataset: no entry was measured on {dataset.path} (content hash "
                f"{content_hash[:12]}): leave it out"
            )


def _unproven(
    entries: dict[Path, dict[str, Any]], datasets: dict[str, DatasetFolder]
) -> Iterator[tuple[Path, str]]:
    """Entries without a proof of their gold answers, where there should be one.

    Entries of earlier versions have none. They are compared with each other, unless others on the
    same dataset have proofs.
    """
    bound = {path: is_gold_bound(entry, datasets) for path, entry in entries.items()}
    proven = {entry["parameters"]["dataset"] for path, entry in entries.items() if bound[path]}
    for path, entry in entries.items():
        parameters = entry["parameters"]
        if not bound[path] and (parameters["dataset"] in proven or "settings" in parameters):
            yield (
                path,
                (
                    "nothing proves that its gold answers are those of its datasets: name their "
                    "folders with --dataset DIR, or make the cell again"
                ),
            )


def _duplicates(entries: dict[Path, dict[str, Any]]) -> Iterator[tuple[Path, str]]:
    """Entries of the same cell, and trained cells with exactly the same answers.

    Cells that differ only in what is measured beside, of what the model knew before, are left out.
    """
    cells: dict[str, Path] = {}
    answers: dict[str, Path] = {}
    for path, entry in entries.items():
        if (first := cells.setdefault(entry["cell"], path)) != path:
            yield path, f"is the same cell as {first.name}"
        elif entry["parameters"]["training"] is not None:
            first = answers.setdefault(entry["predictions_sha256"], path)
            if first != path and _select_own(entries[first]) != _select_own(entry):
                yield path, f"has the same answers as {first.name}, which is another cell"


def _select_own(entry: dict[str, Any]) -> dict[str, Any]:
    """The parameters of an entry that decide its answers to the dataset's questions."""
    return {name: value for name, value in entry["parameters"].items() if name != "known"}


def _without_entry(board: Path, entries: dict[Path, dict[str, Any]]) -> Iterator[tuple[Path, str]]:
    """Files of answers that no entry names."""
    for path in sorted((board / ENTRIES).glob(f"[!.]*{VERIFIED_SUFFIX}")):
        if not path.with_name(path.name.removesuffix(VERIFIED_SUFFIX) + ".json").exists():
            yield path, "a verification without an entry"
    for path in sorted((board / ENTRIES).glob("[!.]*.parquet")):
        is_known = path.name.endswith(KNOWN_SUFFIX)
        stem = path.name.removesuffix(KNOWN_SUFFIX) if is_known else path.stem
        entry_path = path.with_name(f"{stem}.json")
        lacks_known = entry_path in entries and "known_sha256" not in entries[entry_path]
        if not entry_path.exists() or (is_known and lacks_known):
            yield path, "answers without an entry"


def _incomplete(cells: list[CellResult]) -> Iterator[str]:
    """Arms whose seeds or questions differ from those of the rest of their benchmark."""
    for benchmark, members in (group_benchmarks(cells) if cells else {}).items():
        questions = {cell.folder.name: _hash_questions(cell) for cell in members}
        usual = _most_common(list(questions.values()))
        for name, own in questions.items():
            if own != usual:
                yield (
                    f"{ENTRIES}/{name}.json: its questions or gold answers are not those of the "
                    f"rest of {benchmark!r}"
                )
        yield from _seed_problems(benchmark, members)


def _seed_problems(benchmark: str, members: list[CellResult]) -> Iterator[str]:
    """Arms that lack seeds of the others, or have seeds that the others lack."""
    seeds = {
        arm: tuple(sorted(cell.parameters["seed"] for cell in cells))
        for arm, cells in group_arms(members).items()
    }
    usual = _most_common(list(seeds.values()), len)
    for arm, own in seeds.items():
        if own != usual:
            own_seeds, usual_seeds = (", ".join(map(str, numbers)) for numbers in (own, usual))
            yield f"{benchmark!r}: arm {arm!r} has seeds {own_seeds}, others have {usual_seeds}"


def _most_common(values: list[Value], size: Callable[[Value], int] = lambda value: 0) -> Value:
    """The most frequent value; among equally frequent ones, the larger."""
    counts = Counter(values)
    return max(counts, key=lambda value: (counts[value], size(value)))


def _hash_questions(cell: CellResult) -> int:
    """Equal for cells with the same questions and gold answers, known ones included."""
    questions = [
        (is_known, p.question_id, p.entity, p.field, p.question, *p.answers)
        for is_known, answers in enumerate((cell.predictions, cell.known))
        for p in answers
    ]
    return hash(tuple(sorted(questions)))
