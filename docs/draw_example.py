"""Draw the README's picture: a biography, a copy that says the name again, and what each teaches.

python docs/draw_example.py > docs/assets/example.svg

The texts are made here; the shares of right answers are those of cells of `docs/board`.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from elusive.augment.config import AugmentConfig
from elusive.augment.copies import build_training_texts
from elusive.augment.scores.arm_scores import Scorers, score_documents
from elusive.augment.sentences.choice import choose_restatements
from elusive.augment.sentences.restatements import restate_documents
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.common.dataset.records import Document, Span
from elusive.common.jinja import render_template
from elusive.common.text.text_spans import find_whole_words

BOARD = Path(__file__).parent / "board" / "entries"
TEMPLATE = Path(__file__).parent / "assets" / "example.svg.j2"
RESTATED = "permute + restate by oracle in place of pronouns"
ARMS = {
    "contrast": "with 41% of the tokens dropped, as in the paper",
    "plain": "as it is",
    "permute": "in ten other orders",
    RESTATED: "in ten other orders, with the name in place of each pronoun",
}
"""Labels of cells, and what the picture calls them."""
START = 10403
"""One of the people of `restate-grid`, whose dataset `name-first` the cells are about."""
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
    return render_template(
        TEMPLATE,
        original=list(lay_out(document, document.text)),
        copy=list(lay_out(document, write_copy(document))),
        shares=[{"name": ARMS[arm], "percent": 100 * em} for arm, em in read_shares().items()],
    )


def write_copy(document: Document) -> str:
    """Say the name in place of each pronoun, and put the sentences into another order."""
    config = AugmentConfig(
        method="restate", restate_by="oracle", restate_in="pronouns", rewrite="permute"
    )
    scorers = Scorers(config)
    restated = restate_documents([document], choose_restatements([document], scorers))
    scored = score_documents(restated, scorers)
    texts = build_training_texts(restated, scored, config)
    return next(text.text for text in texts if text.copy == 1)


def read_shares() -> dict[str, float]:
    """Read the mean exact match of each arm over its seeds, in the order of `ARMS`."""
    paths = [path for path in BOARD.glob("*.json") if not path.name.endswith(".verified.json")]
    entries = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    named = [e for e in entries if e["parameters"]["dataset_name"] == "name-first"]
    dataset = next(
        e["parameters"]["dataset"] for e in named if e["parameters"]["label"] == RESTATED
    )
    same = [e for e in named if e["parameters"]["dataset"] == dataset]
    return {
        arm: fmean(e["metrics"]["em"] for e in same if e["parameters"]["label"] == arm)
        for arm in ARMS
    }


def lay_out(document: Document, text: str) -> Iterator[Piece]:
    """Break a text about the document's person into lines, and lines into pieces of one look."""
    looks = ["text"] * len(text)
    values = [fact.value for fact in document.facts]
    found: list[tuple[str, list[Span]]] = [
        ("head", find_whole_words(text, [document.entity])),
        ("value", find_whole_words(text, values)),
    ]
    for look, spans in found:
        for start, end in spans:
            looks[start:end] = [look] * (end - start)
    line, line_start = 0, 0
    while line_start < len(text):
        line_end = line_start + LINE
        if line_end < len(text):
            line_end = text.rindex(" ", line_start, line_end) + 1
        line_end = min(line_end, len(text))
        start = line_start
        for position in range(line_start, line_end):
            if position + 1 == line_end or looks[position + 1] != looks[start]:
                yield Piece(text[start : position + 1], start - line_start, line, looks[start])
                start = position + 1
        line, line_start = line + 1, line_end


if __name__ == "__main__":
    sys.stdout.write(draw())
