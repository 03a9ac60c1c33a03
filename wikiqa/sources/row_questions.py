"""A question and its gold answers, in the shapes in which rows hold them."""

import ast
import json
from collections.abc import Mapping
from typing import Any

from elusive.common.errors import InputError
from elusive.wikiqa.answer_places import NO_PLACE
from elusive.wikiqa.articles import Asked, read_answer
from elusive.wikiqa.sources.layouts import Row, list_rows


def read_question(row: Row, columns: dict[str, str], source: str, number: int) -> Asked:
    """Read a row's question.

    Its answers are one text, a list of texts, {text, answer_start} with two lists, a list of
    {text, answer_start}, or {value, aliases}; or one of these as JSON or as Python writes it. A
    number may stand for a text. An answer without a place gets -1.

    Raises:
        InputError: the question is no text, or the answers have another shape.
    """
    question, given = row.get(columns["question"]), row.get(columns["answers"])
    try:
        answers = read_answers(_parse(given))
    except InputError as error:
        raise InputError(f"{source}, row {number}: {error}") from None
    if not isinstance(question, str) or answers is None:
        raise InputError(
            f"{source}, row {number}: the question should be a text, and answers a text, a list of "
            f"texts, {{text: [...], answer_start: [...]}}, or {{value, aliases}} (got "
            f"{question!r:.60} and {given!r:.60})"
        )
    identifier = row.get(columns["id"])
    name = f"row-{number}" if identifier in (None, "") else str(identifier)
    return Asked(name, question, answers)


def _parse(value: Any) -> Any:
    """Parse a list or dict that is written out as text, as in CSV files and in PopQA."""
    if not isinstance(value, str) or value.strip()[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except ValueError:
        pass
    try:
        return ast.literal_eval(value.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value


def read_answers(value: Any) -> list[tuple[str, int]] | None:
    """Return each answer with its place, or -1; None if the value has no shape of answers.

    Raises:
        InputError: an answer is neither text nor a number, or one that is ambiguous.
    """
    if value is None:
        return []
    if isinstance(value, str | int | float):
        return [(read_answer(value), NO_PLACE)] if value != "" else []
    if isinstance(value, Mapping) and "value" in value:
        value = [value["value"], *(value.get("aliases") or [])]
    elif isinstance(value, Mapping):
        texts, starts = value.get("text"), value.get("answer_start")
        if isinstance(texts, str | int | float):
            texts, starts = [texts], [starts]
        texts, starts = ([] if column is None else column for column in (texts, starts))
        if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
            return None
        value = list_rows({"text": texts, "answer_start": starts})
    if not isinstance(value, list):
        return None
    pairs = [_read_pair(entry) for entry in value]
    return None if None in pairs else [pair for pair in pairs if pair]


def _read_pair(entry: Any) -> tuple[str, int] | None:
    if isinstance(entry, Mapping):
        text, start = entry.get("text"), entry.get("answer_start", NO_PLACE)
    else:
        text, start = entry, NO_PLACE
    place = _read_place(start)
    return None if place is None else (read_answer(text), place)


def _read_place(start: Any) -> int | None:
    """Return a place that may be written as text or be left open; None if it is no number."""
    if start is None:
        return NO_PLACE
    try:
        return int(start) if not isinstance(start, float) or start.is_integer() else None
    except (TypeError, ValueError):
        return None
