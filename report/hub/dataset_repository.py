"""Convert a dataset folder to the content of a Hub repository: Parquet, a card and a benchmark.

The values of a table's column `split` become the splits of its config. `shots` has no such column:
all of it is the split `train`.
"""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from elusive.common.content_hash import split_rows
from elusive.common.dataset.croissant import DatasetDescription, TableFiles, render_croissant
from elusive.common.dataset.folder import TABLES, load_dataset_folder
from elusive.common.dataset.shards import read_batches
from elusive.common.errors import InputError
from elusive.common.folders import MANIFEST, write_atomically
from elusive.common.jinja import render_template
from elusive.report.hub.card_details import NO_DETAILS, CardDetails
from elusive.report.hub.local_paths import leave_out_paths

SHARD_BYTES = 256 << 20
"""Size of a Parquet file's rows in Arrow; the Hub's viewer reads files of this size well."""
GROUP_BYTES = 16 << 20
"""Size of a row group's rows in Arrow; so many wait in memory."""
COPIED = ("statistics.json", "statistics.png", "own_fields.yaml", MANIFEST)
CROISSANT = "croissant.json"
OWNED = (
    *("corpus/", "questions/", "shots/", "texts/"),
    *("README.md", "eval.yaml", "summary.json", CROISSANT, *COPIED),
)
"""Files that publishing a dataset or a training text may delete; all others stay."""
TASKS = {"test": "closed_book", "dev": "closed_book_dev"}
"""Name of the benchmark's task for each split of the questions."""


@dataclass
class SplitFiles:
    """Writer of the Parquet files of one split."""

    folder: Path
    name: str
    schema: pa.Schema
    shard_bytes: int
    rows: int = 0
    num_bytes: int = 0
    """Size in Arrow, which is what `datasets` counts."""
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
        """Write the waiting rows as one row group, and close the file if it is full."""
        if not self._waiting:
            return
        if self._writer is None:
            self._drafts.append(self.folder / f".{self.name}-{len(self._drafts):05d}.tmp")
            # Page ends depend on the content, so a changed row leaves the bytes of the others as
            # they are, and the Hub stores equal bytes only once.
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
        if self._writer is not None:
            self._writer.close()
        self._writer, self._shard_bytes = None, 0

    def finish(self) -> int:
        """Close and name the files, whose names say how many there are; return their size."""
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
    details: CardDetails = NO_DETAILS,
) -> None:
    """Write the content of a dataset repository.

    Args:
        dataset: folder of a finished dataset.
        out: existing folder to write to.
        repository: identifier of the repository, for the card.
        on_rows: called with the number of rows written since the last call.
        shard_bytes: size of a Parquet file's rows in Arrow.
        details: what the publisher says of it.

    Raises:
        InputError: the dataset is not finished, its data files changed, or its card cannot be read.
    """
    load_dataset_folder(dataset)
    infos = {}
    for name in TABLES:
        if name != "shots" or has_rows(dataset, name):  # a dataset may be made without shots
            infos[name] = write_config(dataset, name, out, on_rows, shard_bytes)
    for name in COPIED:
        if (dataset / name).exists():
            shutil.copyfile(dataset / name, out / name)
    header, body = read_card(dataset / "README.md")
    header = details.change_header(header, "pretty_name")
    card = _card(header, details.change_body(body), infos, repository)
    write_atomically(out / "README.md", card)
    write_croissant(header["pretty_name"], repository, header, details, infos, out)
    evaluation = _benchmark(header["pretty_name"], infos["questions"].splits)
    if evaluation["tasks"]:
        text = yaml.safe_dump(evaluation, sort_keys=False, allow_unicode=True)
        write_atomically(out / "eval.yaml", text)
    leave_out_paths(out)


def _benchmark(name: str, splits: Any) -> dict[str, Any]:
    """Build the content of eval.yaml, from which the Hub and inspect-ai recognize a benchmark.

    The framework has to be one that the Hub lists; inspect-ai runs the tasks from this file alone.

    Source: https://huggingface.co/docs/hub/eval-results; `inspect_ai/_eval/task/hf.py` for the keys
    that inspect-ai adds.
    """
    counts = ", ".join(
        f"{split.num_examples} in the split {split.name}" for split in splits.values()
    )
    return {
        "name": name,
        "description": "Closed-book questions about facts that the texts of the config corpus "
        f"state: {counts}. They measure what a model learned from the texts; no prompt shows them.",
        "evaluation_framework": "inspect-ai",
        "tasks": [_task(split) for split in TASKS if split in splits],
    }


def _task(split: str) -> dict[str, Any]:
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


def has_rows(dataset: Path, table: str) -> bool:
    """Whether a table of a dataset folder has any row."""
    return any(batch.num_rows for batch in read_batches(dataset, table))


def write_config(
    dataset: Path,
    table: str,
    out: Path,
    on_rows: Callable[[int], object],
    shard_bytes: int,
) -> Any:
    """Write one table as Parquet and return its `datasets.DatasetInfo`.

    Raises:
        InputError: the table has no rows.
    """
    from datasets import DatasetInfo, Features, SplitDict, SplitInfo

    folder, writers = out / table, {}
    folder.mkdir()
    schema = None
    for batch in read_batches(dataset, table):
        schema = batch.schema
        for split, rows in split_rows(batch):
            if split not in writers:
                writers[split] = SplitFiles(folder, split, schema, shard_bytes)
            writers[split].add(rows)
        on_rows(batch.num_rows)
    if schema is None or not writers:
        raise InputError(f"{dataset}: the table {table} has no rows: generate the dataset again")
    download_size = sum(files.finish() for files in writers.values())
    splits = SplitDict()
    for name, files in sorted(writers.items(), key=lambda item: item[0] != "train"):
        splits.add(SplitInfo(name, files.num_bytes, files.rows))
    dataset_size = sum(files.num_bytes for files in writers.values())
    return DatasetInfo(
        features=Features.from_arrow_schema(schema),
        splits=splits,
        download_size=download_size,
        dataset_size=dataset_size,
    )


def read_card(path: Path) -> tuple[dict[str, Any], str]:
    """Read the header and the text of a dataset folder's card.

    Raises:
        InputError: the card is missing or has no YAML header.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    match = re.match(r"---\n(.*?)\n---\n+(.*)", text, re.DOTALL)
    try:
        header = yaml.safe_load(match[1]) if match else None
    except yaml.YAMLError:
        header = None
    if not match or not isinstance(header, dict):
        raise InputError(f"{path} is not a card with a YAML header: generate the dataset again")
    return header, match[2]


def render_header(header: dict[str, Any], infos: dict[str, Any], default: str) -> str:
    """Render the YAML header of a card, with the configs and their splits.

    Args:
        header: of the card.
        infos: `datasets.DatasetInfo` of each config, by its name.
        default: config that is loaded if none is named.
    """
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    data = DatasetCardData(**{key: value for key, value in header.items() if key != "configs"})
    DatasetInfosDict(infos).to_dataset_card_data(data)
    data["configs"] = [
        {
            "config_name": name,
            **({"default": True} if name == default else {}),
            "data_files": [
                {"split": s, "path": f"{name}/{s}-*.parquet"} for s in info.splits or {}
            ],
        }
        for name, info in infos.items()
    ]
    return data.to_yaml()


def write_croissant(
    title: str,
    repository: str,
    header: dict[str, Any],
    details: CardDetails,
    infos: dict[str, Any],
    out: Path,
) -> None:
    """Write the Croissant metadata of a repository's Parquet files."""
    description = DatasetDescription(
        name=title,
        licence=header.get("license"),
        authors=details.authors,
        citation=details.citation,
        tags=tuple(header["tags"]),
        url=f"https://huggingface.co/datasets/{repository}",
    )
    tables = [
        TableFiles(
            f"{name}/{split}",
            info.features.arrow_schema,
            tuple(sorted((out / name).glob(f"{split}-*.parquet"))),
        )
        for name, info in infos.items()
        for split in info.splits or {}
    ]
    write_atomically(out / CROISSANT, render_croissant(description, tables, out))


def _card(header: dict[str, Any], body: str, infos: dict[str, Any], repository: str) -> str:
    """The folder's card with the Hub's header, and with an example that loads it from the Hub."""
    usage = render_template(
        Path(__file__).parent / "dataset_usage.md.j2", repository=repository, infos=infos
    )
    # Readers on the Hub do not have the folder that the card's own example opens.
    body = re.sub(r"```python\n(?:(?!```).)*load_from_disk.*?```\n+", "", body, flags=re.DOTALL)
    introduction, mark, sections = body.partition("\n## ")
    yaml_header = render_header(header, infos, "corpus")
    return f"---\n{yaml_header}\n---\n\n{introduction.rstrip()}\n\n{usage}{mark}{sections}"


def parse_content_hash(text: str) -> str | None:
    """Return the content hash in a published manifest; None if it is not that of a dataset."""
    try:
        manifest = json.loads(text)
        return manifest["content_hash"] if manifest["kind"] == "dataset" else None
    except (ValueError, KeyError, TypeError):
        return None
