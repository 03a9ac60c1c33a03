"""Checks of a dataset folder: its schema, spans and splits, and that no answer leaks."""

import json
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

    Memory grows by a few hashes per row only.

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


def _no_hashes() -> array:
    return array("q")


@dataclass
class _Seen:
    """Hashes of the rows read so far, for comparing rows of different tables."""

    doc_ids: array = field(default_factory=_no_hashes)
    entities: array = field(default_factory=_no_hashes)
    facts: array = field(default_factory=_no_hashes)
    """One per fact: document, field and value."""
    question_ids: array = field(default_factory=_no_hashes)
    asked_doc_ids: array = field(default_factory=_no_hashes)
    placed_facts: array = field(default_factory=_no_hashes)
    """The same, with the place of the value."""
    asked_facts: array = field(default_factory=_no_hashes)
    """One per question: document, field and first answer; 0 if the text need not state it."""
    asked_places: array = field(default_factory=_no_hashes)
    """The same, with the place of the answer; 0 if the question does not say it."""
    subjects: array = field(default_factory=_no_hashes)
    """One per document: itself and its entity."""
    asked_subjects: array = field(default_factory=_no_hashes)
    """One per question: its document and its entity."""
    templates: dict[str, set[str]] = field(default_factory=lambda: {"train": set(), "dev": set()})
    """Templates of the documents of each split."""
    dev: array = field(default_factory=_no_hashes)
    """One per question: its entity if its split is dev, else 0."""
    test: array = field(default_factory=_no_hashes)
    """The same for the split test."""
    shot_entities: array = field(default_factory=_no_hashes)


def _check_rows(
    folder: Path, promises: _Promises, on_rows: Callable[[int], object]
) -> Iterator[Problem]:
    """Check single rows, then rows against each other."""
    seen = _Seen()
    checks = {"corpus": _check_document, "questions": _check_question, "shots": _check_shot}
    for name, check in checks.items():
        number = 0
        for batch in read_batches(folder, name):
            for row in batch.to_pylist():
                identifier = row.get("question_id") or row.get("doc_id") or row["entity"] or ""
                nulls = [column for column, value in row.items() if value is None]
                messages = [f"column {nulls[0]!r} is null"] if nulls else check(row, seen, promises)
                for message in messages:
                    yield Problem(name, number, identifier, message)
                number += 1
            on_rows(len(batch))
        if not number and (name != "shots" or promises.shots):
            yield Problem(name, None, "", "the table has no rows")
    yield from _check_between_rows(seen)


def _check_document(row: dict[str, Any], seen: _Seen, promises: _Promises) -> Iterator[str]:
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
        seen.facts.append(hash(stated))
        seen.placed_facts.append(hash((*stated, fact["start"])))
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


def _check_question(row: dict[str, Any], seen: _Seen, promises: _Promises) -> Iterator[str]:
    is_stated = row["kind"] == "direct" and row["hops"] == 1 and row["answers"]
    fact = (row["doc_id"], row["field"], row["answers"][0]) if is_stated else None
    seen.question_ids.append(hash(row["question_id"]))
    seen.asked_doc_ids.append(hash(row["doc_id"]))
    seen.asked_subjects.append(hash((row["doc_id"], row["entity"])))
    seen.asked_facts.append(hash(fact) if fact else 0)
    places = row.get("answer_starts")
    seen.asked_places.append(hash((*fact, places[0])) if fact and places else 0)
    if places is not None and len(places) != len(row["answers"]):
        yield f"{len(row['answers'])} answers have {len(places)} places"
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
    yield from _check_question_text(row, row["answers"], promises)


def _check_shot(row: dict[str, Any], seen: _Seen, promises: _Promises) -> Iterator[str]:
    seen.shot_entities.append(hash(row["entity"]))
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


def _check_between_rows(seen: _Seen) -> Iterator[Problem]:
    """Check rows against each other."""
    doc_ids, question_ids = np.array(seen.doc_ids), np.array(seen.question_ids)
    yield from _at("corpus", _is_repeated(doc_ids), "an earlier row has the same doc_id")
    yield from _at("questions", _is_repeated(question_ids), "an earlier row has this question_id")
    unknown = ~np.isin(np.array(seen.asked_doc_ids), doc_ids)
    yield from _at("questions", unknown, "no document has this doc_id")
    mismatched = ~np.isin(np.array(seen.asked_subjects), np.array(seen.subjects)) & ~unknown
    yield from _at("questions", mismatched, "the document is about another entity")
    for template in sorted(seen.templates["train"] & seen.templates["dev"]):
        yield Problem("corpus", None, template, "documents of both train and dev use the template")
    asked_facts = np.array(seen.asked_facts)
    unstated = (asked_facts != 0) & ~np.isin(asked_facts, np.array(seen.facts)) & ~unknown
    yield from _at("questions", unstated, "the document does not state the first gold answer")
    asked_places = np.array(seen.asked_places)
    misplaced = (asked_places != 0) & ~np.isin(asked_places, np.array(seen.placed_facts))
    misplaced &= ~unstated & ~unknown
    yield from _at("questions", misplaced, "no fact stands where its first gold answer should")
    dev, test = np.array(seen.dev), np.array(seen.test)
    in_both = np.isin(dev, test) & (dev != 0)
    yield from _at("questions", in_both, "its entity is asked about in both dev and test")
    shots, entities = np.array(seen.shot_entities), np.array(seen.entities)
    known = np.isin(shots, entities) | np.isin(shots, dev) | np.isin(shots, test)
    yield from _at("shots", known & (shots != 0), "the shot is about an entity of the corpus")


def _is_repeated(hashes: np.ndarray) -> np.ndarray:
    """Return a mask of the values that an earlier row has, too."""
    mask = np.ones(len(hashes), bool)
    mask[np.unique(hashes, return_index=True)[1]] = False
    return mask


def _at(table: str, mask: np.ndarray, message: str) -> Iterator[Problem]:
    for row in np.flatnonzero(mask):
        yield Problem(table, int(row), "", message)
