"""A training-text folder: originals and copies, the scores behind them, and a summary."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from elusive.augment.config import AugmentConfig
from elusive.augment.copies import DRAWS, draws_by_hash
from elusive.augment.diagnostics import Diagnostics
from elusive.augment.scores.token_scores import TokenScores, scores_from_table
from elusive.augment.sentences.restatements import (
    RESTATED,
    DocumentRestatements,
    restate_document,
)
from elusive.common.dataset.folder import LIMIT_MARK
from elusive.common.dataset.lazy_rows import TableRows
from elusive.common.dataset.records import Document, DocumentScores, TrainingText, from_table
from elusive.common.dataset.shards import read_batches
from elusive.common.errors import InputError
from elusive.common.folders import Folder, read_table

KIND = "training-text"
MADE_BY = "elusive augment DATASET --method NAME --out DIR"
SUMMARY, TEXTS, SCORES = "summary.json", "texts", "scores"


@dataclass(frozen=True)
class AugmentSummary:
    """Counts, warnings and costs of a training text."""

    num_texts: int
    drop_rate: float
    """Mean share of the tokens that are dropped from a copy; originals do not count."""
    diagnostics: Diagnostics
    seconds: dict[str, float]
    """Wall-clock seconds of `scoring` (when it was done, if scores come from the cache) and
    `dropping`."""
    peak_memory_mib: dict[str, float]
    """Peak memory of both stages when the folder was made."""


class TrainingTextFolder(Folder):
    """A finished training-text folder; its manifest is read once, its files are verified once.

    Raises:
        InputError: no such folder, a broken manifest, or another kind of folder; when texts or
            scores are read, data files that changed since they were written.
    """

    kind = KIND
    made_by = MADE_BY
    needs = ("method", "dataset")

    @cached_property
    def config(self) -> AugmentConfig:
        """The settings that the text was made with."""
        stored = self.parameters
        names = [name for name in AugmentConfig.model_fields if name in stored]
        return AugmentConfig(**{name: stored[name] for name in names})

    @cached_property
    def texts(self) -> TableRows[TrainingText]:
        """The originals and their copies, document by document, each read when it is asked for."""
        self.verify()
        return TableRows(read_batches(self.path, TEXTS), TrainingText)

    @cached_property
    def scores(self) -> TableRows[DocumentScores]:
        """The scores of each document, each read when it is asked for."""
        self.verify()
        return TableRows(read_batches(self.path, SCORES), DocumentScores)

    @cached_property
    def restatements(self) -> TableRows[DocumentRestatements] | None:
        """What each document's copies say again, read when it is asked for; None for nothing."""
        if not self.config.clue_finder:
            return None
        self.verify()
        return TableRows(read_batches(self.path, RESTATED), DocumentRestatements)

    def get_source(self, document: Document, row: int) -> Document:
        """Return the document that copies are made of, to which their spans refer.

        Args:
            document: as the dataset has it; the original, copy 0, is made of this one.
            row: of the document among those that are trained on.
        """
        if self.restatements is None:
            return document
        return restate_document(document, self.restatements[row].restatements)

    def get_sources(self, documents: Iterable[Document]) -> list[Document]:
        """Return the documents that the copies of some documents are made of."""
        if self.restatements is None:
            return list(documents)
        restated = {own.doc_id: own.restatements for own in self.restatements}
        return [
            restate_document(document, restated.get(document.doc_id, ())) for document in documents
        ]

    def read_texts(self) -> list[TrainingText]:
        """Read all originals and their copies, document by document."""
        self.verify()
        return from_table(read_table(self.path, TEXTS), TrainingText)

    def read_scores(self) -> dict[str, TokenScores]:
        """Read all scores by document id; more copies can be drawn from them."""
        self.verify()
        return scores_from_table(read_table(self.path, SCORES))

    @cached_property
    def summary(self) -> AugmentSummary:
        """Counts and costs, as stored when the folder was made."""
        content = json.loads((self.path / SUMMARY).read_text(encoding="utf-8"))
        diagnostics = Diagnostics(**content.pop("diagnostics"))
        return AugmentSummary(**content, diagnostics=diagnostics)

    def check_draws(self) -> None:
        """Raise InputError if more copies of the text would be drawn in another way."""
        if draws_by_hash(self.config) and self.parameters.get("draws") != DRAWS:
            raise InputError(
                f"{self.path} was drawn by another version of elusive, so fresh copies would not "
                "match it: make it again with `elusive augment`"
            )

    def check_origin(self, dataset_hash: str) -> None:
        """Raise InputError unless the text was made from the dataset with this content hash."""
        if self.parameters["dataset"].split(LIMIT_MARK)[0] != dataset_hash:
            raise InputError(
                f"{self.path} was made from another dataset: augment this dataset first, "
                "with `elusive augment DATASET --method NAME --out DIR`"
            )


def find_training_texts(run: Path) -> dict[str, TrainingTextFolder]:
    """Find the training texts of a run, by the hash of their content."""
    paths = sorted(path.parent for path in run.glob("train/*/manifest.json"))
    folders = [TrainingTextFolder(path) for path in paths]
    return {folder.content_hash: folder for folder in folders}
