"""Folders that are written shard by shard, can be resumed, and can be read while they grow.

Until it is finished, a folder has no manifest. Instead it has a folder `.progress`, which holds the
parameters of the run that is writing it and one marker per finished shard. Data files get their
final names when they are complete. A folder with a manifest is finished, even if a killed command
has left `.progress` there.
"""

import json
import os
import shutil
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa

from elusive.common.cache import remember_verified
from elusive.common.claims import ClaimedError, hold_claim
from elusive.common.content_hash import list_data_files
from elusive.common.errors import InputError
from elusive.common.folders import (
    MANIFEST,
    check_content,
    find_changed_keys,
    hash_content,
    hash_parameters,
    is_made,
    read_manifest,
    write_atomically,
    write_manifest,
)
from elusive.common.parent import end_with_parent

PROGRESS = ".progress"
PARAMETERS = "parameters.json"
LOCK = "claim"

OWN_THREADS = 2
"""Workers that are threads; more threads would wait for each other, and processes start slowly."""

Append = Callable[[str, pa.RecordBatch], None]
"""Appends rows to a table, given its name."""


@contextmanager
def claim_folder(out: Path, kind: str, parameters: dict[str, Any]) -> Iterator[bool]:
    """Lock `out` for this process in a block that yields whether there is anything left to do.

    Raises:
        InputError: `out` holds something else, finished or not, which is never overwritten; its
            files changed since they were written; or another process is writing to it.
    """
    if _is_complete(out, kind, parameters):
        yield False
        return
    progress = out / PROGRESS
    progress.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_claim(progress / LOCK, wait=False))
        except ClaimedError:
            raise InputError(
                f"another process is writing to {out}: wait until it has finished"
            ) from None
        is_mine = not _is_complete(out, kind, parameters)  # as of now, which nobody else changes
        if is_mine:
            _check_parameters(progress / PARAMETERS, out, kind, parameters)
        yield is_mine


def _is_complete(out: Path, kind: str, parameters: dict[str, Any]) -> bool:
    """Return whether `out` holds exactly this, finished; remove what its writer left behind.

    Raises:
        InputError: `out` holds something else, or its files changed since they were written.
    """
    if is_unfinished(out) or not is_made(out, kind, parameters):
        return False
    check_content(out, read_manifest(out, kind))
    _remove_progress(out)
    return True


def _remove_progress(out: Path) -> None:
    """Remove `.progress` of a finished folder, which another process may remove as well."""
    shutil.rmtree(out / PROGRESS, ignore_errors=True)


def _check_parameters(path: Path, out: Path, kind: str, parameters: dict[str, Any]) -> None:
    """Record what is being written, or raise InputError if something else is being written.

    A command that failed before it made anything, as on a wrong setting, has nothing to be kept.
    """
    if not path.exists() or not _has_made_anything(path.parent):
        write_atomically(path, json.dumps(parameters, default=str, indent=2) + "\n")
        return
    changed = find_changed_keys(json.loads(path.read_text(encoding="utf-8")), parameters)
    if changed:
        raise InputError(
            f"{out} holds an unfinished {kind} of another run (different {', '.join(changed)}): "
            "choose another --out or delete it"
        )


def _has_made_anything(progress: Path) -> bool:
    files = (path.relative_to(progress) for path in progress.rglob("*") if path.is_file())
    return any(path.parts[0] not in (PARAMETERS, LOCK) for path in files)


def is_unfinished(out: Path) -> bool:
    """Return whether a folder is still being written, or was when its writer was interrupted."""
    return (out / PROGRESS).is_dir() and not (out / MANIFEST).exists()


def is_finished(out: Path) -> bool:
    """Return whether a folder is there and finished, whether or not it was written in shards."""
    return out.exists() and not is_unfinished(out)


def check_finished(out: Path) -> None:
    """Raise InputError if a folder is still being written, or if writing it was interrupted."""
    if is_unfinished(out):
        raise InputError(
            f"{out} is not finished ({len(_markers(out))} shards so far): wait, or rerun its "
            "command to resume"
        )


@contextmanager
def open_shard(
    out: Path, index: int, count: int, schemas: dict[str, pa.Schema]
) -> Iterator[Append]:
    """Write shard `index` of `count` of some tables; it appears when the block succeeds.

    Args:
        out: the folder.
        index: of the shard, from 0.
        count: shards of each table.
        schemas: of the tables, by name.
    """
    files = {name: _shard_path(out, name, index, count) for name in schemas}
    drafts = {
        name: path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
        for name, path in files.items()
    }
    rows = dict.fromkeys(schemas, 0)
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(_open_stream(drafts[name], schema))
            for name, schema in schemas.items()
        }

        def append(name: str, batch: pa.RecordBatch) -> None:
            writers[name].write_batch(batch)
            rows[name] += batch.num_rows

        yield append
    marker = {}
    for name, draft in drafts.items():
        _sync(draft)
        relative = files[name].relative_to(out).as_posix()
        marker[relative] = {"table": name, "rows": rows[name]}
        draft.replace(files[name])
    write_atomically(_marker_path(out, files), json.dumps(marker) + "\n")


def _open_stream(path: Path, schema: pa.Schema) -> pa.ipc.RecordBatchStreamWriter:
    path.parent.mkdir(parents=True, exist_ok=True)
    return pa.ipc.new_stream(str(path), schema)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _shard_path(out: Path, table: str, index: int, count: int) -> Path:
    """Return the path of a shard, named as `datasets` names it."""
    return out / table / f"data-{index:05d}-of-{count:05d}.arrow"


def _marker_path(out: Path, files: dict[str, Path]) -> Path:
    first = next(iter(files.values()))
    return out / PROGRESS / f"{'-'.join(files)}-{first.stem}.json"


def _markers(out: Path) -> list[Path]:
    return sorted(path for path in (out / PROGRESS).glob("*.json") if path.name != PARAMETERS)


def is_written(out: Path, index: int, count: int, tables: Iterable[str]) -> bool:
    """Return whether a shard of some tables is complete."""
    files = {name: _shard_path(out, name, index, count) for name in tables}
    return _marker_path(out, files).exists() and all(path.exists() for path in files.values())


def count_missing(
    out: Path, count: int, tables: tuple[str, ...], task: int = 0, tasks: int = 1
) -> int:
    """Count the shards `task`, `task + tasks` and so on, below `count`, that are not complete."""
    return sum(not is_written(out, index, count, tables) for index in range(task, count, tasks))


def write_shards(
    write: Callable[[int], int],
    indices: list[int],
    workers: int,
    on_written: Callable[[int], object],
) -> None:
    """Call `write` for every index, several at a time.

    The first workers are threads of this process, because numpy and Arrow let other threads run
    while they compute; the others are processes, each fed by a thread.

    Args:
        write: writes one shard and returns a number for `on_written`, such as that of its people.
        indices: of the shards to write.
        workers: number of shards that are written at the same time.
        on_written: called with that number after each shard, by one thread at a time.
    """
    remaining, lock = deque(indices), Lock()
    workers = min(workers, max(1, len(indices)))
    helpers = max(0, workers - OWN_THREADS)

    def work(call: Callable[[int], int]) -> None:
        """Write shards until none is left, or until another worker has failed."""
        try:
            while True:
                try:
                    index = remaining.popleft()
                except IndexError:
                    return
                count = call(index)
                with lock:
                    on_written(count)
        finally:
            remaining.clear()

    with (
        ProcessPoolExecutor(max(1, helpers), get_context("spawn"), end_with_parent) as pool,
        ThreadPoolExecutor(workers) as threads,
    ):
        calls = [write] * (workers - helpers)
        calls += [lambda index: pool.submit(write, index).result()] * helpers
        try:
            for future in [threads.submit(work, call) for call in calls]:
                future.result()
        finally:
            remaining.clear()


def finish_folder(
    out: Path, kind: str, parameters: dict[str, Any], schemas: dict[str, pa.Schema]
) -> None:
    """Turn a folder of finished shards into one that `datasets` opens, with a manifest."""
    shards: dict[str, Any] = {}
    for path in _markers(out):
        shards |= json.loads(path.read_text(encoding="utf-8"))
    content_hash = hash_content(out)
    for name, schema in schemas.items():
        files = [
            Path(file).name for file, shard in sorted(shards.items()) if shard["table"] == name
        ]
        info = {"description": "", "citation": "", "homepage": "", "license": ""}
        info |= {"features": {column.name: describe_type(column.type) for column in schema}}
        write_atomically(out / name / "dataset_info.json", json.dumps(info))
        state = _state(files, hash_parameters([content_hash, name])[:16])
        write_atomically(out / name / "state.json", json.dumps(state, indent=2) + "\n")
        for draft in (out / name).glob(".*.tmp"):
            draft.unlink()
    write_atomically(out / "dataset_dict.json", json.dumps({"splits": list(schemas)}) + "\n")
    write_manifest(out, kind, parameters, content_hash)
    remember_verified(out, list_data_files(out), content_hash)
    _remove_progress(out)


VALUE_TYPES = {pa.float32(): "float32", pa.float64(): "float64"}
"""Names that `datasets` gives to types; others have the same name in Arrow."""


def describe_type(kind: pa.DataType) -> dict[str, Any]:
    """Describe an Arrow type as `datasets` does, whose import takes as long as 50,000 people."""
    if pa.types.is_list(kind):
        return {"feature": describe_type(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {column.name: describe_type(column.type) for column in kind}
    return {"dtype": VALUE_TYPES.get(kind, str(kind)), "_type": "Value"}


def _state(files: list[str], fingerprint: str) -> dict[str, Any]:
    """Return what `datasets.load_from_disk` reads in addition to the features."""
    return {
        "_data_files": [{"filename": file} for file in files],
        "_fingerprint": fingerprint,
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }


def read_batches(folder: Path, table: str) -> Iterator[pa.RecordBatch]:
    """Read a table, memory-mapped, batch by batch; of an unfinished one, what is written so far.

    Raises:
        InputError: a file is damaged.
    """
    for path in sorted((folder / table).glob("*.arrow")):
        try:
            with pa.memory_map(str(path)) as source:
                yield from pa.ipc.open_stream(source)
        except (pa.ArrowInvalid, OSError) as error:
            reason = str(error).rstrip(".")
            raise InputError(
                f"{path} is damaged ({reason}): make the dataset again, or restore it"
            ) from None


def read_rows(folder: Path, table: str, start: int, stop: int) -> pa.Table:
    """Read the rows from `start` to before `stop` of a table, memory-mapped.

    Raises:
        InputError: there is no such table.
    """
    parts, schema, first = [], None, 0
    for batch in read_batches(folder, table):
        schema = batch.schema
        last = first + len(batch)
        if first < stop and start < last:
            begin = max(start - first, 0)
            parts.append(batch.slice(begin, min(stop, last) - first - begin))
        if last >= stop:
            break
        first = last
    if schema is None:
        raise InputError(f"{folder} has no table {table}: make it again")
    return pa.Table.from_batches(parts, schema)
