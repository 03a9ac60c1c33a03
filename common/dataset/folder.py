"""A dataset folder: corpus, questions and shots as Arrow tables, with a manifest and a card."""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute creates its functions when it is imported)

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from elusive.common.content_hash import Tree, build_content_tree
from elusive.common.dataset.records import Document, Fact, Question, Shot, from_table, to_table
from elusive.common.dataset.shards import check_finished, read_batches, read_rows
from elusive.common.errors import InputError
from elusive.common.folders import Folder, read_table
from elusive.common.text.languages import ENGLISH

LIMIT_MARK = ":first-"
"""Separates the hash of a dataset from the number of its documents that were read."""

TRAIN = "train"
"""Split of the documents on which models are trained."""

STARTS = "answer_starts"
"""Column of questions that say where their answers stand."""

QUESTIONS_READ = 8192
"""Questions that are read together."""

AnyDocument = TypeVar("AnyDocument", bound=Document)
AnyQuestion = TypeVar("AnyQuestion", bound=Question)

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

    @property
    def language(self) -> str:
        """Code of the language of texts and answers."""
        return self.manifest.parameters.get("language") or ENGLISH

    @property
    def entities(self) -> str:
        """What its questions are about, in a word: people or articles."""
        return "articles" if self.manifest.parameters.get("generator") == "wikiqa" else "people"

    @property
    def places_answers(self) -> bool:
        """Whether its questions say where their answers stand, in a column `answer_starts`."""
        return any(STARTS in batch.schema.names for batch in read_batches(self.path, "questions"))

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
        return self._num_documents if self.limit is None else min(self._num_documents, self.limit)

    @cached_property
    def _num_documents(self) -> int:
        return sum(map(len, read_batches(self.path, "corpus")))

    def read_documents(
        self, start: int, stop: int, kind: type[AnyDocument] = Document
    ) -> list[AnyDocument]:
        """Read the documents from number `start` to before `stop`.

        Raises:
            InputError: an empty text.
        """
        documents = from_table(
            read_rows(self.path, "corpus", start, stop), kind, language=self.language
        )
        for document in documents:
            if not document.text.strip():
                raise InputError(f"{self.path}: document {document.doc_id!r} has an empty text")
        return documents

    def read_questions(
        self, doc_ids: Iterable[str], kind: type[AnyQuestion] = Question
    ) -> list[AnyQuestion]:
        """Read the questions about some documents; batches that cannot have any are skipped."""
        wanted = pa.array(sorted(set(doc_ids)), pa.string())
        questions: list[AnyQuestion] = []
        pairs = zip(read_batches(self.path, "questions"), self._question_ranges, strict=True)
        for batch, (least, greatest) in pairs if len(wanted) else ():
            if least <= wanted[-1].as_py() and wanted[0].as_py() <= greatest:
                is_wanted = pc.is_in(batch.column("doc_id"), wanted)
                questions += from_table(batch.filter(is_wanted), kind, language=self.language)
        return questions

    @cached_property
    def _question_ranges(self) -> list[tuple[str, str]]:
        """Least and greatest document id of each batch of questions."""
        ranges = []
        for batch in read_batches(self.path, "questions"):
            ends = pc.min_max(batch.column("doc_id")).as_py()
            ranges.append((ends["min"] or "", ends["max"] or ""))
        return ranges

    def iterate_documents(
        self, kind: type[AnyDocument] = Document, size: int = 4096
    ) -> Iterator[list[AnyDocument]]:
        """Yield the corpus, `size` documents at a time."""
        for start in range(0, self.count_documents(), size):
            yield self.read_documents(start, min(start + size, self.count_documents()), kind)

    def iterate_questions(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the questions about the documents, some thousand at a time."""
        if self.limit is not None:
            yield from to_table(self.questions, Question).to_batches()
            return
        for batch in read_batches(self.path, "questions"):
            for start in range(0, len(batch), QUESTIONS_READ):
                yield batch.slice(start, QUESTIONS_READ)

    @cached_property
    def questions(self) -> list[Question]:
        """Questions about the documents."""
        if self.limit is None:
            table = read_table(self.path, "questions")
            return from_table(table, Question, language=self.language)
        return self.read_questions(document.doc_id for document in self.documents)

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
        """Return, by question, the fact that it asks for, if there is one.

        It is the fact of its document and field. Where a field has several facts, it is the one at
        the place of the question's first answer, if the questions say it, or else the only one
        whose value is that answer.
        """
        facts: dict[tuple[str, str], list[Fact]] = defaultdict(list)
        for document in self.documents:
            for fact in document.facts:
                facts[document.doc_id, fact.field].append(fact)
        starts = self._read_starts()
        pairs = (
            (q.question_id, _choose_fact(facts[q.doc_id, q.field], q, starts.get(q.question_id)))
            for q in self.questions
            if (q.doc_id, q.field) in facts
        )
        return {question_id: fact for question_id, fact in pairs if fact}

    def _read_starts(self) -> dict[str, int]:
        """Read where the first answer of each question stands, if the questions say it."""
        starts = {}
        for batch in read_batches(self.path, "questions"):
            if STARTS in batch.schema.names:
                rows = zip(batch["question_id"].to_pylist(), batch[STARTS].to_pylist(), strict=True)
                starts |= {question_id: places[0] for question_id, places in rows if places}
        return starts


def _choose_fact(facts: list[Fact], question: Question, start: int | None) -> Fact | None:
    if len(facts) > 1:
        answer = question.answers[0]
        facts = [fact for fact in facts if fact.value == answer and start in (None, fact.start)]
    return facts[0] if len(facts) == 1 else None


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
