"""The packed rows of a cell, from its training text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from elusive.augment.augment import load_scores, load_training_texts, training_texts
from elusive.augment.config import AugmentConfig
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.dataset.records import Shot, TrainingText
from elusive.common.folders import read_manifest
from elusive.common.lm.loading import LoadedModel, load_model
from elusive.common.lm.packing import Sequence, text_sequence
from elusive.common.seeding import stream
from elusive.evaluate.answering.prompts import PromptFormat, sample_replay
from elusive.evaluate.config import RunSettings
from elusive.evaluate.training.objectives import (
    check_same_tokenizer,
    ordinary_tokens,
    with_random_tokens,
    with_reference_losses,
)
from elusive.evaluate.training.sequences import packed_rows, replay_sequence, training_sequences


def acting(text: Path) -> dict[str, float]:
    """What the arm of a training text changes at every step of training."""
    config = _augment_config(text)
    if config.method == "attention-dropout":
        return {"closed": config.noise}
    return {"selected": config.selected} if config.method == "rho-1" else {}


def _augment_config(text: Path) -> AugmentConfig:
    """The settings that a training text was made with."""
    parameters = read_manifest(text, "training text").parameters
    settings = {name: parameters[name] for name in AugmentConfig.model_fields if name in parameters}
    return AugmentConfig(**settings)


def training_rows(
    text: Path,
    dataset: DatasetFolder,
    loaded: LoadedModel,
    settings: RunSettings,
    seed: int,
    solved: list[Shot],
) -> list[dict[str, Any]]:
    """The packed rows of all epochs, as many to a step as it is split into.

    Args:
        text: folder of the training text.
        dataset: that it was made from.
        loaded: the model that will be trained.
        settings: of the cell.
        seed: of the order, the replayed questions and what the arm does in training.
        solved: questions to replay some of.
    """
    training = settings.training
    config = _augment_config(text)
    texts_of = _texts_by_epoch(text, config, dataset, training.dynamic)
    vocabulary = ordinary_tokens(loaded.tokenizer)
    reference = _reference_model(config, loaded)

    def sequences_of(epoch: int) -> list[Sequence]:
        clean = training.labels == "clean"
        sequences = training_sequences(texts_of(epoch), dataset.documents, loaded.tokenizer, clean)
        if config.method == "d-ar":
            rng = stream(seed, "d-ar", epoch)
            return [with_random_tokens(each, config.noise, vocabulary, rng) for each in sequences]
        return with_reference_losses(sequences, reference) if reference else sequences

    prompts = PromptFormat(loaded.tokenizer, settings.answering.chat_template)
    replayed = sample_replay(solved, training.format_replay, seed)
    replay = [replay_sequence(shot, prompts) for shot in replayed]
    num_tokens = None
    if training.budget == "tokens":
        num_tokens = training.epochs * (1 + config.copies) * _num_tokens(dataset, loaded)
    rng = stream(seed, "epochs")
    per_row = training.batch_size // training.accumulation
    return list(packed_rows(sequences_of, replay, training.epochs, per_row, rng, num_tokens))


def _num_tokens(dataset: DatasetFolder, loaded: LoadedModel) -> int:
    """Tokens of the originals that are trained on."""
    texts = [document.text for document in dataset.training_documents()]
    return sum(len(text_sequence(text, loaded.tokenizer).input_ids) for text in texts)


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
