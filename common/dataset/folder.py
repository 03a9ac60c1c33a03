"""A dataset folder: corpus, questions and shots as Arrow tables, with a manifest and a card."""

from dataclasses import dataclass
from pathlib import Path

from elusive.common.dataset.records import Document, Fact, Question, Shot, from_table
from elusive.common.dataset.shards import check_finished, read_batches
from elusive.common.errors import InputError
from elusive.common.folders import checked_manifest, read_table

LIMIT_MARK = ":first-"
"""Stands between the hash of a dataset and the number of documents that were read of it."""

TABLES = {"corpus": Document, "questions": Question, "shots": Shot}
"""Record of each table."""


@dataclass(frozen=True)
class DatasetFolder:
    """The three tables of a dataset in memory."""

    documents: list[Document]
    questions: list[Question]
    shots: list[Shot]
    content_hash: str
    name: str = "dataset"
    """Of the folder."""

    def training_documents(self) -> list[Document]:
        """The documents to train on, those of the split train.

        Raises:
            InputError: there are none.
        """
        found = [document for document in self.documents if document.split == "train"]
        if not found:
            raise InputError("the dataset has no documents of the split train to train on")
        return found

    def facts_by_question(self) -> dict[str, Fact]:
        """The fact that each question asks for, where one has its document and field."""
        facts = {
            (document.doc_id, fact.field): fact
            for document in self.documents
            for fact in document.facts
        }
        pairs = ((q.question_id, facts.get((q.doc_id, q.field))) for q in self.questions)
        return {question_id: fact for question_id, fact in pairs if fact}


def num_rows(folder: Path) -> dict[str, int]:
    """Rows of each table of a dataset folder."""
    return {name: sum(map(len, read_batches(folder, name))) for name in TABLES}


def load_dataset_folder(folder: Path, limit: int | None = None) -> DatasetFolder:
    """Read a dataset folder, or its first `limit` documents with their questions.

    Raises:
        InputError: no such folder, a broken manifest, changed data files, an empty text, or a limit
            below 1.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit: should be at least 1 (got {limit})")
    check_finished(folder)
    manifest = checked_manifest(folder, "dataset", "elusive biogen --out DIR")
    documents = from_table(read_table(folder, "corpus").slice(0, limit), Document)
    for document in documents:
        if not document.text.strip():
            raise InputError(f"{folder}: document {document.doc_id!r} has an empty text")
    doc_ids = {document.doc_id for document in documents}
    questions = from_table(read_table(folder, "questions"), Question)
    return DatasetFolder(
        documents=documents,
        questions=[question for question in questions if question.doc_id in doc_ids],
        shots=from_table(read_table(folder, "shots"), Shot),
        content_hash=f"{manifest.content_hash}{LIMIT_MARK}{limit}"
        if limit
        else manifest.content_hash,
        name=folder.resolve().name,
    )
