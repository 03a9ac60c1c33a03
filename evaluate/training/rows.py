"""Build the packed rows of a cell from its training text."""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute creates its functions when it is imported)

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from elusive.augment.copies import BATCH, find_drop_probabilities, iterate_copies, reads_questions
from elusive.augment.scores.token_scores import TokenScores
from elusive.augment.training_text import TrainingTextFolder
from elusive.common.dataset.folder import TRAIN, DatasetFolder
from elusive.common.dataset.lazy_rows import LazyRows, TableRows
from elusive.common.dataset.records import SCHEMAS, Document, Shot, TrainingText
from elusive.common.dataset.shards import read_batches
from elusive.common.lm.context import (
    check_positions,
    counts_whole_rows,
    find_longest_sequence,
    warn_beyond_context,
)
from elusive.common.lm.loading import LoadedModel
from elusive.common.lm.packing import Sequence as Tokens
from elusive.common.lm.packing import build_text_sequence
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
from elusive.evaluate.training.sequences import PackedRows, build_replay_sequence, pack_epochs

COPIES_MEASURED = 1000
"""Most copies in which predicted tokens are counted."""
SEQUENCES_KEPT = 1 << 16
"""Sequences that stay in memory, in which they take about a kilobyte each."""


def build_training_rows(
    text: TrainingTextFolder,
    dataset: DatasetFolder,
    loaded: LoadedModel,
    settings: CellSettings,
    seed: int,
    solved: list[Shot],
    objective: Objective,
) -> PackedRows:
    """Build the packed rows of all epochs; `accumulation` rows make one optimizer step.

    Texts are read, and rows are packed, when they are asked for, so that memory does not grow with
    the corpus.

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
    rows = pack_epochs(build_epoch, replay, training.epochs, row_size, rng, num_tokens)
    _check_lengths(rows, loaded)
    return rows


def _check_lengths(rows: Sequence[dict[str, Any]], loaded: LoadedModel) -> None:
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
    per_document = text.config.copies + 1
    rows = np.arange(len(text.texts))
    if text.config.original:
        rows = rows[rows % per_document > 0]
    order = stream("targets").permutation(len(rows))[:COPIES_MEASURED]
    chosen = [text.texts[row] for row in rows[np.sort(order)].tolist()]
    originals = Originals(dataset)
    documents = {
        copy.doc_id: text.get_source(originals[row // per_document], row // per_document)
        for copy, row in zip(chosen, rows[np.sort(order)].tolist(), strict=True)
    }
    corruption = build_corruption(training, loaded.tokenizer)
    rates = asdict(measure_targets(chosen, documents, loaded.tokenizer, corruption))
    return {name: rate for name, rate in rates.items() if rate is not None}


def _count_tokens(dataset: DatasetFolder, loaded: LoadedModel) -> int:
    return sum(
        len(build_text_sequence(document.text, loaded.tokenizer).input_ids)
        for documents in dataset.iterate_documents()
        for document in documents
        if document.split == TRAIN
    )


class Originals(LazyRows[Document]):
    """The documents of a dataset on which models are trained, each read when it is asked for."""

    def __init__(self, dataset: DatasetFolder) -> None:
        batches = list(read_batches(dataset.path, "corpus"))
        self._documents = TableRows(batches, Document)
        splits = [np.asarray(pc.equal(batch.column("split"), TRAIN)) for batch in batches]
        self._rows = np.flatnonzero(np.concatenate(splits))

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, index: int) -> Document:
        """Read one document."""
        return self._documents[int(self._rows[index])]


class LazySequences(LazyRows[Tokens]):
    """The sequences of some texts, each built when it is asked for; the last ones are kept.

    Args:
        texts: of one epoch.
        build: builds the sequence of the text with a number.
    """

    def __init__(
        self, texts: Sequence[TrainingText], build: Callable[[TrainingText, int], Tokens]
    ) -> None:
        self._count = len(texts)
        self._build = lru_cache(SEQUENCES_KEPT)(lambda index: build(texts[index], index))

    def __len__(self) -> int:
        return self._count

    def get(self, index: int) -> Tokens:
        """Build one sequence, unless it was built a short while ago."""
        return self._build(index)


@dataclass(frozen=True)
class SequenceBuilder:
    """Builds the sequences of a training text's originals and copies."""

    text: TrainingTextFolder
    dataset: DatasetFolder
    loaded: LoadedModel
    training: TrainingConfig
    objective: Objective
    seed: int

    def get_epoch_builder(self) -> Callable[[int], Sequence[Tokens]]:
        """Return a function from an epoch to its sequences: the same ones, or newly drawn ones."""
        if self.training.dynamic:
            self.text.check_draws()
            return self._build_fresh
        sequences = self._build(self.text.texts, ())
        return lambda epoch: sequences

    def _build_fresh(self, epoch: int) -> Sequence[Tokens]:
        return self._build(draw_fresh_texts(self.text, self.dataset, epoch), (epoch,) * (epoch > 0))

    def _build(self, texts: Sequence[TrainingText], epoch_key: tuple[int, ...]) -> Sequence[Tokens]:
        """Build sequences; whatever is random about a copy follows from its id and the epoch."""
        sequences = LazySequences(texts, partial(self._build_sequence, epoch_key=epoch_key))
        change = self.objective.change_epoch
        return change(sequences, self.dataset.language) if change else sequences

    def _build_sequence(self, text: TrainingText, index: int, epoch_key: tuple[int, ...]) -> Tokens:
        number = index // (self.text.config.copies + 1)
        key = (text.doc_id, text.copy, *epoch_key)
        probabilities = None
        if text.copy > 0 and self._corruption.needs_probabilities:
            probabilities = self._spread(number)
        sequence = build_copy_sequence(
            text,
            self._get_source(number) if text.copy else self._originals[number],
            self.loaded.tokenizer,
            self._corruption,
            stream(self.seed, "corruption", *key),
            probabilities,
        )
        objective = self.objective
        if text.copy > 0 and objective.change_copy:
            rng = stream(self.seed, self.training.objective, *key)
            sequence = objective.change_copy(sequence, rng)
        return objective.change_text(sequence) if objective.change_text else sequence

    @cached_property
    def _corruption(self) -> Corruption:
        return build_corruption(self.training, self.loaded.tokenizer)

    @cached_property
    def _originals(self) -> Originals:
        return Originals(self.dataset)

    def _get_source(self, number: int) -> Document:
        return self.text.get_source(self._originals[number], number)

    def _spread(self, number: int) -> np.ndarray:
        """Give each character of a document the drop probability of its unit.  # (character,)."""
        document, row = self._get_source(number), self.text.scores[number]
        scores = TokenScores(row.units, np.array(row.scores, np.float32))
        _, probabilities = find_drop_probabilities(document, scores, self.text.config)
        spread = np.zeros(len(document.text))
        for (start, end), probability in zip(scores.units, probabilities, strict=True):
            spread[start:end] = probability
        return spread


def draw_fresh_texts(
    text: TrainingTextFolder, dataset: DatasetFolder, epoch: int
) -> Sequence[TrainingText]:
    """Draw the copies of an epoch into a file, from which they are read one by one."""
    originals = Originals(dataset)
    with TemporaryDirectory(prefix="elusive-epoch-") as folder:
        path = Path(folder) / "texts.arrow"
        with pa.ipc.new_stream(str(path), SCHEMAS[TrainingText]) as writer:
            for start in range(0, len(text.scores), BATCH):
                rows = text.scores[start : start + BATCH]
                numbers = range(start, start + len(rows))
                documents = [originals[number] for number in numbers]
                sources = [text.get_source(originals[number], number) for number in numbers]
                scored = [TokenScores(row.units, np.array(row.scores, np.float32)) for row in rows]
                doc_ids = [document.doc_id for document in documents]
                questions = dataset.read_questions(doc_ids) if reads_questions(text.config) else ()
                for batch in iterate_copies(
                    sources, scored, text.config, epoch, questions, documents
                ):
                    writer.write_batch(batch)
        # The file stays until nothing of it is mapped.
        return TableRows(pa.ipc.open_stream(pa.memory_map(str(path))), TrainingText)
