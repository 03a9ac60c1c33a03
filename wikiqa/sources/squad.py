"""Files in SQuAD layout: read as a stream, in memory that does not grow with the file; written."""

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import ijson

from elusive.common.dataset.records import WikiDocument, WikiQuestion
from elusive.common.errors import InputError
from elusive.common.text.languages import compose
from elusive.wikiqa.articles import (
    EMPTY_QUESTION,
    Article,
    Asked,
    Counts,
    Paragraph,
    compose_asked,
    read_title,
)
from elusive.wikiqa.sources.files import open_source
from elusive.wikiqa.sources.row_questions import read_answers


def read_squad(path: Path, counts: Counts) -> Iterator[Article]:
    """Read the articles of a file in SQuAD layout, version 1.1 or 2.0, in their order.

    The file may be packed. Questions without an answer are left out and counted.

    Raises:
        InputError: the file does not exist, or is not UTF-8, JSON, or in SQuAD layout.
    """
    is_empty = True
    try:
        prefix = _find_articles(path)
        with open_source(path) as file:
            for entry in ijson.items(file, prefix, use_float=True):
                is_empty = False
                yield _read_article(entry, path, counts)
    except (OSError, EOFError) as error:
        raise InputError(f"cannot read {path}: {error}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 ({error.reason}): convert it first") from None
    except ijson.JSONError as error:
        reason = " ".join(str(error).split())
        if "invalid bytes in UTF8" in reason:
            raise InputError(f"{path} is not UTF-8: convert it first") from None
        raise InputError(
            f"{path} is not a complete JSON file ({reason[:160]}): restore it"
        ) from None
    if is_empty:
        raise InputError(f"{path} has no articles: SQuAD layout is {{'data': [{{'title': ...}}]}}")


def _find_articles(path: Path) -> str:
    """Return where the articles are in the file: below `data`, or in a list without a name.

    Raises:
        InputError: the file is JSON Lines.
    """
    with open_source(path) as file:
        first = next((line for line in file if line.strip()), b"").strip()
        rest = next((line for line in file if line.strip()), b"")
    if rest and first.startswith(b"{") and first.endswith(b"}"):
        raise InputError(f"{path} is JSON Lines, with a question per row: name it with --table")
    return "item" if first.startswith(b"[") else "data.item"


def _read_article(entry: Any, path: Path, counts: Counts) -> Article:
    try:
        counts["articles read"] += 1
        paragraphs = [_read_paragraph(paragraph, counts) for paragraph in entry["paragraphs"]]
        return Article(title=read_title(entry.get("title")), paragraphs=paragraphs)
    except InputError as error:
        raise InputError(f"{path}: article {counts['articles read']}: {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        number = counts["articles read"]
        if isinstance(entry, dict) and "question" in entry and "paragraphs" not in entry:
            raise InputError(f"{path} has a question per row: name it with --table") from None
        raise InputError(
            f"{path}: article {number} is not in SQuAD layout ({type(error).__name__}: {error}): "
            "it needs title, paragraphs, context, qas, id, question, answers, text, answer_start"
        ) from None


def _read_paragraph(entry: dict[str, Any], counts: Counts) -> Paragraph:
    """Read a paragraph with those of its questions that have an answer."""
    counts["paragraphs read"] += 1
    text, asked = _check_text(entry["context"]), []
    for qa in entry.get("qas") or []:
        counts["questions read"] += 1
        if is_true(qa.get("is_impossible")) or not qa.get("answers"):
            counts["question without an answer"] += 1
            continue
        answers, question = read_answers(qa["answers"]), _check_text(qa["question"])
        if answers == []:  # lists in a mapping, each of them empty
            counts["question without an answer"] += 1
            continue
        if answers is None:
            raise InputError(
                f"answers should be [{{text, answer_start}}] (got {qa['answers']!r:.60})"
            )
        if not question.strip():
            counts[EMPTY_QUESTION] += 1
            continue
        asked.append(compose_asked(Asked(str(qa["id"]), question, answers), text))
    return Paragraph(compose(text), asked)


def is_true(value: object) -> bool:
    """Return whether a value means yes, also if it is written as text.

    >>> is_true("False"), is_true("true"), is_true(1), is_true(None)
    (False, True, True, False)
    """
    if isinstance(value, str):
        return value.strip().casefold() in ("true", "yes", "1")
    return bool(value)


def _check_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, got {value!r}"[:80])
    return value


def write_squad(paragraphs: Iterable[tuple[WikiDocument, list[WikiQuestion]]], path: Path) -> None:
    """Write documents with their questions as one file in SQuAD layout, version 1.1.

    Args:
        paragraphs: each document with its questions; those of one article follow each other.
        path: file to write, article by article.
    """
    with path.open("w", encoding="utf-8") as file:
        file.write('{"version": "1.1", "data": [')
        articles = groupby(paragraphs, key=lambda paragraph: paragraph[0].title)
        for number, (title, group) in enumerate(articles):
            contents = [
                {"context": document.text, "qas": [_build_qa(question) for question in questions]}
                for document, questions in group
            ]
            article = {"title": title, "paragraphs": contents}
            file.write(", " * (number > 0) + json.dumps(article, ensure_ascii=False))
        file.write("]}")


def _build_qa(question: WikiQuestion) -> dict[str, Any]:
    answers = [
        {"text": text, "answer_start": start}
        for text, start in zip(question.answers, question.answer_starts, strict=True)
        if start >= 0
    ]
    return {"id": question.question_id, "question": question.question, "answers": answers}
