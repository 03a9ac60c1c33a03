"""A dataset folder: corpus, questions and shots as Arrow tables, with a manifest and a card."""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute creates its functions when it is imported)

from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from elusive.common.content_hash import Tree, build_content_tree
from elusive.common.dataset.records import Document, Fact, Question, Shot, from_table
from elusive.common.dataset.shards import check_finished, read_batches, read_rows
from elusive.common.errors import InputError
from elusive.common.folders import Folder, read_table

LIMIT_MARK = ":first-"
"""Separates the hash of a dataset from the number of its documents that were read."""

TRAIN = "train"
"""Split of the documents on which models are trained."""

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
        return self.read_documents(0, self.count_documents())

    def count_documents(self) -> int:
        """Count the documents that count, without reading them."""
        count = sum(map(len, read_batches(self.path, "corpus")))
        return count if self.limit is None else min(count, self.limit)

    def read_documents(self, start: int, stop: int) -> list[Document]:
        """Read the documents from number `start` to before `stop`.

        Raises:
            InputError: an empty text.
        """
        documents = from_table(read_rows(self.path, "corpus", start, stop), Document)
        for document in documents:
            if not document.text.strip():
                raise InputError(f"{self.path}: document {document.doc_id!r} has an empty text")
        return documents

    def read_questions(self, doc_ids: set[str]) -> list[Question]:
        """Read the questions about some documents; others are passed over batch by batch."""
        wanted = pa.array(sorted(doc_ids), pa.string())
        questions: list[Question] = []
        for batch in read_batches(self.path, "questions"):
            is_wanted = pc.is_in(batch.column("doc_id"), wanted)
            questions += from_table(batch.filter(is_wanted), Question)
        return questions

    @cached_property
    def questions(self) -> list[Question]:
        """Questions about the documents."""
        return self.read_questions({document.doc_id for document in self.documents})

    @cached_property
    def shots(self) -> list[Shot]:
        """Solved questions about entities outside the corpus."""
        return from_table(read_table(self.path, "shots"), Shot)

    def select_training_documents(self) -> list[Document]:
        """Return the documents of the split train, on which models are trained.

        Raises:
            InputError: there are none.
        """
        self.check_training_documents()
        return [document for document in self.documents if document.split == TRAIN]

    def check_training_documents(self) -> None:
        """Raise InputError if there are no documents of the split train; read as few as needed."""
        batches = read_rows(self.path, "corpus", 0, self.count_documents()).to_batches()
        if not any(pc.any(pc.equal(batch.column("split"), TRAIN)).as_py() for batch in batches):
            raise InputError("the dataset has no documents of the split train to train on")

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
