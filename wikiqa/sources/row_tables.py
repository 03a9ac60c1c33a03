"""Sets with a question per row: datasets of the Hub, JSON Lines, Parquet."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from elusive.common.errors import InputError
from elusive.wikiqa.articles import Article, Asked, Counts, Paragraph
from elusive.wikiqa.config import WikiqaConfig

NEEDED, NEEDED_RAW = ("context", "question", "answers"), ("title", "text")

Row = Mapping[str, Any]


def read_table_file(path: Path, config: WikiqaConfig, counts: Counts) -> Iterator[Article]:
    """The articles of a JSON Lines or Parquet file.

    Raises:
        InputError: no such file, another format, a broken line, or a column that is missing.
    """
    if not path.is_file():
        raise InputError(f"no file at {path}")
    rows = _parquet_rows(path) if path.suffix == ".parquet" else _json_rows(path)
    return _articles(rows, config, str(path), counts)


def _articles(
    rows: Iterator[Row], config: WikiqaConfig, source: str, counts: Counts
) -> Iterator[Article]:
    """Articles of rows that are questions, or articles."""
    read = raw_articles if config.raw else articles_of_rows
    return read(rows, config.column_names, source, counts)


def _parquet_rows(path: Path) -> Iterator[Row]:
    """Rows of a Parquet file, batch by batch."""
    try:
        for batch in pq.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise InputError(f"{path} is no Parquet file: {str(error).splitlines()[0]}") from None


def _json_rows(path: Path) -> Iterator[Row]:
    """Rows of a JSON Lines file."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InputError(f"{path}, line {number}: no JSON ({error})") from None
            if not isinstance(row, dict):
                raise InputError(f"{path}, line {number}: a row should be an object")
            yield row


def read_hub(name: str, config: WikiqaConfig, counts: Counts) -> Iterator[Article]:
    """The articles of a dataset of the Hub, streamed.

    Raises:
        InputError: no network, no such dataset, split or revision, or a column that is missing.
    """
    from datasets import load_dataset
    from huggingface_hub.errors import (
        HTTPError,  # pyright: ignore[reportPrivateImportUsage]
    )

    try:
        rows = load_dataset(
            name,
            config.hub_config,
            split=config.hub_split,
            revision=config.revision,
            streaming=True,
        )
        yield from _articles(rows, config, name, counts)  # type: ignore[arg-type]
    except InputError:
        raise
    except (HTTPError, OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:160]
        raise InputError(
            f"cannot read {name!r} from the Hub ({type(error).__name__}: {reason}): without a "
            "network, fetch one of its Parquet files elsewhere and name it with --table FILE"
        ) from None


def hub_revision(name: str, revision: str | None) -> str:
    """The commit that a revision of a dataset stands for, to be noted down.

    Raises:
        InputError: no network, or no such dataset or revision.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        HTTPError,  # pyright: ignore[reportPrivateImportUsage]
    )

    try:
        commit = HfApi().dataset_info(name, revision=revision).sha
    except (HTTPError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:160]
        raise InputError(
            f"cannot reach {name!r} on the Hub ({type(error).__name__}: {reason}): without a "
            "network, fetch one of its Parquet files elsewhere and name it with --table FILE"
        ) from None
    return commit or "main"


def articles_of_rows(
    rows: Iterator[Row], columns: dict[str, str], source: str, counts: Counts
) -> Iterator[Article]:
    """Rows put together: those of one paragraph, paragraphs of one title, that follow each other.

    Raises:
        InputError: a column that is missing, or a row of another shape.
    """
    title: str | None = None
    paragraphs: list[Paragraph] = []
    for number, row in enumerate(rows):
        if number == 0:
            _check_columns(row, columns, NEEDED, source)
        counts["questions read"] += 1
        its_title = str(row.get(columns["title"]) or "")
        text = row.get(columns["context"])
        if not isinstance(text, str):
            raise InputError(f"{source}, row {number}: the context is no text (got {text!r:.60})")
        if title is not None and its_title != title:
            yield _counted(Article(title, paragraphs), counts)
            paragraphs = []
        title = its_title
        if not paragraphs or paragraphs[-1].text != text:
            paragraphs.append(Paragraph(text))
        asked = _asked(row, columns, source, number)
        if asked.answers:
            paragraphs[-1].asked.append(asked)
        else:
            counts["question without an answer"] += 1
    if title is not None:
        yield _counted(Article(title, paragraphs), counts)


def _counted(article: Article, counts: Counts) -> Article:
    """The article, counted."""
    counts["articles read"] += 1
    counts["paragraphs read"] += len(article.paragraphs)
    return article


def raw_articles(
    rows: Iterator[Row], columns: dict[str, str], source: str, counts: Counts
) -> Iterator[Article]:
    """Rows that are articles in plain text, a paragraph per line.

    Raises:
        InputError: a column that is missing.
    """
    for number, row in enumerate(rows):
        if number == 0:
            _check_columns(row, columns, NEEDED_RAW, source)
        lines = (
            " ".join(line.split()) for line in str(row.get(columns["text"]) or "").splitlines()
        )
        paragraphs = [Paragraph(line) for line in lines if line]
        url = str(row.get(columns["url"]) or "")
        yield _counted(Article(str(row.get(columns["title"]) or ""), paragraphs, url=url), counts)


def _check_columns(row: Row, columns: dict[str, str], needed: tuple[str, ...], source: str) -> None:
    """Refuse rows without the columns that cannot be done without."""
    renamed = [name for name, theirs in columns.items() if name != theirs]
    missing = [columns[name] for name in (*needed, *renamed) if columns[name] not in row]
    if missing:
        raise InputError(
            f"{source} has no column {missing[0]!r} (it has {', '.join(row)}): say which column is "
            "meant with --columns WANTED=THEIRS"
        )


def _asked(row: Row, columns: dict[str, str], source: str, number: int) -> Asked:
    """The question of a row; its answers are {text, answer_start}, a list of texts, or one text.

    An answer without a place gets -1: it is looked for later.
    """
    answers, question = row.get(columns["answers"]), row.get(columns["question"])
    if isinstance(answers, Mapping):
        texts, starts = answers.get("text"), answers.get("answer_start")
    else:
        texts = [answers] if isinstance(answers, str) else answers
        starts = [-1] * len(texts) if isinstance(texts, list) else None
    texts, starts = ([] if value is None else value for value in (texts, starts))
    if (
        not isinstance(question, str)
        or not isinstance(texts, list)
        or not isinstance(starts, list)
        or len(texts) != len(starts)
        or not all(isinstance(text, str) for text in texts)
        or not all(isinstance(start, int) for start in starts)
    ):
        raise InputError(
            f"{source}, row {number}: wanted are a question and answers, which are a text, a list "
            f"of texts, or {{text: [...], answer_start: [...]}} (got {question!r:.60} and "
            f"{answers!r:.60})"
        )
    identifier = str(row.get(columns["id"]) or f"row-{number}")
    placed = [(str(text), int(start)) for text, start in zip(texts, starts, strict=True)]
    return Asked(identifier, question, placed)
