"""Build the packed rows of a cell from its training text."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from elusive.augment.copies import build_training_texts, find_drop_probabilities
from elusive.augment.scores.token_scores import TokenScores
from elusive.augment.training_text import TrainingTextFolder
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.dataset.records import Document, Shot, TrainingText
from elusive.common.lm.context import (
    check_positions,
    counts_whole_rows,
    find_longest_sequence,
    warn_beyond_context,
)
from elusive.common.lm.loading import LoadedModel
from elusive.common.lm.packing import Sequence, build_text_sequence
from elusive.common.seeding import stream
from elusive.evaluate.answering.prompt_format import PromptFormat
from elusive.evaluate.answering.prompts import sample_replay
from elusive.evaluate.config import CellSettings, TrainingConfig
from elusive.evaluate.training.corruption import (
    Corruption,
    build_copy_sequence,
    build_corruption,
    measure_targets,
)
from elusive.evaluate.training.objectives import Objective
from elusive.evaluate.training.sequences import build_replay_sequence, pack_epochs

COPIES_MEASURED = 1000
"""Most copies in which predicted tokens are counted."""


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
        seed: of the order, the choice of replayed questions, and the randomness of training.
        solved: solved questions to replay some of.
        objective: how training differs from predicting the next token.

    Raises:
        InputError: a text has more tokens than the model has positions.
    """
    training = settings.training
    builder = SequenceBuilder(text, dataset, loaded, training, objective, seed)
    prompts = PromptFormat(loaded.tokenizer, settings.answering.chat_template)
    shots = sample_replay(solved, training.format_replay, seed)
    replay = [build_replay_sequence(shot, prompts) for shot in shots]
    num_tokens = None
    if training.budget == "tokens":
        num_tokens = training.epochs * (1 + text.config.copies) * _count_tokens(dataset, loaded)
    rng = stream(seed, "epochs")
    row_size = training.batch_size // training.accumulation
    build_epoch = builder.get_epoch_builder()
    rows = list(pack_epochs(build_epoch, replay, training.epochs, row_size, rng, num_tokens))
    _check_lengths(rows, loaded)
    return rows


def _check_lengths(rows: list[dict[str, Any]], loaded: LoadedModel) -> None:
    """Raise InputError if a sequence, or a row where those count, exceeds the model's positions."""
    length, name = find_longest_sequence(rows)
    hint = "shorten the texts, or choose a model with a longer context"
    check_positions(loaded.model, length, f"training on {name}: it", hint)
    warn_beyond_context(loaded.model, length, f"training on {name}: it")
    if counts_whole_rows(loaded.model):
        length = max(row["input_ids"].shape[1] for row in rows)
        hint = "lower batch_size, or raise accumulation"
        check_positions(loaded.model, length, "a row of several texts", hint)


def measure_target_rates(
    text: TrainingTextFolder, dataset: DatasetFolder, loaded: LoadedModel, training: TrainingConfig
) -> dict[str, float]:
    """Measure which tokens of the copies are predicted, as fields of `TargetRates`.

    At most 1,000 copies are read, chosen at random. Labels that an objective leaves out count as
    predicted. Shares that are not known are left out.
    """
    copies = [copy for copy in text.read_texts() if copy.copy > 0]
    order = stream("targets").permutation(len(copies))[:COPIES_MEASURED]
    chosen = [copies[index] for index in np.sort(order)]
    documents = {document.doc_id: document for document in dataset.documents}
    corruption = build_corruption(training, loaded.tokenizer)
    rates = asdict(measure_targets(chosen, documents, loaded.tokenizer, corruption))
    return {name: rate for name, rate in rates.items() if rate is not None}


def _count_tokens(dataset: DatasetFolder, loaded: LoadedModel) -> int:
    """Count the tokens of the originals."""
    texts = [document.text for document in dataset.select_training_documents()]
    return sum(len(build_text_sequence(text, loaded.tokenizer).input_ids) for text in texts)


@dataclass(frozen=True)
class SequenceBuilder:
    """Builds the sequences of a training text's originals and copies."""

    text: TrainingTextFolder
    dataset: DatasetFolder
    loaded: LoadedModel
    training: TrainingConfig
    objective: Objective
    seed: int

    def get_epoch_builder(self) -> Callable[[int], list[Sequence]]:
        """Return a function from an epoch to its sequences: the same ones, or newly drawn ones."""
        if self.training.dynamic:
            return self._build_fresh
        texts = self.text.read_texts()
        sequences = self._build(texts, ())
        return lambda epoch: sequences

    def _build_fresh(self, epoch: int) -> list[Sequence]:
        documents = [self._documents[doc_id] for doc_id in self._scores]
        scored = list(self._scores.values())
        questions = self.dataset.questions
        texts = build_training_texts(
            documents, scored, self.text.config, epoch=epoch, questions=questions
        )
        return self._build(texts, (epoch,) if epoch else ())

    def _build(self, texts: list[TrainingText], epoch_key: tuple[int, ...]) -> list[Sequence]:
        """Build sequences; whatever is random about a copy follows from its id and the epoch."""
        sequences = [self._build_sequence(text, epoch_key) for text in texts]
        change = self.objective.change_texts
        return change(sequences) if change else sequences

    def _build_sequence(self, text: TrainingText, epoch_key: tuple[int, ...]) -> Sequence:
        key = (text.doc_id, text.copy, *epoch_key)
        probabilities = None
        if text.copy > 0 and self._corruption.needs_probabilities:
            probabilities = self._probabilities[text.doc_id]
        sequence = build_copy_sequence(
            text,
            self._documents[text.doc_id],
            self.loaded.tokenizer,
            self._corruption,
            stream(self.seed, "corruption", *key),
            probabilities,
        )
        if text.copy == 0 or self.objective.change_copy is None:
            return sequence
        return self.objective.change_copy(
            sequence, stream(self.seed, self.training.objective, *key)
        )

    @cached_property
    def _corruption(self) -> Corruption:
        return build_corruption(self.training, self.loaded.tokenizer)

    @cached_property
    def _documents(self) -> dict[str, Document]:
        return {document.doc_id: document for document in self.dataset.documents}

    @cached_property
    def _scores(self) -> dict[str, TokenScores]:
        return self.text.read_scores()

    @cached_property
    def _probabilities(self) -> dict[str, np.ndarray]:
        """The drop probability of each character of each document."""
        return {
            doc_id: _spread(self._documents[doc_id], scores, self.text)
            for doc_id, scores in self._scores.items()
        }


def _spread(document: Document, scores: TokenScores, text: TrainingTextFolder) -> np.ndarray:
    """Give each character the drop probability of its unit.  # (character,)."""
    _, probabilities = find_drop_probabilities(document, scores, text.config)
    spread = np.zeros(len(document.text))
    for (start, end), probability in zip(scores.units, probabilities, strict=True):
        spread[start:end] = probability
    return spread
