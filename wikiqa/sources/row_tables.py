"""Sources with a question or an article per row: datasets of the Hub, JSON Lines, Parquet."""

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
    """Read the articles of a JSON Lines or Parquet file.

    Raises:
        InputError: the file does not exist, has another format or a broken line, or lacks a column.
    """
    if not path.is_file():
        raise InputError(f"no file at {path}")
    rows = _read_parquet(path) if path.suffix == ".parquet" else _read_json_lines(path)
    return _read_articles(rows, config, str(path), counts)


def _read_articles(
    rows: Iterator[Row], config: WikiqaConfig, source: str, counts: Counts
) -> Iterator[Article]:
    build = build_raw_articles if config.raw else build_articles
    return build(rows, config.column_names, source, counts)


def _read_parquet(path: Path) -> Iterator[Row]:
    try:
        for batch in pq.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise InputError(f"{path} is not a Parquet file: {str(error).splitlines()[0]}") from None


def _read_json_lines(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InputError(f"{path}, line {number}: not JSON ({error})") from None
            if not isinstance(row, dict):
                raise InputError(
                    f"{path}, line {number}: not a JSON object, which every row should be"
                )
            yield row


def read_hub(name: str, config: WikiqaConfig, counts: Counts) -> Iterator[Article]:
    """Read the articles of a dataset of the Hub as a stream.

    Raises:
        InputError: there is no network, or no such dataset, split, revision or column.
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
        yield from _read_articles(rows, config, name, counts)  # type: ignore[arg-type]
    except InputError:
        raise
    except (HTTPError, OSError, ValueError, RuntimeError) as error:
        raise _build_hub_error(f"cannot read {name!r} from the Hub", error) from None


def find_hub_revision(name: str, revision: str | None) -> str:
    """Return the commit to which a revision of a dataset refers, for the manifest.

    Raises:
        InputError: there is no network, or no such dataset or revision.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        HTTPError,  # pyright: ignore[reportPrivateImportUsage]
    )

    try:
        commit = HfApi().dataset_info(name, revision=revision).sha
    except (HTTPError, OSError, ValueError) as error:
        raise _build_hub_error(f"cannot reach {name!r} on the Hub", error) from None
    return commit or "main"


def _build_hub_error(message: str, error: Exception) -> InputError:
    reason = str(error).splitlines()[0][:160]
    return InputError(
        f"{message} ({type(error).__name__}: {reason}): without a network, download one of its "
        "Parquet files elsewhere and name it with --table FILE"
    )


def build_articles(
    rows: Iterator[Row], columns: dict[str, str], source: str, counts: Counts
) -> Iterator[Article]:
    """Group adjacent rows with the same paragraph, and adjacent paragraphs with the same title.

    Raises:
        InputError: a column is missing, or a row has another shape.
    """
    title: str | None = None
    paragraphs: list[Paragraph] = []
    for number, row in enumerate(rows):
        if number == 0:
            _check_columns(row, columns, NEEDED, source)
        counts["questions read"] += 1
        row_title = str(row.get(columns["title"]) or "")
        text = row.get(columns["context"])
        if not isinstance(text, str):
            raise InputError(
                f"{source}, row {number}: the context is not a text (got {text!r:.60})"
            )
        if title is not None and row_title != title:
            yield _count_article(Article(title, paragraphs), counts)
            paragraphs = []
        title = row_title
        if not paragraphs or paragraphs[-1].text != text:
            paragraphs.append(Paragraph(text))
        asked = _read_question(row, columns, source, number)
        if asked.answers:
            paragraphs[-1].asked.append(asked)
        else:
            counts["question without an answer"] += 1
    if title is not None:
        yield _count_article(Article(title, paragraphs), counts)


def _count_article(article: Article, counts: Counts) -> Article:
    counts["articles read"] += 1
    counts["paragraphs read"] += len(article.paragraphs)
    return article


def build_raw_articles(
    rows: Iterator[Row], columns: dict[str, str], source: str, counts: Counts
) -> Iterator[Article]:
    """Build articles from rows that have an article's plain text, with a paragraph per line.

    Raises:
        InputError: a column is missing.
    """
    for number, row in enumerate(rows):
        if number == 0:
            _check_columns(row, columns, NEEDED_RAW, source)
        lines = (
            " ".join(line.split()) for line in str(row.get(columns["text"]) or "").splitlines()
        )
        paragraphs = [Paragraph(line) for line in lines if line]
        title, url = (str(row.get(columns[name]) or "") for name in ("title", "url"))
        yield _count_article(Article(title, paragraphs, url=url), counts)


def _check_columns(row: Row, columns: dict[str, str], needed: tuple[str, ...], source: str) -> None:
    """Raise InputError if a required or renamed column is missing."""
    renamed = [name for name, theirs in columns.items() if name != theirs]
    missing = [columns[name] for name in (*needed, *renamed) if columns[name] not in row]
    if missing:
        raise InputError(
            f"{source} has no column {missing[0]!r} (it has {', '.join(row)}): name the right one "
            "with --columns OURS=THEIRS"
        )


def _read_question(row: Row, columns: dict[str, str], source: str, number: int) -> Asked:
    """Read a row's question, whose answers are {text, answer_start}, a list of texts, or one text.

    An answer without a position gets -1; its position is found later.
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
            f"{source}, row {number}: the question should be a text, and answers a text, a list of "
            f"texts, or {{text: [...], answer_start: [...]}} (got {question!r:.60} and "
            f"{answers!r:.60})"
        )
    identifier = str(row.get(columns["id"]) or f"row-{number}")
    pairs = [(str(text), int(start)) for text, start in zip(texts, starts, strict=True)]
    return Asked(identifier, question, pairs)
