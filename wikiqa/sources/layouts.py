"""Rows of public question sets, such as those of TriviaQA and KILT, in our columns."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from elusive.common.errors import InputError
from elusive.common.text.languages import compose
from elusive.common.text.text_spans import find_whole_words

Row = Mapping[str, Any]
TAG = re.compile(r"</?[A-Za-z][^>]*>")
THAT = re.compile(r"^(?:\.\.\.|…)?\s*that\s+")
ENDS = (".", "!", '."', ".”")
BESIDE_THE_FACT = ("locality", "counterfactual")
"""Kinds of WikiDYK's questions that ask for other facts, or what if the fact were not so."""


def convert_row(row: Row) -> list[Row]:
    """Return the questions of a row of a known question set, with our columns added; any other row
    as it is.

    The columns are title, context, question, answers and id; sets that hold no texts have no
    context.

    Raises:
        InputError: the row has the columns of a known set, but other contents.
    """
    for names, convert in LAYOUTS.items():
        if all(name in row for name in names):
            try:
                converted = convert(row)
            except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
                raise InputError(
                    f"it has the columns {', '.join(names)} of a known question set, but not their "
                    f"contents ({type(error).__name__}: {str(error)[:100]}): rename them"
                ) from None
            return [{**row, **columns} for columns in converted]
    return [row]


def list_rows(value: Any) -> list[Row]:
    """List the entries of a nested column, which `datasets` turns into a dict of lists.

    >>> list_rows({"text": ["a", "b"], "start": [0, 1]})
    [{'text': 'a', 'start': 0}, {'text': 'b', 'start': 1}]
    """
    if isinstance(value, Mapping):
        columns = {name: items for name, items in value.items() if isinstance(items, list)}
        if len(columns) != len(value):
            return [value]
        rows = zip(*columns.values(), strict=True)
        return [dict(zip(columns, items, strict=True)) for items in rows]
    return [entry for entry in value or [] if isinstance(entry, Mapping)]


def _convert_trivia_qa(row: Row) -> list[Row]:
    """Take the first line of the question's pages that states the answer."""
    answer = row["answer"]
    answers = [answer.get("value"), *(answer.get("aliases") or [])]
    answers = [compose(text) for text in dict.fromkeys(answers) if text]
    converted = {"answers": answers, "id": row.get("question_id")}
    pages = [*list_rows(row.get("entity_pages")), *list_rows(row.get("search_results"))]
    for page in pages:
        text = page.get("wiki_context") or page.get("search_context") or ""
        for line in compose(text).splitlines():
            if find_whole_words(line, answers):
                return [converted | {"title": page.get("title"), "context": line.strip()}]
    return [converted | {"title": "", "context": ""}]


def _convert_simplified_natural_questions(row: Row) -> list[Row]:
    (annotation, *_) = [*row["annotations"], {}]
    query = parse_qs(urlsplit(row.get("document_url") or "").query.replace("&amp;", "&"))
    columns = {
        "title": (query.get("title") or [row.get("document_title") or ""])[0],
        "question": row["question_text"],
        "id": row.get("example_id"),
        **_cut_tokens(
            row["document_text"].split(" "),
            annotation.get("long_answer") or {},
            annotation.get("short_answers") or [],
        ),
    }
    return [columns]


def _convert_natural_questions(row: Row) -> list[Row]:
    document = row["document"]
    tokens = list_rows(document["tokens"])
    words = ["" if token["is_html"] else token["token"] for token in tokens]
    (annotation, *_) = [*list_rows(row["annotations"]), {}]
    columns = {
        "title": document.get("title"),
        "question": row["question"]["text"],
        **_cut_tokens(
            words, annotation.get("long_answer") or {}, list_rows(annotation.get("short_answers"))
        ),
    }
    return [columns]


def _cut_tokens(tokens: list[str], long_answer: Row, short_answers: list[Row]) -> Row:
    """Join the words of the long answer, and find the places of the short ones in it."""
    first, last = long_answer.get("start_token", -1), long_answer.get("end_token", -1)
    texts, starts = [], []
    for span in short_answers:
        if not first <= span["start_token"] < span["end_token"] <= last:
            continue
        before = _join(tokens[first : span["start_token"]])
        texts.append(_join(tokens[span["start_token"] : span["end_token"]]))
        starts.append(len(before) + bool(before))
    context = _join(tokens[max(first, 0) : max(last, 0)])
    return {"context": context, "answers": {"text": texts, "answer_start": starts}}


def _join(tokens: list[str]) -> str:
    return " ".join(token for token in tokens if token and not TAG.fullmatch(token))


def _convert_kilt(row: Row) -> list[Row]:
    outputs = list_rows(row["output"])
    pages = [page for output in outputs for page in list_rows(output.get("provenance"))]
    answers = [output.get("answer") for output in outputs]
    title = next((page["title"] for page in pages if page.get("title")), "")
    answers = [answer for answer in dict.fromkeys(answers) if answer]
    return [{"title": title, "question": row["input"], "answers": answers}]


def _convert_wikidyk(row: Row) -> list[Row]:
    """Take the fact, from "... that it is so?", as a text with one question per kind of prompt."""
    asked = json.loads(row["eval"]) if isinstance(row["eval"], str) else row["eval"]
    fact = THAT.sub("", str(row["fact"]).strip()).removesuffix("?").strip()
    text = f"{fact[:1].upper()}{fact[1:]}{'' if fact.endswith(ENDS) else '.'}"
    return [
        {"title": "", "context": text, "question": pair["prompt"], "answers": pair["answer"]}
        for kind, pair in asked.items()
        if pair and kind not in BESIDE_THE_FACT
    ]


def _convert_popqa(row: Row) -> list[Row]:
    return [{"title": row["s_wiki_title"], "answers": row["possible_answers"]}]


LAYOUTS: dict[tuple[str, ...], Callable[[Row], list[Row]]] = {
    ("question", "answer", "entity_pages"): _convert_trivia_qa,
    ("document_text", "question_text", "annotations"): _convert_simplified_natural_questions,
    ("document", "question", "annotations"): _convert_natural_questions,
    ("input", "output"): _convert_kilt,
    ("possible_answers", "s_wiki_title"): _convert_popqa,
    ("fact", "eval"): _convert_wikidyk,
}
"""The columns by which rows of a question set are known, and what gives them our columns."""
