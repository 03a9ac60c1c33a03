"""A dataset folder as the content of a Hub repository: Parquet, a card, and what measures with it.

A table's column `split` becomes the splits of its config, named as in the column; `shots` has no
such column and is the split `train`.
"""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions when it is imported)

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from elusive.common.dataset.folder import TABLES
from elusive.common.dataset.shards import check_finished, read_batches
from elusive.common.errors import InputError
from elusive.common.folders import MANIFEST, checked_manifest, write_atomically
from elusive.common.templates import render_template

MADE_BY = "elusive biogen --out DIR"
SHARD_BYTES = 256 << 20
"""Rows of a Parquet file, as Arrow holds them; the Hub's viewer reads files of this size well."""
GROUP_BYTES = 16 << 20
"""Rows of a row group, which wait in memory."""
ONLY_SPLIT = "train"
"""Of a table without a column `split`."""
COPIED = ("statistics.json", "statistics.png", "own_fields.yaml", MANIFEST)
OWNED = ("corpus/", "questions/", "shots/", "README.md", "eval.yaml", *COPIED)
"""Files of the repository that a publish may delete; others are left alone."""
TASKS = {"test": "closed_book", "dev": "closed_book_dev"}
"""Task of the benchmark for each split of the questions."""


@dataclass
class SplitFiles:
    """The Parquet files of one split, while they are written."""

    folder: Path
    name: str
    schema: pa.Schema
    shard_bytes: int
    rows: int = 0
    num_bytes: int = 0
    """As Arrow holds them, which is how `datasets` counts."""
    _waiting: list[pa.RecordBatch] = field(default_factory=list)
    _waiting_bytes: int = 0
    _writer: pq.ParquetWriter | None = None
    _shard_bytes: int = 0
    _drafts: list[Path] = field(default_factory=list)

    def add(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        size = batch.nbytes
        self.rows += batch.num_rows
        self.num_bytes += size
        self._waiting.append(batch)
        self._waiting_bytes += size
        if self._waiting_bytes >= min(GROUP_BYTES, self.shard_bytes):
            self._flush()

    def _flush(self) -> None:
        """Write what waits as one row group; a file that is full is closed."""
        if not self._waiting:
            return
        if self._writer is None:
            self._drafts.append(self.folder / f".{self.name}-{len(self._drafts):05d}.tmp")
            # Pages that end where the content says so: a changed row leaves the others' bytes as
            # they are, and the Hub's storage keeps equal bytes once.
            self._writer = pq.ParquetWriter(
                self._drafts[-1],
                self.schema,
                write_page_index=True,
                use_content_defined_chunking=True,
            )
        table = pa.Table.from_batches(self._waiting, self.schema)
        self._writer.write_table(table, row_group_size=max(1, len(table)))
        self._shard_bytes += self._waiting_bytes
        self._waiting, self._waiting_bytes = [], 0
        if self._shard_bytes >= self.shard_bytes:
            self._close()

    def _close(self) -> None:
        """End the file that is being written."""
        if self._writer is not None:
            self._writer.close()
        self._writer, self._shard_bytes = None, 0

    def finish(self) -> int:
        """Give the files their names, which say how many there are; their bytes."""
        self._flush()
        self._close()
        count, size = len(self._drafts), 0
        for index, draft in enumerate(self._drafts):
            path = self.folder / f"{self.name}-{index:05d}-of-{count:05d}.parquet"
            draft.replace(path)
            size += path.stat().st_size
        return size


def build_dataset_repository(
    dataset: Path,
    out: Path,
    repository: str,
    on_rows: Callable[[int], object] = lambda count: None,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write the content of a Hub dataset to `out`.

    Args:
        dataset: a finished dataset folder.
        out: folder to write to, which exists.
        repository: its id, for the card.
        on_rows: called with the number of rows written since the last call.
        shard_bytes: of a Parquet file, as Arrow holds its rows.

    Raises:
        InputError: no finished dataset, data files that changed, or a card that cannot be read.
    """
    check_finished(dataset)
    checked_manifest(dataset, "dataset", MADE_BY)
    infos = {name: _write_config(dataset, name, out, on_rows, shard_bytes) for name in TABLES}
    for name in COPIED:
        if (dataset / name).exists():
            shutil.copyfile(dataset / name, out / name)
    header, body = card_parts(dataset / "README.md")
    splits = {name: list(info.splits or {}) for name, info in infos.items()}
    write_atomically(out / "README.md", _card(header, body, infos, splits, repository))
    evaluation = _benchmark(header["pretty_name"], infos["questions"].splits)
    if evaluation["tasks"]:
        text = yaml.safe_dump(evaluation, sort_keys=False, allow_unicode=True)
        write_atomically(out / "eval.yaml", text)


def _benchmark(name: str, splits: Any) -> dict[str, Any]:
    """The content of eval.yaml, by which the Hub and inspect-ai know a benchmark.

    Format: https://huggingface.co/docs/hub/eval-results, and for what inspect-ai adds to it
    `inspect_ai/_eval/task/hf.py`. The identifier of the framework has to be one that the Hub lists,
    and inspect-ai runs the tasks from this file alone.
    """
    asked = ", ".join(
        f"{split.num_examples} of the split {split.name}" for split in splits.values()
    )
    return {
        "name": name,
        "description": "Closed-book questions about facts that the texts of the config corpus "
        f"state: {asked}. Measures what a model has learned from the texts, which no prompt shows.",
        "evaluation_framework": "inspect-ai",
        "tasks": [_task(split) for split in TASKS if split in splits],
    }


def _task(split: str) -> dict[str, Any]:
    """One task of the benchmark: the questions of a split."""
    template = "Answer with a few words and nothing else.\n\n{prompt}"
    return {
        "id": TASKS[split],
        "config": "questions",
        "split": split,
        "field_spec": {
            "input": "question",
            "target": "answers",
            "metadata": ["field", "kind", "entity"],
        },
        "solvers": [
            {"name": "prompt_template", "args": {"template": template}},
            {"name": "generate"},
        ],
        "scorers": [{"name": "exact"}, {"name": "f1"}],
    }


def _write_config(
    dataset: Path,
    table: str,
    out: Path,
    on_rows: Callable[[int], object],
    shard_bytes: int,
) -> Any:
    """Write one table as Parquet; its `datasets.DatasetInfo`."""
    from datasets import DatasetInfo, Features, SplitDict, SplitInfo

    folder, written = out / table, {}
    folder.mkdir()
    schema = None
    for batch in read_batches(dataset, table):
        schema = batch.schema
        for split, rows in _by_split(batch):
            if split not in written:
                written[split] = SplitFiles(folder, split, schema, shard_bytes)
            written[split].add(rows)
        on_rows(batch.num_rows)
    if schema is None or not written:
        raise InputError(f"{dataset}: the table {table} has no rows: make the dataset again")
    download = sum(files.finish() for files in written.values())
    splits = SplitDict()
    for name, files in sorted(written.items(), key=lambda item: item[0] != "train"):
        splits.add(SplitInfo(name, files.num_bytes, files.rows))
    total = sum(files.num_bytes for files in written.values())
    return DatasetInfo(
        features=Features.from_arrow_schema(schema),
        splits=splits,
        download_size=download,
        dataset_size=total,
    )


def _by_split(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The rows of each split of a batch."""
    if "split" not in batch.schema.names:
        yield ONLY_SPLIT, batch
        return
    column = batch.column("split")
    for split in sorted(pc.unique(column).to_pylist()):
        yield split, batch.filter(pc.equal(column, split))


def card_parts(path: Path) -> tuple[dict[str, Any], str]:
    """The header and the text of a dataset folder's card.

    Raises:
        InputError: it is not there, or has no YAML header.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    found = re.match(r"---\n(.*?)\n---\n+(.*)", text, re.DOTALL)
    try:
        header = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError:
        header = None
    if not found or not isinstance(header, dict):
        raise InputError(f"{path} is no card with a YAML header: make the dataset again")
    return header, found[2]


def _card(
    header: dict[str, Any],
    body: str,
    infos: dict[str, Any],
    splits: dict[str, list[str]],
    repository: str,
) -> str:
    """The folder's card with the Hub's header, and how it is loaded from there."""
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    header = {key: value for key, value in header.items() if key != "configs"}
    header["tags"] = [*header.get("tags", []), "elusive"]
    data = DatasetCardData(**header)
    DatasetInfosDict(infos).to_dataset_card_data(data)
    data["configs"] = [
        {
            "config_name": table,
            **({"default": True} if table == "corpus" else {}),
            "data_files": [{"split": s, "path": f"{table}/{s}-*.parquet"} for s in splits[table]],
        }
        for table in TABLES
    ]
    usage = render_template(
        Path(__file__).parent / "dataset_usage.md.j2", repository=repository, infos=infos
    )
    # The folder's own example opens a folder, which readers of the Hub do not have.
    body = re.sub(r"```python\n(?:(?!```).)*load_from_disk.*?```\n+", "", body, flags=re.DOTALL)
    first, mark, rest = body.partition("\n## ")
    return f"---\n{data.to_yaml()}\n---\n\n{first.rstrip()}\n\n{usage}{mark}{rest}"


def published_manifest(text: str) -> str | None:
    """The content hash that a published manifest names; None if it is none of a dataset."""
    try:
        manifest = json.loads(text)
        return manifest["content_hash"] if manifest["kind"] == "dataset" else None
    except (ValueError, KeyError, TypeError):
        return None
