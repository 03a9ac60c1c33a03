"""The packed rows of a cell, from its training text."""

from collections.abc import Callable
from typing import Any

from elusive.augment.copies import build_training_texts
from elusive.augment.training_text import TrainingTextFolder
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.dataset.records import Shot, TrainingText
from elusive.common.lm.loading import LoadedModel
from elusive.common.lm.packing import Sequence, build_text_sequence
from elusive.common.seeding import stream
from elusive.evaluate.answering.prompts import PromptFormat, sample_replay
from elusive.evaluate.config import CellSettings
from elusive.evaluate.training.objectives import Objective
from elusive.evaluate.training.sequences import (
    build_replay_sequence,
    build_training_sequences,
    pack_epochs,
)


def build_training_rows(
    text: TrainingTextFolder,
    dataset: DatasetFolder,
    loaded: LoadedModel,
    settings: CellSettings,
    seed: int,
    solved: list[Shot],
    objective: Objective,
) -> list[dict[str, Any]]:
    """The packed rows of all epochs, `accumulation` of them to a step.

    Args:
        text: the training text.
        dataset: that it was made from.
        loaded: the model that will be trained.
        settings: of the cell.
        seed: of the order, the replayed questions and what the objective draws.
        solved: questions to replay some of.
        objective: what training changes.
    """
    training = settings.training
    select_texts = _select_texts(text, dataset, training.dynamic)

    def build_epoch(epoch: int) -> list[Sequence]:
        clean = training.labels == "clean"
        sequences = build_training_sequences(
            select_texts(epoch), dataset.documents, loaded.tokenizer, clean
        )
        if objective.change_sequences is None:
            return sequences
        return objective.change_sequences(sequences, stream(seed, training.objective, epoch))

    prompts = PromptFormat(loaded.tokenizer, settings.answering.chat_template)
    shots = sample_replay(solved, training.format_replay, seed)
    replay = [build_replay_sequence(shot, prompts) for shot in shots]
    num_tokens = None
    if training.budget == "tokens":
        num_tokens = training.epochs * (1 + text.config.copies) * _count_tokens(dataset, loaded)
    rng = stream(seed, "epochs")
    row_size = training.batch_size // training.accumulation
    return list(pack_epochs(build_epoch, replay, training.epochs, row_size, rng, num_tokens))


def _count_tokens(dataset: DatasetFolder, loaded: LoadedModel) -> int:
    """Tokens of the originals that are trained on."""
    texts = [document.text for document in dataset.select_training_documents()]
    return sum(len(build_text_sequence(text, loaded.tokenizer).input_ids) for text in texts)


def _select_texts(
    text: TrainingTextFolder, dataset: DatasetFolder, dynamic: bool
) -> Callable[[int], list[TrainingText]]:
    """The training texts of an epoch: those of the folder, or new ones for every epoch."""
    if not dynamic:
        return lambda epoch: text.texts
    documents = [document for document in dataset.documents if document.doc_id in text.scores]
    scored = [text.scores[document.doc_id] for document in documents]
    return lambda epoch: build_training_texts(documents, scored, text.config, epoch=epoch)
