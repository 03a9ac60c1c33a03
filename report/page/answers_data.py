"""Questions, gold answers and every arm's answers for the page, packed so that it stays small."""

import base64
import gzip
import json
import random
from typing import Any

from elusive.evaluate.cells.cell_folder import CellResult

MOST_ANSWERS = 400_000
"""Largest number of answers that are packed before their size is measured."""
MOST_BYTES = 900_000
"""Largest size of the packed answers of a page."""


def build_answer_data(arms: dict[str, list[CellResult]], most_bytes: int) -> dict[str, Any]:
    """Pack the answers of all arms and seeds; questions are sampled if they would take too much.

    The sample is of whole questions, the same for every arm and seed, so arms can be compared.

    Args:
        arms: cells by arm, which share their questions.
        most_bytes: largest size of the packed text.

    Returns:
        `packed`, JSON of `_list_columns` as gzip in base64; `shown` and `total`, the numbers of
        questions; `answers`, the number of packed answers.
    """
    cells = [(arm, cell) for arm, members in arms.items() for cell in members]
    questions = list(dict.fromkeys(p.question_id for _, cell in cells for p in cell.predictions))
    num_shown = min(len(questions), max(1, MOST_ANSWERS // len(cells)))
    while True:
        kept = _sample(questions, num_shown)
        columns = _list_columns(cells, kept)
        packed = _pack(columns)
        if len(packed) <= most_bytes or num_shown == 1:
            break
        num_shown = max(1, int(0.95 * num_shown * most_bytes / len(packed)))
    num_answers = sum(index is not None for cell in columns["cells"] for index in cell["texts"])
    return {
        "packed": packed,
        "shown": len(kept),
        "total": len(questions),
        "answers": num_answers,
    }


def _sample(questions: list[str], count: int) -> list[str]:
    if count >= len(questions):
        return questions
    chosen = random.Random("questions of the page").sample(range(len(questions)), count)
    return [questions[index] for index in sorted(chosen)]


def _list_columns(cells: list[tuple[str, CellResult]], kept: list[str]) -> dict[str, Any]:
    """List the questions once, and for each cell the number of each answer's text and its scores.

    Log-probabilities are in hundredths of a nat; None stands for a question that was not asked.
    """
    rows: dict[str, list[Any]] = {}
    texts: dict[str, int] = {}
    columns = []
    for arm, cell in cells:
        by_id = {p.question_id: p for p in cell.predictions}
        answers = [by_id.get(question) for question in kept]
        for p in filter(None, answers):
            rows.setdefault(p.question_id, [p.question_id, p.field, p.question, p.answers])
        columns.append(
            {
                "arm": arm,
                "seed": cell.parameters["seed"],
                "texts": [p and texts.setdefault(p.prediction, len(texts)) for p in answers],
                "right": [p and int(p.em) for p in answers],
                "nats": [p and round(100 * p.log_probability) for p in answers],
            }
        )
    return {"questions": [rows[name] for name in kept], "texts": list(texts), "cells": columns}


def _pack(columns: dict[str, Any]) -> str:
    text = json.dumps(columns, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()
