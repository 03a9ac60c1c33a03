"""Replies of chat models, stored by prompt so that no prompt is paid for twice."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from elusive.common.errors import InputError

TABLE = "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT)"


class KeptReplies:
    """Replies by key, in a file that several processes can use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with closing(self._open()) as database, database:
                database.execute(TABLE)
        except sqlite3.Error as error:
            raise InputError(
                f"cannot use the stored replies in {path} ({error}): delete it"
            ) from None

    def find(self, keys: Iterable[str]) -> dict[str, str]:
        """Return the replies that are stored, by key."""
        with closing(self._open()) as database:
            rows = [
                database.execute("SELECT key, reply FROM replies WHERE key = ?", (key,)).fetchone()
                for key in keys
            ]
        return dict(row for row in rows if row)

    def keep(self, replies: dict[str, str]) -> None:
        """Store replies; all of them are on the disk afterwards."""
        with closing(self._open()) as database, database:
            database.executemany("INSERT OR REPLACE INTO replies VALUES (?, ?)", replies.items())

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=60)  # seconds to wait for other processes
