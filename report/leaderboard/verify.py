"""Verify an entry: compute its answers again, and write down what was compared."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from elusive.common.dataset.folder import DatasetFolder, load_dataset_folder
from elusive.common.dataset.records import Prediction
from elusive.common.errors import InputError
from elusive.common.folders import hash_file, read_package_versions
from elusive.evaluate.cells.ask_again import Again, answer_again
from elusive.report.leaderboard.board import list_answer_files, read_answers, read_entry
from elusive.report.leaderboard.entry_check import find_entry_problems, find_gold_problems
from elusive.report.leaderboard.verification import (
    VERIFIED_SUFFIX,
    compare_answers,
    find_tolerance,
    find_verification_problems,
    get_record_path,
    write_record,
)


@dataclass(frozen=True)
class Verified:
    """Result of verifying an entry."""

    record: dict[str, Any]
    """What was compared, as JSON values of `Verification`."""
    problems: list[str]
    """Why the entry is not verified; its record is written only if this is empty."""
    path: Path
    """Of the record."""


def verify_entry(
    path: Path,
    dataset: Path,
    num_questions: int,
    adapter: Path | None = None,
    train: Path | None = None,
    model: str | None = None,
    by: str | None = None,
    seed: int | None = None,
    on_progress: Callable[[int], object] = lambda count: None,
) -> Verified:
    """Answer some of an entry's questions again, and compare answers and log-probabilities.

    Args:
        path: file of the entry.
        dataset: folder of its dataset.
        num_questions: how many questions are asked again; all if the cell is trained again.
        adapter: the trained adapter of the cell.
        train: the training text of the cell, to train it again.
        model: reference of its model; that of the entry if None.
        by: name of the verifier.
        seed: of the choice of questions; drawn if None, so that nobody knows the questions before.
        on_progress: called with the number of questions or steps that were finished.

    Raises:
        InputError: the entry is broken or altered, or something is not what it was made with.
    """
    entry = _read_checked(path)
    asked = load_dataset_folder(dataset)
    stored = read_answers(path.with_suffix(".parquet"))
    _check_dataset(path, entry, stored, asked)
    parameters = entry["parameters"]
    again = Again(asked, model or parameters["model"], adapter, train)
    seed = secrets.randbelow(2**31) if seed is None else seed
    answers, device = answer_again(parameters, again, num_questions, seed, on_progress)
    how = "asked again with the adapter" if adapter else "asked again"
    record: dict[str, Any] = {
        "cell": entry["cell"],
        "predictions_sha256": entry["predictions_sha256"],
        "how": "trained again" if train and not adapter else how,
        "questions": len(answers),
        "seed": seed,
        **compare_answers(stored, answers),
        "tolerance": find_tolerance(parameters),
        "versions": read_package_versions(),
        "device": device,
        "verified": date.today().isoformat(),
    } | ({"verified_by": by} if by else {})
    problems = list(find_verification_problems(record, entry))
    if not problems:
        write_record(get_record_path(path), record)
    return Verified(record, problems, get_record_path(path))


def _check_dataset(
    path: Path, entry: dict[str, Any], stored: list[Prediction], asked: DatasetFolder
) -> None:
    """Raise InputError unless an entry was measured on a dataset, with its gold answers."""
    wanted = entry["parameters"]["dataset"]
    if asked.content_hash != wanted:
        raise InputError(
            f"--dataset: {asked.path} has content hash {asked.content_hash[:12]}, the entry was "
            f"measured on {wanted[:12]}: name that dataset"
        )
    problem = next(find_gold_problems(entry, stored, [], {asked.content_hash: asked}), None)
    if problem:
        raise InputError(f"{path}: {problem}")


def _read_checked(path: Path) -> dict[str, Any]:
    """Read an entry whose own parts fit together.

    Raises:
        InputError: they do not, or the entry cannot be computed again.
    """
    if not path.is_file() or path.suffix != ".json" or path.name.endswith(VERIFIED_SUFFIX):
        raise InputError(f"{path} is not an entry: name a file BOARD/entries/<id>.json")
    entry = read_entry(path)
    answers = []
    for file, sha256 in list_answer_files(path, entry).items():
        if not file.exists() or hash_file(file) != sha256:
            raise InputError(f"{file} is missing or was changed: get the entry again")
        answers.append(read_answers(file))
    known = answers[1] if len(answers) > 1 else []
    if problem := next(find_entry_problems(entry, answers[0], known), None):
        raise InputError(f"{path}: {problem}")
    if entry["parameters"]["answering"].get("served"):
        raise InputError(f"{path}: a server gave its answers, which cannot be computed again here")
    return entry
