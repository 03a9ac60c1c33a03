"""The user's cache folder, which keeps chat models' replies and token scores between runs.

It also keeps which files were verified, so that they are not read again while they stay the same.
"""

import hashlib
import json
import os
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_path

from elusive.common.errors import InputError

VARIABLE = "ELUSIVE_CACHE"
SETTLED_SECONDS = 1.0
"""Age from which on a file's times tell whether it has changed: two changes within one tick of the
file system's clock look alike."""


def prepare_cache_folder() -> Path:
    """Create and return the folder named by `ELUSIVE_CACHE`, or else the system's cache folder.

    Raises:
        InputError: it cannot be created.
    """
    folder = Path(os.environ.get(VARIABLE) or user_cache_path("elusive"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot create the cache folder {folder} ({error.strerror}): "
            f"set {VARIABLE} to another folder"
        ) from None
    return folder


def remember_verified(folder: Path, files: Sequence[Path], content_hash: str) -> None:
    """Remember that files of a folder have this content hash, unless they have just changed.

    If the cache folder cannot be written, nothing is remembered.
    """
    newest = max((max(s.st_mtime, s.st_ctime) for s in map(Path.stat, files)), default=0.0)
    if time.time() - newest < SETTLED_SECONDS:
        return
    with suppress(OSError, InputError):
        path = _find_record(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{uuid.uuid4().hex[:8]}")
        draft.write_text(json.dumps([content_hash, _sign(files)]), encoding="utf-8")
        draft.replace(path)


def is_verified(folder: Path, files: Sequence[Path], content_hash: str) -> bool:
    """Return whether the files of a folder are those that were once verified with this hash."""
    return recall_hash(folder, files) == content_hash


def recall_hash(folder: Path, files: Sequence[Path]) -> str | None:
    """Return the hash that was remembered for the files of a folder; None if there is none.

    They count as the same while their names, sizes, times and inodes are the same, as in Git.
    """
    try:
        content_hash, signs = json.loads(_find_record(folder).read_text(encoding="utf-8"))
        return content_hash if signs == _sign(files) else None
    except (OSError, ValueError, TypeError, InputError):
        return None


def _find_record(folder: Path) -> Path:
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]
    return prepare_cache_folder() / "verified" / f"{name}.json"


def _sign(files: Sequence[Path]) -> list[list[str | int]]:
    stats = [(str(path), path.stat()) for path in files]
    return [
        [path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        for path, stat in stats
    ]
