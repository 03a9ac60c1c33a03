"""Sources with a question or an article per row: datasets of the Hub, and files of rows."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import ijson
import pyarrow as pa
import pyarrow.parquet as pq

from elusive.common.errors import InputError
from elusive.common.process.progress import print_line
from elusive.common.text.languages import compose
from elusive.wikiqa.articles import (
    EMPTY_QUESTION,
    Article,
    Counts,
    Paragraph,
    compose_asked,
    read_title,
)
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.left_out import LEFT_OUT_QUESTION
from elusive.wikiqa.sources.files import get_suffix, open_source, require_file
from elusive.wikiqa.sources.joining import AskedRow, join_rows
from elusive.wikiqa.sources.layouts import Row, convert_row
from elusive.wikiqa.sources.row_questions import read_question
from elusive.wikiqa.sources.text_folder import TextFolder

NEEDED, NEEDED_RAW = ("context", "question", "answers"), ("title", "text")
OF_TEXTS = ("title", "question", "answers")
MOST_NAMED = 5
"""Number of questions that are named one by one if the user's texts do not state their answers."""
LEGACY_NAMES = {
    "hotpot_qa": "hotpotqa/hotpot_qa",
    "kilt_tasks": "facebook/kilt_tasks",
    "mlqa": "facebook/mlqa",
    "natural_questions": "google-research-datasets/natural_questions",
    "nq_open": "google-research-datasets/nq_open",
    "popqa": "akariasai/PopQA",
    "squad": "rajpurkar/squad",
    "squad_v2": "rajpurkar/squad_v2",
    "trivia_qa": "mandarjoshi/trivia_qa",
    "wikipedia": "wikimedia/wikipedia",
    "xquad": "google/xquad",
}
"""Where datasets of the Hub are that once had no owner in their names."""


def read_table_file(path: Path, config: WikiqaConfig, counts: Counts) -> Iterator[Article]:
    """Read the articles of a file of rows: JSON Lines, a JSON array, CSV, TSV or Parquet.

    What its name ends in tells CSV, TSV and Parquet; all but Parquet may be packed.

    Raises:
        InputError: the file does not exist, has another format or a broken line, or lacks a column.
    """
    require_file(path)
    read = READERS.get(get_suffix(path), _read_json_rows)
    return _read_articles(read(path), config, str(path), counts)


def _read_articles(
    rows: Iterator[Row], config: WikiqaConfig, source: str, counts: Counts
) -> Iterator[Article]:
    if config.raw:
        return build_raw_articles(rows, config.column_names, source, counts)
    texts = TextFolder(config.texts) if config.texts else None
    asked = read_asked_rows(rows, config.column_names, source, counts, texts)
    return (_count_article(article, counts) for article in join_rows(asked, config.limit, counts))


def _read_parquet(path: Path) -> Iterator[Row]:
    try:
        for batch in pq.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise InputError(f"{path} is not a Parquet file: {str(error).splitlines()[0]}") from None


def _read_csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)
    with open_source(path) as file, io.TextIOWrapper(file, "utf-8", newline="") as lines:
        try:
            names = lines.readline()
            delimiter = "\t" if get_suffix(path) == ".tsv" else find_delimiter(names)
            reader = csv.DictReader(chain([names], lines), delimiter=delimiter, strict=True)
            _check_twice(path, list(reader.fieldnames or ()))
            for row in reader:
                if None in row or None in row.values():
                    raise InputError(
                        f"{path}, line {reader.line_num}: the row has another number of columns "
                        f"than the first line ({len(reader.fieldnames or ())})"
                    )
                yield row
        except csv.Error as error:
            raise InputError(
                f"{path}, line {reader.line_num}: {error}: write each quotation mark twice in a "
                "value that has one, and put the whole value between quotation marks"
            ) from None
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8 ({error.reason}): convert it first") from None


def _check_twice(path: Path, names: list[str]) -> None:
    """Raise InputError if two columns have one name, of which only one would be read."""
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise InputError(f"{path} has {names.count(twice[0])} columns {twice[0]!r}: rename one")


def find_delimiter(names: str) -> str:
    """Return what separates the column names of a CSV file: commas, or else semicolons or tabs.

    >>> find_delimiter("title;context;question;answers")
    ';'
    """
    return next((sign for sign in ",;\t" if sign in names), ",")


def _read_json_rows(path: Path) -> Iterator[Row]:
    """Read JSON Lines, or a file that is one JSON array."""
    with open_source(path) as file:
        first = next((line for line in file if line.strip()), b"").lstrip()[:1]
    return _read_json_array(path) if first == b"[" else _read_json_lines(path)


def _read_json_array(path: Path) -> Iterator[Row]:
    with open_source(path) as file:
        try:
            for number, row in enumerate(ijson.items(file, "item", use_float=True)):
                if not isinstance(row, dict):
                    raise InputError(f"{path}, row {number}: not a JSON object")
                yield row
        except ijson.JSONError as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{path} is not complete JSON ({reason[:160]}): restore it") from None


def _read_json_lines(path: Path) -> Iterator[Row]:
    with open_source(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode())
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{path} is not UTF-8 ({error.reason}, line {number}): convert it first"
                ) from None
            except ValueError as error:
                hint = ""
                if number == 1 and line.strip() == b"{":
                    hint = (
                        ": every row should have a line; name a file in SQuAD layout with --squad"
                    )
                raise InputError(f"{path}, line {number}: not JSON ({error}){hint}") from None
            if not isinstance(row, dict):
                raise InputError(
                    f"{path}, line {number}: not a JSON object, which every row should be"
                )
            if number == 1 and isinstance(row.get("data"), list):
                raise InputError(f"{path} is in SQuAD layout: name it with --squad")
            yield row


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
}
"""Readers by what the names of files end in; other files hold JSON."""


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
    name = next((name for name in LEGACY_NAMES if f"{name!r}" in message), None)
    if name:
        return InputError(f"{message} ({reason}): it is now {LEGACY_NAMES[name]!r}")
    return InputError(
        f"{message} ({type(error).__name__}: {reason}): without a network, download one of its "
        "Parquet files elsewhere and name it with --table FILE"
    )


def read_asked_rows(
    rows: Iterator[Row],
    columns: dict[str, str],
    source: str,
    counts: Counts,
    texts: TextFolder | None = None,
) -> Iterator[AskedRow]:
    """Read the paragraph and the question of each row.

    Args:
        rows: of any layout of `layouts.py`, or with our columns.
        columns: the source's name of each of our columns.
        source: for messages.
        counts: of what is read and left out.
        texts: where the paragraphs are, if the rows have none.

    Raises:
        InputError: a column is missing, or a row has another shape.
    """
    number, named = -1, 0
    for number, (given, row) in enumerate(_convert_rows(rows, source)):
        if number == 0:
            _check_columns(row, columns, OF_TEXTS if texts else NEEDED, source)
        counts["questions read"] += 1
        asked = read_question(row, columns, source, number)
        title, text = read_title(row.get(columns["title"])), row.get(columns["context"])
        asked = compose_asked(asked, text if isinstance(text, str) else "")
        if texts:
            answers = [answer for answer, _ in asked.answers]
            title, text = texts.find_paragraph(title, answers)
        elif not isinstance(text, str):
            raise InputError(
                f"{source}, row {number}: the context is not a text (got {text!r:.60})"
            )
        if text is None or (not text and (texts or row is not given)):
            reason = "no file has its title" if text is None else "no text states its answer"
            counts[f"{LEFT_OUT_QUESTION}{reason}"] += 1
            named += 1
            if texts and named <= MOST_NAMED:
                print_line(f"note: row {number} left out, as {reason}: {asked.question!r:.80}")
            continue
        counts["question without an answer"] += not asked.answers
        counts[EMPTY_QUESTION] += not asked.question.strip()
        is_kept = asked.answers and asked.question.strip()
        yield AskedRow(title, compose(text), asked if is_kept else None)
    if number < 0:
        raise InputError(f"{source} has no rows")


def _convert_rows(rows: Iterator[Row], source: str) -> Iterator[tuple[Row, Row]]:
    """Yield each row as it is given, with each question that it holds."""
    for number, given in enumerate(rows):
        try:
            questions = convert_row(given)
            read_title(questions[0].get("title") if questions else None)
        except InputError as error:
            raise InputError(f"{source}, row {number}: {error}") from None
        yield from ((given, row) for row in questions)


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
            " ".join(line.split())
            for line in compose(str(row.get(columns["text"]) or "")).splitlines()
        )
        paragraphs = [Paragraph(line) for line in lines if line]
        title, url = (read_title(row.get(columns[name])) for name in ("title", "url"))
        yield _count_article(Article(title, paragraphs, url=url), counts)


def _check_columns(row: Row, columns: dict[str, str], needed: tuple[str, ...], source: str) -> None:
    """Raise InputError if a required or renamed column is missing."""
    renamed = [name for name, theirs in columns.items() if name != theirs]
    missing = [columns[name] for name in (*needed, *renamed) if columns[name] not in row]
    if missing:
        advice = "name the right one with --columns OURS=THEIRS"
        if "context" in missing:
            advice += ", or the folder of the texts that state the answers with --texts DIR"
        names = " and no ".join(map(repr, dict.fromkeys(missing)))
        raise InputError(f"{source} has no column {names} (it has {', '.join(row)}): {advice}")
