"""A cell: one arm trained and scored once, kept in a folder of its own."""

import json
import math
import resource
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import pyarrow.parquet as pq

from elusive.augment.augment import load_training_texts, read_summary
from elusive.common.dataset import LIMIT_MARK, DatasetFolder
from elusive.common.errors import InputError
from elusive.common.folders import (
    already_made,
    checked_manifest,
    new_folder,
    parameters_hash,
    read_manifest,
    write_atomically,
)
from elusive.common.models import LoadedModel
from elusive.common.records import Prediction, Question, from_table, to_table
from elusive.common.seeding import stream
from elusive.evaluate.answering import answer_questions, check_adapter_acts
from elusive.evaluate.config import AnsweringConfig, RunSettings, TrainingConfig
from elusive.evaluate.metrics import ClosedBookQA
from elusive.evaluate.packing import packed_rows, replay_sequence, training_sequences
from elusive.evaluate.prompts import (
    few_shot_prefix,
    question_text,
    sample_replay,
    split_shots,
    topic,
)
from elusive.evaluate.training import OnStep, TrainingLog, lora_model, train

ID_LENGTH = 12


@dataclass(frozen=True)
class Cell:
    """Everything that decides the outcome of one training and its scoring."""

    label: str
    """Name of the arm in tables; decides nothing."""
    train: Path
    """Folder of the training text."""
    model: str
    """Reference of the trained model."""
    seed: int
    settings: RunSettings


def cell_parameters(cell: Cell, dataset: DatasetFolder, weights_hash: str) -> dict[str, Any]:
    """The parameters of a cell's folder: what decides the outcome, and its names."""
    manifest = read_manifest(cell.train, "training text")
    return {
        "label": cell.label,
        "dataset": dataset.content_hash,
        "train": manifest.content_hash,
        "augment": manifest.parameters,
        "model": cell.model,
        "weights": weights_hash,
        "seed": cell.seed,
        "training": cell.settings.training.model_dump(),
        "answering": cell.settings.answering.model_dump(exclude={"answer_batch_size"}),
    }


def cell_id(parameters: dict[str, Any]) -> str:
    """Identifier of a cell: a hash of all that changes its outcome.

    Names change nothing: the label, the model's reference, and how the training text was made, of
    which its content hash says all.
    """
    names = ("label", "model", "augment")
    deciding = {key: value for key, value in parameters.items() if key not in names}
    return parameters_hash(deciding)[:ID_LENGTH]


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
    """Optimizer steps of one cell."""
    return math.ceil((training.epochs * num_texts + training.format_replay) / training.batch_size)


def run_cell(
    cell: Cell,
    dataset: DatasetFolder,
    loaded: LoadedModel,
    out: Path,
    on_step: OnStep = lambda: None,
) -> bool:
    """Train, answer, score, and write the cell's folder; False if it holds this cell already.

    Raises:
        InputError: `out` holds other files, or the inputs do not fit together.
    """
    _check_origin(cell, dataset)
    parameters = cell_parameters(cell, dataset, loaded.weights_hash)
    if already_made(out, "cell", parameters):
        return False
    questions = asked_questions(dataset, cell.settings.answering)
    rows, shots = _training_rows(cell, dataset, loaded)
    with (
        lora_model(loaded, cell.settings.training, cell.seed) as model,
        new_folder(out, "cell", parameters) as folder,
    ):
        log = train(model, rows, cell.settings.training, cell.seed, on_step)
        probe = few_shot_prefix(shots, topic(questions[0])) + question_text(questions[0].question)
        check_adapter_acts(model, loaded.tokenizer, probe)
        start = perf_counter()
        batch_size = cell.settings.answering.answer_batch_size
        predictions = answer_questions(model, loaded.tokenizer, questions, shots, batch_size)
        answering_seconds = perf_counter() - start
        model.save_pretrained(str(folder / "adapter"), save_embedding_layers=False)
        _write_results(folder, predictions, log, _costs(cell, log, answering_seconds))
    return True


def _check_origin(cell: Cell, dataset: DatasetFolder) -> None:
    """Raise InputError unless the training text was made from this dataset and is unchanged."""
    manifest = checked_manifest(cell.train, "training-text", "elusive augment DATASET --out DIR")
    made_from = manifest.parameters["dataset"].split(LIMIT_MARK)[0]
    if made_from != dataset.content_hash:
        raise InputError(
            f"{cell.train} was made from another dataset: augment this dataset first, "
            "with `elusive augment DATASET --method NAME --out DIR`"
        )


def _training_rows(cell: Cell, dataset: DatasetFolder, loaded: LoadedModel) -> tuple[list, list]:
    """The packed rows of all epochs, and the shots of the prompts."""
    training, answering = cell.settings.training, cell.settings.answering
    shots, rest = split_shots(dataset.shots, answering.num_shots, cell.seed)
    sequences = training_sequences(
        load_training_texts(cell.train),
        dataset.documents,
        loaded.tokenizer,
        training.labels == "clean",
    )
    solved = sample_replay(rest, training.format_replay, cell.seed)
    replay = [replay_sequence(shot, loaded.tokenizer) for shot in solved]
    rng = stream(cell.seed, "epochs")
    rows = packed_rows(sequences, replay, training.epochs, training.batch_size, rng)
    return list(rows), shots


def _costs(cell: Cell, log: TrainingLog, answering_seconds: float) -> dict[str, float]:
    """Seconds of each stage, drop rate, and the process's peak memory so far."""
    summary = read_summary(cell.train)
    return {
        **summary.seconds,
        "drop_rate": summary.drop_rate,
        "training": log.seconds,
        "answering": answering_seconds,
        "training_tokens_per_second": log.tokens / log.seconds,
        "peak_memory_mib": _peak_memory_mib(),
    }


def _peak_memory_mib() -> float:
    """Largest resident memory of this process so far, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _write_results(
    folder: Path, predictions: list[Prediction], log: TrainingLog, costs: dict[str, float]
) -> None:
    """Predictions as Parquet; metrics, training log and costs as JSON."""
    pq.write_table(to_table(predictions, Prediction), folder / "predictions.parquet")
    metrics = ClosedBookQA(keep_in_memory=True).compute(
        predictions=[prediction.prediction for prediction in predictions],
        references=[prediction.answers for prediction in predictions],
    )
    assert metrics is not None
    mean = sum(prediction.log_probability for prediction in predictions) / len(predictions)
    contents = {
        "metrics": metrics | {"log_probability": mean, "questions": len(predictions)},
        "training_log": asdict(log),
        "costs": costs,
    }
    for name, content in contents.items():
        write_atomically(folder / f"{name}.json", json.dumps(content, indent=2) + "\n")


@dataclass(frozen=True)
class CellResult:
    """A finished cell as read from its folder."""

    folder: Path
    parameters: dict[str, Any]
    predictions: list[Prediction]
    costs: dict[str, float]
    log: dict[str, Any]


def load_cell(folder: Path) -> CellResult:
    """Read a finished cell.

    Raises:
        InputError: the folder is no cell, or its predictions changed since it was written.
    """
    manifest = checked_manifest(folder, "cell", "elusive evaluate DATASET --out DIR")
    read = {
        name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("costs", "training_log")
    }
    return CellResult(
        folder=folder,
        parameters=manifest.parameters,
        predictions=from_table(pq.read_table(folder / "predictions.parquet"), Prediction),
        costs=read["costs"],
        log=read["training_log"],
    )
