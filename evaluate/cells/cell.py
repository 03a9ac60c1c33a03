"""A cell: one arm trained and scored once, kept in a folder of its own."""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from elusive.augment.scores.scorers import IN_TRAINING
from elusive.common.answers import scoring_hash
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.dataset.records import Prediction, Question, from_table
from elusive.common.errors import InputError
from elusive.common.folders import (
    checked_manifest,
    file_hash,
    parameters_hash,
    read_manifest,
    write_atomically,
)
from elusive.common.lm.references import adapter_hash
from elusive.evaluate.config import UNTRAINED, AnsweringConfig, RunSettings, TrainingConfig

ID_LENGTH = 12
KNOWN_QUESTIONS = 250
"""Questions, and texts, that are taken of what a model knew before."""
MADE_BY = "elusive evaluate DATASET --out DIR"
PREDICTIONS, KNOWN = "predictions.parquet", "known.parquet"
CHECKSUMS = "weights.sha256"
"""Hashes of trained weights, as `sha256sum --check` reads them."""
NAMES = ("label", "model", "augment", "dataset_name", "chosen")
"""Parameters that name and decide nothing: of how the text was made, its content hash says all."""


@dataclass(frozen=True)
class Cell:
    """Everything that decides the outcome of one training and its scoring."""

    label: str
    """Name of the arm in tables; decides nothing."""
    train: Path | None
    """Folder of the training text; None where nothing is trained."""
    model: str
    """Reference of the model."""
    seed: int
    settings: RunSettings
    known: DatasetFolder | None = None
    """What the model knew before, to see what it forgets."""
    adapter: Path | None = None
    """Folder of a finished adapter that is scored in place of training one."""
    chosen: dict[str, Any] | None = None
    """How a sweep chose the arm's settings; decides nothing by itself."""


def cell_parameters(
    cell: Cell,
    dataset: DatasetFolder,
    weights_hash: str,
    served: dict[str, str | None] | None = None,
) -> dict[str, Any]:
    """The parameters of a cell's folder: what decides the outcome, and its names.

    Args:
        cell: what is made.
        dataset: what is asked about.
        weights_hash: of the model.
        served: what a server says of the model that answers; None if a local one does.
    """
    manifest = read_manifest(cell.train, "training text") if cell.train else None
    extra: dict[str, Any] = _acting_parameters(manifest.parameters) if manifest else {}
    if cell.known:
        extra["known"] = cell.known.content_hash
    if cell.adapter:
        extra["adapter"] = adapter_hash(cell.adapter)
    if cell.settings.threads:
        extra["threads"] = cell.settings.threads
    if cell.chosen:
        extra["chosen"] = cell.chosen
    return {
        "label": cell.label,
        **extra,
        "dataset": dataset.content_hash,
        "dataset_name": dataset.name,
        "train": manifest.content_hash if manifest else None,
        "augment": manifest.parameters if manifest else {"method": UNTRAINED},
        "model": cell.model,
        "weights": weights_hash,
        "seed": cell.seed,
        "training": cell.settings.training.deciding() if manifest else None,
        "answering": cell.settings.answering.deciding() | ({"served": served} if served else {}),
        "scoring": scoring_hash(),
    }


def _acting_parameters(augment: dict[str, Any]) -> dict[str, Any]:
    """What decides the outcome of an arm that acts in training, which its text does not show."""
    if augment["method"] not in IN_TRAINING:
        return {}
    deciding = {name: augment[name] for name in ("method", "noise", "selected")}
    return {"acting": deciding | {"reference": augment["weights"].get("reference")}}


def cell_id(parameters: dict[str, Any]) -> str:
    """Identifier of a cell: a hash of all that changes its outcome, names left out."""
    deciding = {key: value for key, value in parameters.items() if key not in NAMES}
    return parameters_hash(deciding)[:ID_LENGTH]


def cell_folder(run: Path, parameters: dict[str, Any]) -> Path:
    """Where a cell of a run goes."""
    name = f"{file_name(parameters['label'])}-seed{parameters['seed']}-{cell_id(parameters)}"
    return run / "cells" / name


def file_name(label: str) -> str:
    """A label as part of a file's name.

    >>> file_name("contrast, large / small")
    'contrast-large-small'
    """
    return re.sub(r"[^\w.=+-]+", "-", label).strip("-.") or "arm"


def asked_questions(dataset: DatasetFolder, answering: AnsweringConfig) -> list[Question]:
    """The questions of the chosen split.

    Raises:
        InputError: there are none.
    """
    chosen = [q for q in dataset.questions if answering.split in ("all", q.split)]
    if not chosen:
        raise InputError(
            f"the dataset has no {answering.split} questions: choose --split all or add people"
        )
    return chosen[: answering.limit]


def num_steps(num_texts: int, training: TrainingConfig) -> int:
    """Optimizer steps of one cell, about where the budget is tokens."""
    return math.ceil((training.epochs * num_texts + training.format_replay) / training.batch_size)


@dataclass(frozen=True)
class CellResult:
    """A finished cell as read from its folder."""

    folder: Path
    parameters: dict[str, Any]
    predictions: list[Prediction]
    known: list[Prediction]
    """Answers to what the model knew before; empty if it was not asked."""
    metrics: dict[str, Any]
    costs: dict[str, Any]
    log: dict[str, Any] | None
    """None where nothing was trained."""


def load_cell(folder: Path) -> CellResult:
    """Read a finished cell.

    Raises:
        InputError: the folder is no cell, its predictions changed since it was written, or a file
            is broken.
    """
    manifest = checked_manifest(folder, "cell", MADE_BY)
    try:
        read = {
            name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
            for name in ("costs", "metrics", "training_log")
        }
        answers = {
            name: from_table(pq.read_table(folder / name), Prediction)
            for name in (PREDICTIONS, KNOWN)
            if (folder / name).exists()
        }
        predictions = answers[PREDICTIONS]
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise InputError(
            f"{folder}: a file of the cell is broken ({type(error).__name__}: {error}): run its "
            "plan again, or `elusive evaluate` into another folder"
        ) from None
    return CellResult(
        folder=folder,
        parameters=manifest.parameters,
        predictions=predictions,
        known=answers.get(KNOWN, []),
        metrics=read["metrics"],
        costs=read["costs"],
        log=read["training_log"],
    )


def write_checksums(folder: Path) -> None:
    """Keep the hashes of the weights that a cell's folder holds."""
    paths = sorted(folder.glob("*/*.safetensors"))
    lines = [f"{file_hash(path)}  {path.relative_to(folder).as_posix()}\n" for path in paths]
    write_atomically(folder / CHECKSUMS, "".join(lines))


def check_weights(folder: Path) -> None:
    """Compare a cell's trained weights with their hashes. Removed ones are no error.

    Raises:
        InputError: a file changed since it was written.
    """
    if not (folder / CHECKSUMS).exists():
        return
    for line in (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines():
        digest, name = line.split("  ", 1)
        if (folder / name).exists() and file_hash(folder / name) != digest:
            raise InputError(
                f"{folder / name} is not what was trained: run its plan again, or remove the file "
                "if the answers are all that is needed"
            )
