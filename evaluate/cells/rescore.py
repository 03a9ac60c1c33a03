"""Score stored answers again; this needs no model."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from elusive.common.answers import get_scoring_language, hash_scoring, score_answer
from elusive.common.dataset.records import Prediction
from elusive.common.folders import write_manifest
from elusive.evaluate.cells.cell import find_cell_folder
from elusive.evaluate.cells.cell_folder import CellResult, find_cells, list_cells
from elusive.evaluate.cells.metrics import write_predictions
from elusive.evaluate.sweep_config import SWEEP_FOLDER

SCORINGS = ("scoring", "known_scoring")
"""Parameters of a cell that are hashes of a scoring."""


def score_again(predictions: list[Prediction], language: str = "en") -> list[Prediction]:
    """Return the answers, in some language, with the scores of the installed version."""
    return [
        replace(p, **score_answer(p.prediction, p.answers, language))  # type: ignore[arg-type]
        for p in predictions
    ]


def rescore(folder: Path) -> list[str]:
    """Score the stored answers of a run, the trials of its sweep among them, or of a cell again.

    Cells that the installed version scored stay as they are. The others are rewritten in a folder
    that bears their new id.

    Returns:
        Former names of the cells that were scored again; those of trials begin with "sweep/".

    Raises:
        InputError: there are no finished cells, or a cell is damaged.
    """
    if not folder.exists() and _get_former(folder).exists():  # killed between two renames
        _get_former(folder).replace(folder)
    names = _rescore_cells(folder)
    if list_cells(folder / SWEEP_FOLDER):
        names += [f"{SWEEP_FOLDER}/{name}" for name in _rescore_cells(folder / SWEEP_FOLDER)]
    return names


def _rescore_cells(folder: Path) -> list[str]:
    outdated = []
    for cell in find_cells(folder):
        changed = {
            name: hash_scoring(get_scoring_language(former))
            for name in SCORINGS
            if (former := cell.parameters.get(name)) is not None
        }
        if changed.items() <= cell.parameters.items():
            continue
        parameters = cell.parameters | changed
        is_single = cell.folder == folder
        _replace_cell(
            cell, parameters, folder if is_single else find_cell_folder(folder, parameters)
        )
        outdated.append(cell.folder.name)
    return outdated


def _replace_cell(cell: CellResult, parameters: dict[str, Any], target: Path) -> None:
    """Replace a cell by a copy with new scores."""
    copy = cell.folder.with_name(f".{cell.folder.name}.rescored")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(cell.folder, copy)
    perplexity = cell.metrics.get("known", {}).get("perplexity")
    scoring = parameters["scoring"]
    languages = map(get_scoring_language, (scoring, parameters.get("known_scoring") or scoring))
    answers, known = map(score_again, (cell.predictions, cell.known), languages)
    write_predictions(copy, answers, known, perplexity)
    write_manifest(copy, "cell", parameters, versions=cell.versions)
    if target != cell.folder:
        if not target.exists():  # another run may have made it again
            copy.replace(target)
        shutil.rmtree(cell.folder)
        shutil.rmtree(copy, ignore_errors=True)
        return
    before = _get_former(target)
    shutil.rmtree(before, ignore_errors=True)
    target.replace(before)
    copy.replace(target)
    shutil.rmtree(before)


def _get_former(folder: Path) -> Path:
    """Return where a cell of its own lies while its copy takes its place."""
    return folder.with_name(f".{folder.name}.before")
