"""A dataset folder: corpus, questions and shots as Arrow tables, with a manifest and a card."""

from functools import cached_property
from pathlib import Path

from elusive.common.content_hash import Tree, build_content_tree
from elusive.common.dataset.records import Document, Fact, Question, Shot, from_table
from elusive.common.dataset.shards import check_finished, read_batches
from elusive.common.errors import InputError
from elusive.common.folders import Folder, read_table

LIMIT_MARK = ":first-"
"""Separates the hash of a dataset from the number of its documents that were read."""

TABLES = {"corpus": Document, "questions": Question, "shots": Shot}
"""Record of each table."""


class DatasetFolder(Folder):
    """A finished dataset folder, of which tables are read when they are first used.

    Args:
        path: of the folder.
        limit: how many of its first documents count, with their questions; all if None.
        name: in tables and cells; that of the folder if None.

    Raises:
        InputError: no such folder, a broken manifest, unfinished, or a limit below 1; on first use
            of the documents, an empty text.
    """

    kind = "dataset"
    made_by = "elusive biogen --out DIR"

    def __init__(self, path: Path, limit: int | None = None, name: str | None = None) -> None:
        if limit is not None and limit < 1:
            raise InputError(f"limit: should be at least 1 (got {limit})")
        check_finished(path)
        super().__init__(path)
        self.limit = limit
        self.name = name or path.resolve().name

    @property
    def content_hash(self) -> str:
        """SHA-256 over the tables, with the limit where there is one."""
        mark = f"{LIMIT_MARK}{self.limit}" if self.limit else ""
        return f"{self.manifest.content_hash}{mark}"

    @cached_property
    def content_tree(self) -> dict[str, Tree]:
        """Hashes of all columns by table and split, of which the content hash is the root."""
        return build_content_tree(self.path)

    @cached_property
    def documents(self) -> list[Document]:
        """The corpus."""
        documents = from_table(read_table(self.path, "corpus").slice(0, self.limit), Document)
        for document in documents:
            if not document.text.strip():
                raise InputError(f"{self.path}: document {document.doc_id!r} has an empty text")
        return documents

    @cached_property
    def questions(self) -> list[Question]:
        """Questions about the documents."""
        doc_ids = {document.doc_id for document in self.documents}
        questions = from_table(read_table(self.path, "questions"), Question)
        return [question for question in questions if question.doc_id in doc_ids]

    @cached_property
    def shots(self) -> list[Shot]:
        """Solved questions about entities outside the corpus."""
        return from_table(read_table(self.path, "shots"), Shot)

    def select_training_documents(self) -> list[Document]:
        """Return the documents of the split train, on which models are trained.

        Raises:
            InputError: there are none.
        """
        documents = [document for document in self.documents if document.split == "train"]
        if not documents:
            raise InputError("the dataset has no documents of the split train to train on")
        return documents

    def match_facts(self) -> dict[str, Fact]:
        """Return, by question, the fact with its document and field, if there is one."""
        facts = {
            (document.doc_id, fact.field): fact
            for document in self.documents
            for fact in document.facts
        }
        pairs = ((q.question_id, facts.get((q.doc_id, q.field))) for q in self.questions)
        return {question_id: fact for question_id, fact in pairs if fact}


def count_rows(folder: Path) -> dict[str, int]:
    """Count the rows of each table of a dataset folder."""
    return {name: sum(map(len, read_batches(folder, name))) for name in TABLES}


def load_dataset_folder(
    path: Path, limit: int | None = None, name: str | None = None
) -> DatasetFolder:
    """Open a dataset folder and verify its files; arguments and errors as in `DatasetFolder`.

    Raises:
        InputError: data files that changed since the folder was made.
    """
    folder = DatasetFolder(path, limit, name)
    folder.verify()
    return folder
