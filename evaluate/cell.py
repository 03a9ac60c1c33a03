"""A cell: one arm trained and scored once, kept in a folder of its own."""

import json
import math
import resource
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import pyarrow.parquet as pq

from elusive.augment.augment import (
    load_scores,
    load_training_texts,
    read_summary,
    training_texts,
)
from elusive.augment.config import AugmentConfig
from elusive.augment.methods import IN_TRAINING
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
from elusive.common.models import LoadedModel, load_model
from elusive.common.records import (
    Prediction,
    Question,
    Shot,
    TrainingText,
    from_table,
    to_table,
)
from elusive.common.seeding import stream
from elusive.evaluate.answering import Model, answer_questions, check_adapter_acts
from elusive.evaluate.config import UNTRAINED, AnsweringConfig, RunSettings, TrainingConfig
from elusive.evaluate.in_training import (
    check_same_tokenizer,
    ordinary_tokens,
    with_random_tokens,
    with_reference_losses,
)
from elusive.evaluate.metrics import ClosedBookQA
from elusive.evaluate.packing import (
    Sequence,
    packed_rows,
    replay_sequence,
    training_sequences,
)
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
    train: Path | None
    """Folder of the training text; None for the model before training."""
    model: str
    """Reference of the trained model."""
    seed: int
    settings: RunSettings


def cell_parameters(cell: Cell, dataset: DatasetFolder, weights_hash: str) -> dict[str, Any]:
    """The parameters of a cell's folder: what decides the outcome, and its names."""
    manifest = read_manifest(cell.train, "training text") if cell.train else None
    return {
        "label": cell.label,
        **(_acting_parameters(manifest.parameters) if manifest else {}),
        "dataset": dataset.content_hash,
        "train": manifest.content_hash if manifest else None,
        "augment": manifest.parameters if manifest else {"method": UNTRAINED},
        "model": cell.model,
        "weights": weights_hash,
        "seed": cell.seed,
        "training": cell.settings.training.model_dump() if manifest else None,
        "answering": cell.settings.answering.model_dump(exclude={"answer_batch_size"}),
    }


def _acting_parameters(augment: dict[str, Any]) -> dict[str, Any]:
    """What decides the outcome of an arm that acts in training, which its text does not show."""
    if augment["method"] not in IN_TRAINING:
        return {}
    deciding = {name: augment[name] for name in ("method", "noise", "selected")}
    return {"acting": deciding | {"reference": augment["weights"].get("reference")}}


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
    if cell.train:
        _check_origin(cell.train, dataset)
    parameters = cell_parameters(cell, dataset, loaded.weights_hash)
    if already_made(out, "cell", parameters):
        return False
    questions = asked_questions(dataset, cell.settings.answering)
    shots, rest = split_shots(dataset.shots, cell.settings.answering.num_shots, cell.seed)
    with new_folder(out, "cell", parameters) as folder:
        if cell.train is None:
            answered = _answered(cell, loaded.model, loaded, questions, shots)
            _write_results(folder, answered, None, {"drop_rate": 0.0})
        else:
            rows = _training_rows(cell, cell.train, dataset, loaded, rest)
            acting = _acting(_augment_config(cell.train))
            with lora_model(loaded, cell.settings.training, cell.seed) as model:
                log = train(model, rows, cell.settings.training, cell.seed, on_step, **acting)
                first = questions[0]
                probe = few_shot_prefix(shots, topic(first)) + question_text(first.question)
                check_adapter_acts(model, loaded.tokenizer, probe)
                answered = _answered(cell, model, loaded, questions, shots)
                model.save_pretrained(str(folder / "adapter"), save_embedding_layers=False)
            _write_results(folder, answered, log, _training_costs(cell.train, log))
    return True


def _check_origin(train: Path, dataset: DatasetFolder) -> None:
    """Raise InputError unless the training text was made from this dataset and is unchanged."""
    manifest = checked_manifest(train, "training-text", "elusive augment DATASET --out DIR")
    made_from = manifest.parameters["dataset"].split(LIMIT_MARK)[0]
    if made_from != dataset.content_hash:
        raise InputError(
            f"{train} was made from another dataset: augment this dataset first, "
            "with `elusive augment DATASET --method NAME --out DIR`"
        )


@dataclass(frozen=True)
class _Answered:
    """Answers and what they cost."""

    predictions: list[Prediction]
    seconds: float


def _answered(
    cell: Cell, model: Model, loaded: LoadedModel, questions: list[Question], shots: list[Shot]
) -> _Answered:
    """The model's answers."""
    start = perf_counter()
    batch_size = cell.settings.answering.answer_batch_size
    predictions = answer_questions(model, loaded.tokenizer, questions, shots, batch_size)
    return _Answered(predictions, perf_counter() - start)


def _augment_config(text: Path) -> AugmentConfig:
    """The settings that a training text was made with."""
    parameters = read_manifest(text, "training text").parameters
    settings = {name: parameters[name] for name in AugmentConfig.model_fields if name in parameters}
    return AugmentConfig(**settings)


def _acting(config: AugmentConfig) -> dict[str, float]:
    """What acts at every step of training."""
    if config.method == "attention-dropout":
        return {"closed": config.noise}
    return {"selected": config.selected} if config.method == "rho-1" else {}


def _training_rows(
    cell: Cell, text: Path, dataset: DatasetFolder, loaded: LoadedModel, replayed: list[Shot]
) -> list:
    """The packed rows of all epochs."""
    training = cell.settings.training
    config = _augment_config(text)
    texts_of = _texts_by_epoch(text, config, dataset, training.dynamic)
    vocabulary = ordinary_tokens(loaded.tokenizer)
    reference = _reference_model(config, loaded)

    def sequences_of(epoch: int) -> list[Sequence]:
        clean = training.labels == "clean"
        sequences = training_sequences(texts_of(epoch), dataset.documents, loaded.tokenizer, clean)
        if config.method == "d-ar":
            rng = stream(cell.seed, "d-ar", epoch)
            return [with_random_tokens(each, config.noise, vocabulary, rng) for each in sequences]
        return with_reference_losses(sequences, reference) if reference else sequences

    solved = sample_replay(replayed, training.format_replay, cell.seed)
    replay = [replay_sequence(shot, loaded.tokenizer) for shot in solved]
    rng = stream(cell.seed, "epochs")
    return list(packed_rows(sequences_of, replay, training.epochs, training.batch_size, rng))


def _texts_by_epoch(
    folder: Path, config: AugmentConfig, dataset: DatasetFolder, dynamic: bool
) -> Callable[[int], list[TrainingText]]:
    """The training texts of an epoch: those that are written, or new ones for every epoch."""
    written = load_training_texts(folder)
    if not dynamic:
        return lambda epoch: written
    scores = load_scores(folder)
    documents = [document for document in dataset.documents if document.doc_id in scores]
    scored = [scores[document.doc_id] for document in documents]
    return lambda epoch: training_texts(documents, scored, config, epoch=epoch)


def _reference_model(config: AugmentConfig, trained: LoadedModel) -> LoadedModel | None:
    """The model that rho-1 compares losses with.

    Raises:
        InputError: it has another tokenizer than the trained model.
    """
    if config.method != "rho-1":
        return None
    assert config.reference is not None
    reference = load_model(config.reference)
    check_same_tokenizer(trained, reference)
    return reference


def _training_costs(train: Path, log: TrainingLog) -> dict[str, float]:
    """Seconds of each stage but answering, and the drop rate."""
    summary = read_summary(train)
    return {
        **summary.seconds,
        "drop_rate": summary.drop_rate,
        "training": log.seconds,
        "training_tokens_per_second": log.tokens / log.seconds,
    }


def _peak_memory_mib() -> float:
    """Largest resident memory of this process so far, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _write_results(
    folder: Path, answered: _Answered, log: TrainingLog | None, costs: dict[str, float]
) -> None:
    """Predictions as Parquet; metrics, training log and costs as JSON."""
    predictions = answered.predictions
    pq.write_table(to_table(predictions, Prediction), folder / "predictions.parquet")
    metrics = ClosedBookQA(keep_in_memory=True).compute(
        predictions=[prediction.prediction for prediction in predictions],
        references=[prediction.answers for prediction in predictions],
    )
    assert metrics is not None
    mean = sum(prediction.log_probability for prediction in predictions) / len(predictions)
    contents = {
        "metrics": metrics | {"log_probability": mean, "questions": len(predictions)},
        "training_log": asdict(log) if log else None,
        "costs": costs | {"answering": answered.seconds, "peak_memory_mib": _peak_memory_mib()},
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
    log: dict[str, Any] | None
    """None for the model before training."""


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
