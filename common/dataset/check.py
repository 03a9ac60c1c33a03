"""Whether a dataset folder keeps its promises: schema, spans, splits, and nothing that leaks."""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from elusive.common.dataset.folder import TABLES
from elusive.common.dataset.records import SCHEMAS
from elusive.common.dataset.shards import check_finished, read_batches
from elusive.common.errors import InputError
from elusive.common.folders import content_hash, read_manifest

SPLITS = {"corpus": ("train", "dev"), "questions": ("dev", "test")}
KINDS = ("direct", "yes-no", "reverse", "multi-hop")


@dataclass(frozen=True)
class Problem:
    """Something that is wrong, and where."""

    table: str
    row: int | None
    """Index of the row, from 0; None for the table as a whole."""
    identifier: str
    message: str

    def __str__(self) -> str:
        """One line."""
        place = self.table if self.row is None else f"{self.table} row {self.row}"
        return f"{place}{f' ({self.identifier})' if self.identifier else ''}: {self.message}"


def check_dataset(
    folder: Path, on_rows: Callable[[int], object] = lambda count: None
) -> Iterator[Problem]:
    """Everything that is wrong with a dataset folder; memory stays flat but for a hash per row.

    Args:
        folder: of the dataset.
        on_rows: called with the number of rows checked since the last call.

    Raises:
        InputError: there is no finished dataset to check.
    """
    check_finished(folder)
    manifest = read_manifest(folder, "dataset")
    if manifest.kind != "dataset":
        raise InputError(f"{folder} holds a {manifest.kind}, not a dataset")
    if content_hash(folder) != manifest.content_hash:
        yield Problem("manifest.json", None, "", "the data files do not match the content hash")
    broken = [problem for name in TABLES for problem in _schema_problems(folder, name)]
    yield from broken
    yield from [] if broken else _opening_problems(folder)
    if not broken:
        yield from _check_rows(folder, _promises(manifest.parameters), on_rows)


@dataclass(frozen=True)
class _Promises:
    """What a generator promises beyond what holds for all."""

    named_in_full: bool
    """Mentions and questions have the entity's whole name."""
    leak_free: bool
    """No answer stands in its question."""
    shots: bool
    """There are solved questions."""


def _promises(parameters: dict[str, Any]) -> _Promises:
    """What the generator that is named in a manifest promises."""
    if parameters.get("generator") != "wikiqa":
        return _Promises(parameters.get("generator") == "biogen", leak_free=True, shots=True)
    return _Promises(False, "leak" in parameters["filters"], parameters["shots"] > 0)


def _opening_problems(folder: Path) -> Iterator[Problem]:
    """Whether `datasets` opens the folder, and the card is there."""
    from datasets import load_from_disk

    try:
        load_from_disk(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        yield Problem("folder", None, "", f"datasets.load_from_disk cannot open it: {reason}")
    if not (folder / "README.md").is_file():
        yield Problem("README.md", None, "", "the card is missing")


def _schema_problems(folder: Path, name: str) -> Iterator[Problem]:
    """Whether a table is there and has the columns that it should have."""
    files = sorted((folder / name).glob("*.arrow"))
    if not files:
        yield Problem(name, None, "", "the table is missing")
    for path in files:
        try:
            with pa.memory_map(str(path)) as source:
                schema = pa.ipc.open_stream(source).schema
        except pa.ArrowInvalid as error:
            yield Problem(
                name, None, path.name, f"not an Arrow stream: {str(error).splitlines()[0]}"
            )
            continue
        wanted = SCHEMAS[TABLES[name]]
        for column in wanted:
            if column.name not in schema.names:
                yield Problem(name, None, path.name, f"column {column.name!r} is missing")
            elif not schema.field(column.name).type.equals(column.type):
                got = schema.field(column.name).type
                yield Problem(
                    name, None, path.name, f"column {column.name!r} is {got}, not {column.type}"
                )


@dataclass
class _Seen:
    """Hashes of what the rows so far hold, to compare rows of different tables."""

    doc_ids: array = field(default_factory=lambda: array("q"))
    entities: array = field(default_factory=lambda: array("q"))
    stated: array = field(default_factory=lambda: array("q"))
    """One per fact: document, field and value."""
    question_ids: array = field(default_factory=lambda: array("q"))
    asked_doc_ids: array = field(default_factory=lambda: array("q"))
    asked: array = field(default_factory=lambda: array("q"))
    """One per question: document, field and first answer; 0 where the text need not state it."""
    subjects: array = field(default_factory=lambda: array("q"))
    """One per document: itself and its entity."""
    asked_subjects: array = field(default_factory=lambda: array("q"))
    """One per question: its document and its entity."""
    templates: dict[str, set[str]] = field(default_factory=lambda: {"train": set(), "dev": set()})
    """Templates of the documents of each split."""
    dev: array = field(default_factory=lambda: array("q"))
    """One per question: its entity if its split is dev, else 0."""
    test: array = field(default_factory=lambda: array("q"))
    shot_entities: array = field(default_factory=lambda: array("q"))


def _check_rows(
    folder: Path, promises: _Promises, on_rows: Callable[[int], object]
) -> Iterator[Problem]:
    """What is wrong with single rows, then with rows against each other."""
    seen = _Seen()
    checks = {
        "corpus": lambda row: _document_problems(row, seen, promises),
        "questions": lambda row: _question_problems(row, seen, promises),
        "shots": lambda row: _shot_problems(row, seen, promises),
    }
    for name, check in checks.items():
        number = 0
        for batch in read_batches(folder, name):
            for row in batch.to_pylist():
                identifier = row.get("question_id") or row.get("doc_id") or row["entity"] or ""
                nulls = [column for column, value in row.items() if value is None]
                messages = [f"column {nulls[0]!r} is null"] if nulls else check(row)
                for message in messages:
                    yield Problem(name, number, identifier, message)
                number += 1
            on_rows(len(batch))
        if not number and (name != "shots" or promises.shots):
            yield Problem(name, None, "", "the table has no rows")
    yield from _problems_between(seen)


def _document_problems(row: dict[str, Any], seen: _Seen, promises: _Promises) -> Iterator[str]:
    """What is wrong with a document."""
    text, entity = row["text"], row["entity"]
    seen.doc_ids.append(hash(row["doc_id"]))
    seen.entities.append(hash(entity))
    seen.subjects.append(hash((row["doc_id"], entity)))
    seen.templates.setdefault(row["split"], set()).update(row["templates"])
    if not text.strip():
        yield "the text is empty"
        return
    if row["split"] not in SPLITS["corpus"]:
        yield f"unknown split {row['split']!r}"
    covered = []
    for column in ("heads", "others"):
        for span in row[column]:
            covered.append((span["start"], span["end"]))
            if not 0 <= span["start"] < span["end"] <= len(text):
                yield f"a span of {column} lies outside the text: {span}"
            elif (
                column == "heads" and promises.named_in_full and text[slice(*covered[-1])] != entity
            ):
                yield f"a head mention reads {text[slice(*covered[-1])]!r}, not {entity!r}"
    heads = [(span["start"], span["end"]) for span in row["heads"]]
    for fact in row["facts"]:
        seen.stated.append(hash((row["doc_id"], fact["field"], fact["value"])))
        covered.append((fact["start"], fact["end"]))
        yield from _fact_problems(text, heads, fact)
    positions = [fact["position"] for fact in row["facts"]]
    if positions != sorted(positions) or min(positions, default=0) < 0:
        yield f"the facts' positions {positions} do not rise"
    for start, end in _mentions(text, entity):
        if not any(begin <= start and end <= stop for begin, stop in covered):
            yield f"the mention of {entity!r} at {start} is not among the heads"


def _fact_problems(text: str, heads: list[tuple[int, int]], fact: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a fact."""
    start, end = fact["start"], fact["end"]
    if text[start:end] != fact["value"] or not fact["value"]:
        yield (
            f"the fact {fact['field']} should read {fact['value']!r} at {start} to {end}, where "
            f"the text has {text[start:end][:60]!r}"
        )
        return
    ends = [stop for _, stop in heads if stop <= start]
    distance = text.count(" ", max(ends), start) if ends else None
    if fact["distance"] != distance:
        yield f"the fact {fact['field']} has distance {fact['distance']}, and stands at {distance}"


def _mentions(text: str, name: str) -> Iterator[tuple[int, int]]:
    """Where a name stands as whole words."""
    start = text.find(name)
    while start >= 0:
        end = start + len(name)
        before, after = text[start - 1 : start], text[end : end + 1]
        if not before.isalnum() and not after.isalnum():
            yield start, end
        start = text.find(name, end)


def _question_problems(row: dict[str, Any], seen: _Seen, promises: _Promises) -> Iterator[str]:
    """What is wrong with a question."""
    is_stated = row["kind"] == "direct" and row["hops"] == 1 and row["answers"]
    seen.question_ids.append(hash(row["question_id"]))
    seen.asked_doc_ids.append(hash(row["doc_id"]))
    seen.asked_subjects.append(hash((row["doc_id"], row["entity"])))
    key = (row["doc_id"], row["field"], row["answers"][0]) if is_stated else None
    seen.asked.append(hash(key) if key else 0)
    for split, entities in (("dev", seen.dev), ("test", seen.test)):
        entities.append(hash(row["entity"]) if row["split"] == split else 0)
    if row["split"] not in SPLITS["questions"]:
        yield f"unknown split {row['split']!r}"
    if row["kind"] not in KINDS:
        yield f"unknown kind {row['kind']!r}"
    if not row["answers"] or not all(answer.strip() for answer in row["answers"]):
        yield "a gold answer is missing or empty"
    if row["kind"] == "yes-no" and row["answers"] not in (["yes"], ["no"]):
        yield f"a yes-no question has the answers {row['answers']}"
    if row["kind"] == "reverse" and row["entity"] not in row["answers"]:
        yield "the answer to a reverse question is not its entity"
    yield from _unnamed(row, promises)
    for answer in row["answers"] if promises.leak_free else ():
        yield from _leaked(answer, row)


def _unnamed(row: dict[str, Any], promises: _Promises) -> Iterator[str]:
    """Whether a question that should name its entity does not."""
    if promises.named_in_full and row["kind"] != "reverse" and row["entity"] not in row["question"]:
        yield f"the question {row['question']!r} does not name {row['entity']!r}"


def _shot_problems(row: dict[str, Any], seen: _Seen, promises: _Promises) -> Iterator[str]:
    """What is wrong with a shot."""
    seen.shot_entities.append(hash(row["entity"]))
    if not row["answer"].strip():
        yield "the answer is empty"
    yield from _unnamed(row, promises)
    if promises.leak_free:
        yield from _leaked(row["answer"], row)


def _leaked(answer: str, row: dict[str, Any]) -> Iterator[str]:
    """Whether a question contains its answer; names of the asked may, as in Jackson Smith."""
    question = row["question"]
    if row["kind"] != "reverse":
        question = question.replace(row["entity"], "")
    if answer.strip() and next(_mentions(question.casefold(), answer.casefold()), None):
        yield f"the answer {answer!r} stands in the question {row['question']!r}"


def _problems_between(seen: _Seen) -> Iterator[Problem]:
    """What is wrong with rows against each other."""
    doc_ids, question_ids = np.array(seen.doc_ids), np.array(seen.question_ids)
    yield from _at("corpus", _repeated(doc_ids), "the doc_id stands in an earlier row, too")
    yield from _at("questions", _repeated(question_ids), "the question_id stands in an earlier row")
    unknown = ~np.isin(np.array(seen.asked_doc_ids), doc_ids)
    yield from _at("questions", unknown, "no document has this doc_id")
    strange = ~np.isin(np.array(seen.asked_subjects), np.array(seen.subjects)) & ~unknown
    yield from _at("questions", strange, "the document is about another entity")
    for template in sorted(seen.templates["train"] & seen.templates["dev"]):
        yield Problem("corpus", None, template, "the template is in documents of train and of dev")
    asked = np.array(seen.asked)
    untold = (asked != 0) & ~np.isin(asked, np.array(seen.stated)) & ~unknown
    yield from _at("questions", untold, "the document does not state the first gold answer")
    dev, test = np.array(seen.dev), np.array(seen.test)
    both = np.intersect1d(dev[dev != 0], test[test != 0])
    yield from _at("questions", np.isin(dev, both) & (dev != 0), "asked about in dev and in test")
    shots, entities = np.array(seen.shot_entities), np.array(seen.entities)
    known = np.isin(shots, entities) | np.isin(shots, dev) | np.isin(shots, test)
    yield from _at("shots", known & (shots != 0), "the shot is about an entity of the corpus")


def _repeated(hashes: np.ndarray) -> np.ndarray:
    """Which values stand at an earlier place, too."""
    mask = np.ones(len(hashes), bool)
    mask[np.unique(hashes, return_index=True)[1]] = False
    return mask


def _at(table: str, mask: np.ndarray, message: str) -> Iterator[Problem]:
    """The same problem at every row of a mask."""
    for row in np.flatnonzero(mask):
        yield Problem(table, int(row), "", message)
