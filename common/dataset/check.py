"""Checks of a dataset folder: its schema, spans and splits, and that no answer leaks."""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from elusive.common.dataset.folder import TABLES
from elusive.common.dataset.records import SCHEMAS
from elusive.common.dataset.row_keys import RowKeys
from elusive.common.dataset.shards import check_finished, read_batches
from elusive.common.errors import InputError
from elusive.common.folders import is_intact, read_manifest
from elusive.common.text.languages import ENGLISH, count_words_between
from elusive.common.text.text_spans import find_whole_words

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
        """Return the problem as one line."""
        location = self.table if self.row is None else f"{self.table} row {self.row}"
        return f"{location}{f' ({self.identifier})' if self.identifier else ''}: {self.message}"


def check_dataset(
    folder: Path, on_rows: Callable[[int], object] = lambda count: None
) -> Iterator[Problem]:
    """Yield everything that is wrong with a dataset folder.

    Memory does not grow with the dataset: what rows are compared by is in temporary files.

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
    if not is_intact(folder, manifest):
        yield Problem("manifest.json", None, "", "the data files do not match the content hash")
    schema_problems = [problem for name in TABLES for problem in _check_schema(folder, name)]
    yield from schema_problems
    if not schema_problems:  # without its columns, a table cannot be read
        yield from _check_opening(folder)
        yield from _check_rows(folder, _read_promises(manifest.parameters), on_rows)


@dataclass(frozen=True)
class _Promises:
    """What a generator promises beyond what holds for every dataset."""

    named_in_full: bool
    """Mentions and questions use the entity's whole name."""
    leak_free: bool
    """No question contains its answer."""
    shots: bool
    """There are solved questions."""
    language: str
    """Code of the language of texts and answers."""


def _read_promises(parameters: dict[str, Any]) -> _Promises:
    language = parameters.get("language") or ENGLISH
    if parameters.get("generator") != "wikiqa":
        shots = parameters.get("num_shot_people", 1)
        return _Promises(parameters.get("generator") == "biogen", True, shots > 0, language)
    filters, shots = parameters.get("filters") or (), parameters.get("shots") or 0
    return _Promises(False, "leak" in filters, shots > 0, language)


def _check_opening(folder: Path) -> Iterator[Problem]:
    """Check that `datasets` opens the folder and reads the files that are hashed; and the card."""
    from datasets import load_from_disk

    for name in TABLES:
        yield from _check_state(folder, name)
    try:
        load_from_disk(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        yield Problem("folder", None, "", f"datasets.load_from_disk cannot open it: {reason}")
    if not (folder / "README.md").is_file():
        yield Problem("README.md", None, "", "the card is missing")


def _check_state(folder: Path, name: str) -> Iterator[Problem]:
    """Check that `state.json`, by which `datasets` loads a table, names exactly its Arrow files."""
    path = folder / name / "state.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["_data_files"]
        loaded = [str(entry["filename"]) for entry in entries]
    except FileNotFoundError:
        return  # `datasets` says what is missing
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"it does not list the files of the table ({type(error).__name__})"
        yield Problem(f"{name}/state.json", None, "", message)
        return
    hashed = sorted(file.name for file in (folder / name).glob("*.arrow"))
    if loaded != hashed:
        other = [*({*loaded} - {*hashed}), *({*hashed} - {*loaded}), *loaded]
        message = f"datasets would load other files than those that are hashed: {other[0]!r}"
        yield Problem(f"{name}/state.json", None, "", message)


def _check_schema(folder: Path, name: str) -> Iterator[Problem]:
    """Check that a table exists and has the right columns."""
    files = sorted((folder / name).glob("*.arrow"))
    if not files:
        yield Problem(name, None, "", "the table is missing")
    for path in files:
        try:
            with pa.memory_map(str(path)) as source:
                schema = pa.ipc.open_stream(source).schema
        except pa.ArrowInvalid as error:
            message = f"not an Arrow stream: {str(error).splitlines()[0]}"
            yield Problem(name, None, path.name, message)
            continue
        for column in SCHEMAS[TABLES[name]]:
            label = f"column {column.name!r}"
            if column.name not in schema.names:
                yield Problem(name, None, path.name, f"{label} is missing")
            elif not (own_type := schema.field(column.name).type).equals(column.type):
                yield Problem(name, None, path.name, f"{label} is {own_type}, not {column.type}")


class _Seen:
    """Keys of the rows read so far, for comparing rows of different tables.

    Args:
        folder: for temporary files.
    """

    def __init__(self, folder: Path) -> None:
        def open_keys(name: str) -> RowKeys:
            return RowKeys(folder / name)

        self.templates: dict[str, set[str]] = {"train": set(), "dev": set()}
        """Templates of the documents of each split."""
        # Of documents: themselves, their entities, and both together.
        self.doc_ids, self.entities = open_keys("doc_ids"), open_keys("entities")
        self.subjects = open_keys("subjects")
        # Of facts: document, field and value.
        self.facts = open_keys("facts")
        # The same, with the place of the value.
        self.placed_facts = open_keys("placed_facts")
        # Of questions, the same; the fact has the first answer, if the text must state it.
        self.question_ids = open_keys("question_ids")
        self.asked_doc_ids, self.asked_facts = open_keys("asked_doc_ids"), open_keys("asked_facts")
        self.asked_subjects = open_keys("asked_subjects")
        # The same as of the fact, with the place of the answer, if the question says it.
        self.asked_places = open_keys("asked_places")
        self.asked_entities = {split: open_keys(split) for split in SPLITS["questions"]}
        # Of shots: their entities.
        self.shot_entities = open_keys("shot_entities")


def _check_rows(
    folder: Path, promises: _Promises, on_rows: Callable[[int], object]
) -> Iterator[Problem]:
    """Check single rows, then rows against each other."""
    checks = {"corpus": _check_document, "questions": _check_question, "shots": _check_shot}
    with TemporaryDirectory(prefix="elusive-check-") as scratch:
        seen = _Seen(Path(scratch))
        for name, check in checks.items():
            number = 0
            check_one = partial(check, seen=seen, promises=promises)
            try:
                for batch in read_batches(folder, name):
                    for row in batch.to_pylist():
                        yield from _check_row(name, row, number, check_one)
                        number += 1
                    on_rows(len(batch))
            except InputError as error:
                yield Problem(name, None, "", str(error))
                return
            if not number and (name != "shots" or promises.shots):
                yield Problem(name, None, "", "the table has no rows")
        yield from _check_between_rows(folder, seen)


def _check_row(
    table: str, row: dict[str, Any], number: int, check: Callable[..., Iterator[str]]
) -> Iterator[Problem]:
    identifier = row.get("question_id") or row.get("doc_id") or row["entity"] or ""
    nulls = [column for column, value in row.items() if value is None]
    messages = [f"column {nulls[0]!r} is null"] if nulls else check(row, number)
    for message in messages:
        yield Problem(table, number, identifier, message)


def _check_document(
    row: dict[str, Any], number: int, seen: _Seen, promises: _Promises
) -> Iterator[str]:
    text, entity = row["text"], row["entity"]
    seen.doc_ids.add(row["doc_id"], number)
    seen.entities.add(entity, number)
    seen.subjects.add((row["doc_id"], entity), number)
    seen.templates.setdefault(row["split"], set()).update(row["templates"])
    if not text.strip():
        yield "the text is empty"
        return
    if row["split"] not in SPLITS["corpus"]:
        yield f"unknown split {row['split']!r}"
    # 1) Every span lies in the text, and covers what it should.
    covered = []
    for column in ("heads", "others"):
        for span in row[column]:
            start, end = span["start"], span["end"]
            covered.append((start, end))
            if not 0 <= start < end <= len(text):
                yield f"a span of {column} lies outside the text: {span}"
            elif column == "heads" and promises.named_in_full and text[start:end] != entity:
                yield f"a head mention reads {text[start:end]!r}, not {entity!r}"
    heads = [(span["start"], span["end"]) for span in row["heads"]]
    for fact in row["facts"]:
        stated = (row["doc_id"], fact["field"], fact["value"])
        seen.facts.add(stated, number)
        seen.placed_facts.add((*stated, fact["start"]), number)
        covered.append((fact["start"], fact["end"]))
        yield from _check_fact(text, heads, fact, promises.language)
    positions = [fact["position"] for fact in row["facts"]]
    if positions != sorted(positions) or min(positions, default=0) < 0:
        yield f"the facts' positions {positions} are not in ascending order"
    # 2) Every mention of the entity has a span.
    for start, end in find_whole_words(text, [entity]):
        if not any(first <= start and end <= last for first, last in covered):
            yield f"the mention of {entity!r} at {start} is not among the heads"


def _check_fact(
    text: str, heads: list[tuple[int, int]], fact: dict[str, Any], language: str
) -> Iterator[str]:
    start, end = fact["start"], fact["end"]
    if text[start:end] != fact["value"] or not fact["value"]:
        yield (
            f"the fact {fact['field']} should read {fact['value']!r} at characters {start} to "
            f"{end}, but the text there reads {text[start:end][:60]!r}"
        )
        return
    ends = [last for _, last in heads if last <= start]
    distance = count_words_between(text, max(ends), start, language) if ends else None
    if fact["distance"] != distance:
        yield f"the fact {fact['field']} has distance {fact['distance']}, but stands at {distance}"


def _check_question(
    row: dict[str, Any], number: int, seen: _Seen, promises: _Promises
) -> Iterator[str]:
    seen.question_ids.add(row["question_id"], number)
    seen.asked_doc_ids.add(row["doc_id"], number)
    seen.asked_subjects.add((row["doc_id"], row["entity"]), number)
    places = row.get("answer_starts")
    if places is not None and len(places) != len(row["answers"]):
        yield f"{len(row['answers'])} answers have {len(places)} places"
    if row["kind"] == "direct" and row["hops"] == 1 and row["answers"]:
        fact = (row["doc_id"], row["field"], row["answers"][0])
        seen.asked_facts.add(fact, number)
        if places:
            seen.asked_places.add((*fact, places[0]), number)
    if row["split"] in seen.asked_entities:
        seen.asked_entities[row["split"]].add(row["entity"], number)
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
    yield from _check_question_text(row, row["answers"], promises)


def _check_shot(
    row: dict[str, Any], number: int, seen: _Seen, promises: _Promises
) -> Iterator[str]:
    seen.shot_entities.add(row["entity"], number)
    if not row["answer"].strip():
        yield "the answer is empty"
    yield from _check_question_text(row, [row["answer"]], promises)


def _check_question_text(
    row: dict[str, Any], answers: list[str], promises: _Promises
) -> Iterator[str]:
    """Check that a question names its entity and does not contain its answer.

    The entity's name may contain the answer, as in a question about Jackson Smith of Jackson, and a
    value may contain a yes or no, as in one about Dr. No.
    """
    question, entity = row["question"], row["entity"]
    if row["kind"] != "reverse":
        if promises.named_in_full and entity not in question:
            yield f"the question {question!r} does not name {entity!r}"
        question = question.replace(entity, "")
    for answer in answers if promises.leak_free and row["kind"] != "yes-no" else ():
        if answer.strip() and find_whole_words(question.casefold(), [answer.casefold()]):
            yield f"the answer {answer!r} occurs in the question {row['question']!r}"


def _check_between_rows(folder: Path, seen: _Seen) -> Iterator[Problem]:
    """Check rows against each other; keys of the same hash are read again and compared."""
    doc_ids, question_ids = (
        _Column(folder, "corpus", "doc_id"),
        _Column(folder, "questions", "question_id"),
    )
    asked, shot, entities = (
        _Column(folder, name, "entity") for name in ("questions", "shots", "corpus")
    )
    repeated = doc_ids.select_equal(doc_ids, seen.doc_ids.find_repetitions())
    yield from _at("corpus", repeated, "an earlier row has the same doc_id")
    repeated = question_ids.select_equal(question_ids, seen.question_ids.find_repetitions())
    yield from _at("questions", repeated, "an earlier row has this question_id")
    unknown = seen.asked_doc_ids.find_absent(seen.doc_ids)
    yield from _at("questions", unknown, "no document has this doc_id")
    mismatched = np.setdiff1d(seen.asked_subjects.find_absent(seen.subjects), unknown)
    yield from _at("questions", mismatched, "the document is about another entity")
    for template in sorted(seen.templates["train"] & seen.templates["dev"]):
        yield Problem("corpus", None, template, "documents of both train and dev use the template")
    unstated = np.setdiff1d(seen.asked_facts.find_absent(seen.facts), unknown)
    yield from _at("questions", unstated, "the document does not state the first gold answer")
    elsewhere = seen.asked_places.find_absent(seen.placed_facts)
    misplaced = np.setdiff1d(np.setdiff1d(elsewhere, unstated), unknown)
    yield from _at("questions", misplaced, "no fact stands where its first gold answer should")
    dev, test = (seen.asked_entities[split] for split in ("dev", "test"))
    in_both = asked.select_equal(asked, dev.find_candidates(test))
    yield from _at("questions", in_both, "its entity is asked about in both dev and test")
    known = set(shot.select_equal(entities, seen.shot_entities.find_candidates(seen.entities)))
    for keys in (dev, test):
        known.update(shot.select_equal(asked, seen.shot_entities.find_candidates(keys)))
    yield from _at("shots", sorted(known), "the shot is about an entity of the corpus")


class _Column:
    """A column of a table, of which single rows are read."""

    def __init__(self, folder: Path, table: str, name: str) -> None:
        self._parts = [batch.column(name) for batch in read_batches(folder, table)]
        self._starts = list(accumulate(map(len, self._parts), initial=0))

    def _read(self, row: int) -> str:
        number = bisect_right(self._starts, row) - 1
        return self._parts[number][row - self._starts[number]].as_py()

    def select_equal(
        self, other: "_Column", candidates: Iterable[tuple[int, np.ndarray]]
    ) -> Iterator[int]:
        """Select the rows that equal one of their candidate rows of another column."""
        for row, others in candidates:
            value = self._read(row)
            if any(other._read(candidate) == value for candidate in others.tolist()):
                yield row


def _at(table: str, rows: Iterable[int], message: str) -> Iterator[Problem]:
    for row in rows:
        yield Problem(table, int(row), "", message)
