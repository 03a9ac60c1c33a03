"""Build the packed rows of a cell from its training text."""

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
    """Build the packed rows of all epochs; `accumulation` rows make one optimizer step.

    Args:
        text: the training text.
        dataset: the dataset that the text was made from.
        loaded: the model to train.
        settings: of the cell.
        seed: of the order, the choice of replayed questions, and the objective's randomness.
        solved: solved questions to replay some of.
        objective: how training differs from predicting the next token.
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
    """Count the tokens of the originals."""
    texts = [document.text for document in dataset.select_training_documents()]
    return sum(len(build_text_sequence(text, loaded.tokenizer).input_ids) for text in texts)


def _select_texts(
    text: TrainingTextFolder, dataset: DatasetFolder, dynamic: bool
) -> Callable[[int], list[TrainingText]]:
    """Return a function from an epoch to its texts: always the folder's, or newly drawn ones."""
    if not dynamic:
        texts = text.read_texts()
        return lambda epoch: texts
    scores = text.read_scores()
    documents = [document for document in dataset.documents if document.doc_id in scores]
    scored = [scores[document.doc_id] for document in documents]
    return lambda epoch: build_training_texts(documents, scored, text.config, epoch=epoch)
