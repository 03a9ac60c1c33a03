"""Folders that stages write and read: atomic, described by a manifest, never overwritten."""

import errno
import hashlib
import importlib.metadata
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from elusive.common.cache import is_verified, remember_verified
from elusive.common.content_hash import build_content_tree, hash_tree, list_data_files
from elusive.common.errors import InputError

MANIFEST = "manifest.json"
HASHED = ("dataset", "training-text", "cell")
"""Kinds of folders that further files of data would break."""
RECORDED_PACKAGES = ("datasets", "faker", "numpy", "peft", "pyarrow", "torch", "transformers")


class Manifest(BaseModel):
    """What made a folder, and what is in it."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["dataset", "training-text", "cell", "run", "model", "clues", "figures", "export"]
    parameters: dict[str, Any]
    """Everything that decides the content, including hashes of inputs."""
    content_hash: str
    """SHA-256 over the values of the folder's tables."""
    versions: dict[str, str]
    """Versions of the packages that made it."""
    hashed: Literal["bytes", "values"] = "bytes"
    """What the content hash covers; versions before 0.2 hashed the bytes of the files."""


def read_package_versions() -> dict[str, str]:
    """Read the versions of this toolkit and of the packages that its results depend on."""
    names = ("elusive", *RECORDED_PACKAGES)
    return {name: importlib.metadata.version(name) for name in names}


def hash_content(folder: Path) -> str:
    """Hash the values of the tables (Arrow, Parquet) below `folder` with SHA-256.

    Raises:
        OSError, pa.ArrowException: a file cannot be read.
    """
    return hash_tree(build_content_tree(folder))


def _hash_bytes(folder: Path) -> str:
    """Hash names and bytes of the data files, as earlier versions did."""
    digest = hashlib.sha256()
    for path in list_data_files(folder):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(bytes.fromhex(hash_file(path)))
    return digest.hexdigest()


def hash_file(path: Path) -> str:
    """Hash a file with SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_parameters(parameters: object) -> str:
    """Hash a JSON value with SHA-256, whatever the order of its keys."""
    text = json.dumps(parameters, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def write_atomically(path: Path, text: str) -> None:
    """Write a text file under a temporary name, sync it, rename it.

    Raises:
        OSError: it cannot be written; names the file itself, and leaves nothing behind.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error


def find_full_disk_error(error: Exception) -> OSError | None:
    """Return the system's error if an error means that the disk is full or a quota is used up.

    Safetensors and PyTorch write files themselves and raise errors of their own.
    """
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return error
    for number in (errno.ENOSPC, errno.EDQUOT):
        if f"os error {number})" in str(error):
            return OSError(number, os.strerror(number))
    if "inline_container" in str(error) and "unexpected pos" in str(error):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return None


@contextmanager
def create_folder(out: Path, kind: str, parameters: dict[str, Any]) -> Iterator[Path]:
    """Create a temporary folder that becomes `out`, with a manifest, when the block succeeds.

    After an exception nothing is left of it. Call `is_made` first.

    Raises:
        InputError: the folder cannot be created.
    """
    temporary = out.parent / f".{out.name}.{uuid.uuid4().hex[:8]}"
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        if find_full_disk_error(error):
            raise
        raise InputError(
            f"cannot write {out} ({error.strerror}): choose another place with --out"
        ) from None
    try:
        yield temporary
        _let_others_read_weights(temporary)
        write_manifest(temporary, kind, parameters)
        if out.is_dir():
            out.rmdir()
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _let_others_read_weights(folder: Path) -> None:
    """Give weight files, which safetensors writes for their owner alone, the folder's rights."""
    for path in folder.rglob("*.safetensors"):
        path.chmod(folder.stat().st_mode & 0o666)


def write_manifest(
    folder: Path,
    kind: str,
    parameters: dict[str, Any],
    content_hash: str | None = None,
    versions: dict[str, str] | None = None,
) -> None:
    """Describe the folder's present content in its manifest.

    Args:
        folder: to describe.
        kind: of the folder.
        parameters: what it was made with.
        content_hash: of its content, if it is known.
        versions: of the packages that made it; None for the installed ones.
    """
    manifest = Manifest(
        kind=kind,  # type: ignore[arg-type]
        parameters=json.loads(json.dumps(parameters, default=str)),
        content_hash=content_hash or hash_content(folder),
        versions=versions or read_package_versions(),
        hashed="values",
    )
    write_atomically(folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")


def is_made(out: Path, kind: str, parameters: dict[str, Any]) -> bool:
    """Return whether `out` already holds exactly this.

    Raises:
        InputError: `out` holds something else, which is never overwritten.
    """
    check_no_other_files(out)
    if not (out / MANIFEST).exists():
        return False
    manifest = read_manifest(out, "output")
    changed = find_changed_keys(manifest.parameters, parameters)
    if manifest.kind == kind and not changed:
        return True
    detail = f"different {', '.join(changed)}" if manifest.kind == kind else f"a {manifest.kind}"
    raise InputError(
        f"{out} holds another run's files ({detail}): choose another --out or delete it"
    )


def check_no_other_files(out: Path) -> None:
    """Raise InputError if a folder to write is a file, or holds files without a manifest."""
    check_not_within(out)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file, not a folder: choose another --out")
    if out.exists() and any(out.iterdir()) and not (out / MANIFEST).exists():
        raise InputError(f"{out} holds other files: choose another --out or empty it")


def check_not_within(out: Path) -> None:
    """Raise InputError if what is to be written would lie in a folder whose content has a hash."""
    for parent in out.resolve().parents:
        try:
            kind = Manifest.model_validate_json((parent / MANIFEST).read_bytes()).kind
        except (OSError, ValidationError):
            continue  # none, or that of another program
        if kind in HASHED:
            raise InputError(
                f"{out} would lie in {parent}, a finished {kind}, whose content must not change: "
                "choose another --out"
            )


def find_changed_keys(stored: dict[str, Any], parameters: dict[str, Any]) -> list[str]:
    """Return the names of the parameters that differ from stored ones."""
    current = json.loads(json.dumps(parameters, default=str))
    return sorted(
        key for key in stored.keys() | current.keys() if stored.get(key) != current.get(key)
    )


def read_manifest(folder: Path, what: str) -> Manifest:
    """Read the manifest of a folder.

    Args:
        folder: of the manifest.
        what: what an error calls the folder, such as `dataset`.

    Raises:
        InputError: there is no such folder, or its manifest is missing or broken.
    """
    if not folder.is_dir():
        raise InputError(f"no {what} folder at {folder}")
    path = folder / MANIFEST
    if not path.exists():
        raise InputError(f"{folder} is not a {what} folder: it has no {MANIFEST}")
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors()[0]
        reason = ": ".join([*map(str, problem["loc"]), problem["msg"]])
        raise InputError(
            f"{path} is broken ({reason}): make the {what} again or restore the file"
        ) from None


def check_content(folder: Path, manifest: Manifest) -> None:
    """Raise InputError if data files changed since the manifest was written.

    Files that were found intact are not read again while they stay the same.
    """
    files = list_data_files(folder)
    if is_verified(folder, files, manifest.content_hash):
        return
    if not is_intact(folder, manifest):
        raise InputError(
            f"{folder}: the data files do not match the content hash in {MANIFEST}: make it again"
        )
    remember_verified(folder, files, manifest.content_hash)


def is_intact(folder: Path, manifest: Manifest) -> bool:
    """Read all data files; return whether they are those that the manifest describes."""
    hash_files = hash_content if manifest.hashed == "values" else _hash_bytes
    try:
        return hash_files(folder) == manifest.content_hash
    except (OSError, pa.ArrowException):
        return False


class Folder:
    """A finished folder of one kind: its manifest is read once, its data files are verified once.

    Raises:
        InputError: no such folder, a broken manifest, or another kind of folder.
    """

    kind: str
    made_by: str
    """Command that makes one, for errors."""
    needs: tuple[str, ...] = ()
    """Parameters that every manifest of the kind has."""

    def __init__(self, path: Path) -> None:
        name = self.kind.replace("-", " ")
        self.path = path
        self.manifest = read_manifest(path, name)
        self._is_verified = False
        if self.manifest.kind != self.kind:
            raise InputError(
                f"{path} holds a {self.manifest.kind}, not a {name}: make one with `{self.made_by}`"
            )
        lacking = [key for key in self.needs if key not in self.manifest.parameters]
        if lacking:
            raise InputError(
                f"{path / MANIFEST} lacks the parameters {', '.join(lacking)}: make the {name} "
                "again or restore the file"
            )

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process gets; it reads the tables itself."""
        kind = type(self)
        return {
            name: value
            for name, value in vars(self).items()
            if not isinstance(getattr(kind, name, None), cached_property)
        }

    @property
    def parameters(self) -> dict[str, Any]:
        """Everything that decides the content."""
        return self.manifest.parameters

    @property
    def content_hash(self) -> str:
        """Hash of the tables, as the manifest has it."""
        return self.manifest.content_hash

    def verify(self) -> None:
        """Raise InputError if data files changed since the folder was made."""
        if not self._is_verified:
            check_content(self.path, self.manifest)
        self._is_verified = True


def write_tables(folder: Path, tables: dict[str, pa.Table]) -> None:
    """Write Arrow tables as a folder that `datasets.load_from_disk` opens memory-mapped."""
    from datasets import Dataset, DatasetDict
    from datasets.utils.logging import disable_progress_bar

    disable_progress_bar()
    DatasetDict({name: Dataset(table) for name, table in tables.items()}).save_to_disk(folder)


def read_table(folder: Path, name: str) -> pa.Table:
    """Read an Arrow table of a folder written by `write_tables`, memory-mapped."""
    batches: list[pa.RecordBatch] = []
    schema = None
    for path in sorted((folder / name).glob("*.arrow")):
        reader = pa.ipc.open_stream(pa.memory_map(str(path)))
        schema = reader.schema
        batches += reader
    if schema is None:
        raise InputError(f"{folder} has no table {name}: make it again")
    return pa.Table.from_batches(batches, schema)
