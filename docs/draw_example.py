"""Draw the README's picture: a biography, a copy with dropped tokens, a question, two answers.

python docs/draw_example.py > docs/assets/example.svg

The text and the copy are made here; the answers are those of cells of `docs/board`.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from elusive.augment.config import AugmentConfig
from elusive.augment.copies import build_training_texts
from elusive.augment.scores.arm_scores import Scorers, score_documents
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.common.dataset.records import Document, Span
from elusive.common.jinja import render_template

BOARD = Path(__file__).parent / "board" / "entries"
TEMPLATE = Path(__file__).parent / "assets" / "example.svg.j2"
QUESTION, SEED, ARMS = "bio-0008003/major", 0, ("contrast", "permute")
START = 8003
LINE = 84
"""Characters per line."""


@dataclass(frozen=True)
class Piece:
    """Characters of one look on one line."""

    text: str
    column: int
    line: int
    look: str


def draw() -> str:
    """Render the picture as SVG."""
    (document,) = generate_biographies(BiogenConfig(people=1, start=START))
    config = AugmentConfig(method="contrast", large="nano-large", small="nano-small")
    scored = score_documents([document], Scorers(config))
    copy = next(text for text in build_training_texts([document], scored, config) if text.copy == 1)
    answers = [find_answer(arm) for arm in ARMS]
    values = [(fact.start, fact.end) for fact in document.facts]
    return render_template(
        TEMPLATE,
        original=list(lay_out(document, document.heads, values)),
        copy=list(lay_out(document, dropped=find_dropped(document, copy.kept))),
        question=answers[0]["question"],
        gold=answers[0]["answers"][0],
        answers=[
            {"arm": arm, "text": answer["prediction"], "right": answer["em"] == 1}
            for arm, answer in zip(ARMS, answers, strict=True)
        ],
    )


def find_answer(arm: str) -> dict:
    """Find what the cell of an arm answered, with names at the start of the texts."""
    for path in sorted(BOARD.glob("*.json")):
        parameters = json.loads(path.read_text(encoding="utf-8"))["parameters"]
        label = (parameters["label"], parameters["seed"], parameters["dataset_name"])
        if label == (arm, SEED, "name-first"):
            rows = pq.read_table(path.with_suffix(".parquet")).to_pylist()
            return next(row for row in rows if row["question_id"] == QUESTION)
    raise LookupError(f"{BOARD} has no cell {arm}")


def find_dropped(document: Document, kept: list[Span]) -> list[Span]:
    """Find the characters between the kept spans."""
    ends = [0, *(end for _, end in kept)]
    starts = [*(start for start, _ in kept), len(document.text)]
    return [(end, start) for end, start in zip(ends, starts, strict=True) if end < start]


def lay_out(
    document: Document,
    heads: list[Span] | tuple = (),
    values: list[Span] | tuple = (),
    dropped: list[Span] | tuple = (),
) -> Iterator[Piece]:
    """Break a text into lines, and lines into pieces of one look."""
    looks = ["text"] * len(document.text)
    for look, spans in (("head", heads), ("value", values), ("dropped", dropped)):
        for start, end in spans:
            looks[start:end] = [look] * (end - start)
    line, line_start = 0, 0
    while line_start < len(document.text):
        line_end = line_start + LINE
        if line_end < len(document.text):
            line_end = document.text.rindex(" ", line_start, line_end) + 1
        line_end = min(line_end, len(document.text))
        start = line_start
        for position in range(line_start, line_end):
            if position + 1 == line_end or looks[position + 1] != looks[start]:
                text = document.text[start : position + 1]
                yield Piece(text, start - line_start, line, looks[start])
                start = position + 1
        line, line_start = line + 1, line_end


if __name__ == "__main__":
    sys.stdout.write(draw())
