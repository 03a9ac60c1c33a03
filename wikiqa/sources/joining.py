"""Questions of one paragraph, and paragraphs of one article, put together wherever they stand."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import itemgetter

from elusive.common.seeding import derived_seed
from elusive.wikiqa.articles import Article, Asked, Counts, Paragraph

TABLES = """
CREATE TABLE paragraphs (paragraph INTEGER PRIMARY KEY, article INTEGER, title TEXT, text TEXT);
CREATE TABLE asked (paragraph INTEGER, question TEXT);
"""
IN_ORDER = """
SELECT article, paragraphs.paragraph, title, text, question
FROM paragraphs LEFT JOIN asked ON asked.paragraph = paragraphs.paragraph
ORDER BY article, paragraphs.paragraph, asked.rowid
"""


BEYOND = "question of an article beyond the limit"


@dataclass(frozen=True)
class AskedRow:
    """A paragraph of a table's row, with its question if that has an answer."""

    title: str
    text: str
    asked: Asked | None


def join_rows(
    rows: Iterable[AskedRow], limit: int | None = None, counts: Counts | None = None
) -> Iterator[Article]:
    """Yield the articles of rows in the order in which each title, and each paragraph, comes first.

    Rows wait in a temporary file, so memory grows by two hashes per paragraph alone. A paragraph
    without a title is an article of its own.

    Args:
        rows: in any order.
        limit: number of articles. All rows are read, because a later one may belong to them.
        counts: to which the rows of other articles are added.
    """
    with closing(sqlite3.connect("")) as database:  # "" is a temporary file of SQLite
        database.executescript(TABLES)
        _store(database, rows, limit, Counter() if counts is None else counts)
        database.execute("CREATE INDEX by_paragraph ON asked (paragraph)")
        for _, entries in groupby(database.execute(IN_ORDER), key=itemgetter(0)):
            yield _build_article(list(entries))


def _store(
    database: sqlite3.Connection, rows: Iterable[AskedRow], limit: int | None, counts: Counts
) -> None:
    articles: dict[int, int] = {}
    paragraphs: dict[int, int] = {}
    for row in rows:
        key = derived_seed(row.title, row.text)
        if key not in paragraphs:
            title_key = derived_seed(row.title) if row.title else key
            if title_key not in articles and len(articles) == limit:
                counts[BEYOND] += 1
                continue
            article = articles.setdefault(title_key, len(articles))
            paragraphs[key] = len(paragraphs)
            entry = (paragraphs[key], article, row.title, row.text)
            database.execute("INSERT INTO paragraphs VALUES (?, ?, ?, ?)", entry)
        if row.asked:
            question = json.dumps(asdict(row.asked))
            database.execute("INSERT INTO asked VALUES (?, ?)", (paragraphs[key], question))


def _build_article(entries: list[tuple[int, int, str, str, str | None]]) -> Article:
    paragraphs = []
    for _, group in groupby(entries, key=itemgetter(1)):
        rows = list(group)
        asked = [_read_asked(question) for *_, question in rows if question]
        paragraphs.append(Paragraph(rows[0][3], asked))
    return Article(entries[0][2], paragraphs)


def _read_asked(stored: str) -> Asked:
    values = json.loads(stored)
    return Asked(**values | {"answers": [(text, start) for text, start in values["answers"]]})
