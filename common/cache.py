"""What is kept between runs, in the user's cache folder: replies of chat models, token scores."""

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from platformdirs import user_cache_path

from elusive.common.errors import InputError

VARIABLE = "ELUSIVE_CACHE"
TABLE = "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT)"


def cache_folder() -> Path:
    """The folder that `ELUSIVE_CACHE` names, else the user's cache folder of the system.

    Raises:
        InputError: it cannot be made.
    """
    folder = Path(os.environ.get(VARIABLE) or user_cache_path("elusive"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the cache folder {folder} ({error.strerror}): "
            f"name another with {VARIABLE}"
        ) from None
    return folder


class KeptReplies:
    """Replies by key in a file that several processes may use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with closing(self._open()) as database, database:
                database.execute(TABLE)
        except sqlite3.Error as error:
            raise InputError(f"cannot use {path} ({error}): delete it") from None

    def find(self, keys: Iterable[str]) -> dict[str, str]:
        """The replies that are there."""
        with closing(self._open()) as database:
            rows = [
                database.execute("SELECT key, reply FROM replies WHERE key = ?", (key,)).fetchone()
                for key in keys
            ]
        return dict(row for row in rows if row)

    def keep(self, replies: dict[str, str]) -> None:
        """Add replies; all of them are on the disk afterwards."""
        with closing(self._open()) as database, database:
            database.executemany("INSERT OR REPLACE INTO replies VALUES (?, ?)", replies.items())

    def _open(self) -> sqlite3.Connection:
        """A connection that waits while another process writes."""
        return sqlite3.connect(self._path, timeout=60)
