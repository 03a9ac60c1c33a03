"""Export a dataset or a training text as JSON Lines, CSV or Parquet."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from elusive.augment.training_text import KIND as TEXT_KIND
from elusive.augment.training_text import TEXTS, TrainingTextFolder
from elusive.common.content_hash import split_rows
from elusive.common.dataset.croissant import DatasetDescription, TableFiles, render_croissant
from elusive.common.dataset.folder import TABLES, TRAIN, DatasetFolder, load_dataset_folder
from elusive.common.dataset.shards import read_batches
from elusive.common.errors import InputError, build_unknown_name_error
from elusive.common.folders import create_folder, is_made, read_manifest, write_atomically
from elusive.evaluate.answering.prompts import render_question

CROISSANT = "croissant.json"
ROWS_TOGETHER = 4096

Source = DatasetFolder | TrainingTextFolder
NamedBatch = tuple[str, pa.RecordBatch]
"""Name of a file without its suffix, and rows of it."""


def export_tables(path: Path, out: Path, suffix: str, layout: str = "rows") -> Counter[str]:
    """Write the tables of a dataset or of a training text, one file each, and Croissant metadata.

    Args:
        path: folder of the dataset or of the training text.
        out: folder to write.
        suffix: jsonl, csv or parquet. CSV holds lists and records as JSON.
        layout: `rows` has all columns. `text` has the texts to train on, in the only column `text`.
            `prompt-completion` has the questions of a dataset as columns `prompt` and `completion`:
            the solved ones about other people as train, the others by their split.

    Returns:
        Number of rows of each file, by its name.

    Raises:
        InputError: the folder is neither, has no questions for the layout, or `out` holds something
            else.
    """
    if layout not in LAYOUTS:
        raise build_unknown_name_error("layout", layout, LAYOUTS)
    source = open_source(path)
    parameters = {"format": suffix, "layout": layout, "source": source.content_hash}
    if not is_made(out, "export", parameters):
        with create_folder(out, "export", parameters) as folder:
            _write_files(source, folder, suffix, layout)
    counts: Counter[str] = Counter()
    for name, batch in LAYOUTS[layout](source):
        counts[f"{name}.{suffix}"] += batch.num_rows
    return counts


def open_source(path: Path) -> Source:
    """Open a dataset or a training text, and verify its files.

    Raises:
        InputError: the folder is neither, or its files changed.
    """
    kind = read_manifest(path, "dataset or training text").kind
    if kind == TEXT_KIND:
        text = TrainingTextFolder(path)
        text.verify()
        return text
    if kind != "dataset":
        raise InputError(f"{path} holds a {kind}: name a dataset or a training text")
    return load_dataset_folder(path)


def _write_files(source: Source, folder: Path, suffix: str, layout: str) -> None:
    writers: dict[str, Any] = {}
    files: list[TableFiles] = []
    with ExitStack() as stack:
        for name, batch in LAYOUTS[layout](source):
            if name not in writers:
                path = folder / f"{name}.{suffix}"
                files.append(TableFiles(name, batch.schema, (path,)))
                writers[name] = stack.enter_context(closing(WRITERS[suffix](path, batch.schema)))
            writers[name].add(batch)
    description = DatasetDescription(name=source.path.resolve().name)
    write_atomically(folder / CROISSANT, render_croissant(description, files, folder))


def _iterate_rows(source: Source) -> Iterator[NamedBatch]:
    names = (TEXTS,) if isinstance(source, TrainingTextFolder) else TABLES
    for name in names:
        for batch in read_batches(source.path, name):
            for start in range(0, batch.num_rows, ROWS_TOGETHER):
                yield name, batch.slice(start, ROWS_TOGETHER)


def _iterate_texts(source: Source) -> Iterator[NamedBatch]:
    """Yield the texts to train on: all of a training text, or a dataset's originals."""
    for name, batch in _iterate_rows(source):
        if name == TEXTS:
            yield TRAIN, batch.select(["text"])
        elif name == "corpus":
            yield from ((s, rows.select(["text"])) for s, rows in split_rows(batch) if s == TRAIN)


def _iterate_prompts(source: Source) -> Iterator[NamedBatch]:
    """Yield questions as prompts, and their first gold answers as completions."""
    if isinstance(source, TrainingTextFolder):
        raise InputError(
            f"{source.path} has texts, not questions: export the dataset that it was made from, or "
            "choose --layout text"
        )
    for name, batch in _iterate_rows(source):
        if name == "shots":
            yield TRAIN, _to_prompts(batch, [[answer] for answer in _list(batch, "answer")])
        elif name == "questions":
            for split, rows in split_rows(batch):
                yield split, _to_prompts(rows, _list(rows, "answers"))


def _list(batch: pa.RecordBatch, column: str) -> list[Any]:
    return batch.column(column).to_pylist()


def _to_prompts(batch: pa.RecordBatch, answers: list[list[str]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "prompt": [render_question(question) for question in _list(batch, "question")],
            "completion": [f" {golds[0]}" for golds in answers],
        }
    )


LAYOUTS: dict[str, Callable[[Source], Iterator[NamedBatch]]] = {
    "rows": _iterate_rows,
    "text": _iterate_texts,
    "prompt-completion": _iterate_prompts,
}
"""What the rows of the files are."""


class JsonLinesFile:
    """A file with one JSON object per row."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._file = path.open("w", encoding="utf-8")

    def add(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        self._file.writelines(
            json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in batch.to_pylist()
        )

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class CsvFile(JsonLinesFile):
    """A file with a header and one line per row; lists and records are JSON."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.DictWriter(self._file, schema.names, lineterminator="\n")
        self._writer.writeheader()

    def add(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        for row in batch.to_pylist():
            self._writer.writerow({name: _to_cell(value) for name, value in row.items()})


def _to_cell(value: object) -> object:
    is_nested = isinstance(value, (list, dict))
    return json.dumps(value, ensure_ascii=False) if is_nested else value


class ParquetFile:
    """A Parquet file with the types of the table."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(path, schema)

    def add(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        self._writer.write_batch(batch)

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


WRITERS: dict[str, Any] = {"jsonl": JsonLinesFile, "csv": CsvFile, "parquet": ParquetFile}
"""Formats of tables, by the suffix of their files."""
