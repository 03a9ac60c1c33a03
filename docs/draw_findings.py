"""Draw the findings' picture: what each model knows after each way of preparing the same texts.

python docs/draw_findings.py

It reads `docs/board/leaderboard.parquet` and, of other pretrainings, the cells in `docs/cells`, and
writes `docs/assets/findings.svg`. The last row is copied from `docs/findings-pretrained.md`:
answers about Wikipedia are not on the board.
"""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pyarrow.parquet as pq
from matplotlib.figure import Figure

from elusive.evaluate.cells.cell_folder import find_cells
from elusive.report.leaderboard.build import build_board_table, rank_benchmarks

DOCS = Path(__file__).parent
COLUMNS = ("forced_choice", "forced_choice_low", "forced_choice_high")
FIRST = "the name opens the text"
AMONG = "the name stands anywhere, among two other people"
BENCHMARKS = {
    ("board", f"50 people, {FIRST}, nano-large"): "nano-large (4 M), A",
    ("board", f"50 people, {AMONG}, nano-large"): "nano-large, B",
    ("nano-mixed", "name-first, mixed-large"): "pretrained with the name first, A",
    ("nano-mixed-1", "name-first, mixed-large"): "the same with another seed, A",
    ("nano-mixed", "distractors, mixed-large"): "pretrained with the name first, B",
    ("nano-mixed-1", "distractors, mixed-large"): "the same with another seed, B",
    ("nano-fixed", "name-first, fixed-large"): "name first and in one order, A",
    ("nano-fixed-1", "name-first, fixed-large"): "the same with another seed, A",
    ("nano-fixed", "distractors, fixed-large"): "name first and in one order, B",
    ("nano-fixed-1", "distractors, fixed-large"): "the same with another seed, B",
    ("board", f"40 people, {FIRST}, nano-large"): "nano-large, A, other people",
    ("board", "40 people, the name stands anywhere, nano-large"): "the same, the name anywhere",
    ("board", f"50 people, {FIRST}, micro-large"): "micro-large (6 M), A",
    ("board", f"50 people, {AMONG}, micro-large"): "micro-large, B",
    ("board", f"30 people, {AMONG}, smollm2-135m"): "SmolLM2 (135 M), B",
}
"""A benchmark of the board, or of a folder of kept cells, and its name, from top to bottom."""
WIKIPEDIA = {
    "untrained": (0.65, 0.59, 0.70),
    "plain": (0.70, 0.64, 0.75),
    "permute": (0.73, 0.67, 0.79),
    "depth-contrast": (0.74, 0.68, 0.78),
}
"""Forced choice with its interval, of `elusive run restate-wikipedia`."""
STAND_INS = {"contrast": "depth-contrast"}
"""On Wikipedia: SmolLM2's own first layers take the place of a smaller model."""
ARMS = {
    "untrained": ("before training", "#999999", "o"),
    "contrast": ("41 to 47% dropped as in the paper (Wikipedia: 53%)", "#CC79A7", "v"),
    "plain": ("the text as it is", "#0072B2", "s"),
    "permute": ("its sentences in new orders", "#009E73", "D"),
    "permute + restate by oracle in place of pronouns": (
        "new orders, and the right name in place of pronouns",
        "#D55E00",
        "^",
    ),
}
"""Arms by label: what the picture calls them, color and mark."""


def draw() -> Figure:
    """Draw forced choice with its 95% interval, a row for each benchmark."""
    rows = _read_rows()
    figure = Figure(figsize=(8.8, 8.8), layout="constrained")
    axes = figure.subplots()
    for place, (label, (name, color, mark)) in enumerate(ARMS.items()):
        shift = 0.11 * (place - 2)  # so that marks of one row do not hide each other
        estimates = _list_estimates(rows, label)
        places = [y + shift for y in estimates]
        means, lows, highs = 100 * np.array(list(estimates.values())).T
        style = {"fmt": mark, "color": color, "capsize": 2, "markersize": 7, "label": name}
        axes.errorbar(means, places, xerr=[means - lows, highs - means], **style)  # type: ignore[arg-type]
    names = [*BENCHMARKS.values(), "SmolLM2, Wikipedia"]
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("right answers preferred to wrong ones, in % (50 is chance)")
    axes.set_xlim(42, 100)
    axes.axvline(50, color="#999999", linewidth=0.8, linestyle=":")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", color="#eeeeee")
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper left", ncols=2, frameon=False)
    return figure


def _read_rows() -> list[dict[str, Any]]:
    """Read the rows of the benchmarks, in their order, each with its place in the picture."""
    tables = {"board": pq.read_table(DOCS / "board" / "leaderboard.parquet").to_pylist()}
    for name in {source for source, _ in BENCHMARKS} - {"board"}:
        cells = find_cells(DOCS / "cells" / name)
        tables[name] = build_board_table(rank_benchmarks(cells, "em")).to_pylist()
    return [
        row | {"place": place}
        for place, (source, benchmark) in enumerate(BENCHMARKS)
        for row in tables[source]
        if row["benchmark"] == benchmark
    ]


def _list_estimates(rows: list[dict[str, Any]], arm: str) -> dict[int, tuple[float, ...]]:
    """Return mean, low and high of an arm by the row of the picture, from the top."""
    estimates = {
        row["place"]: tuple(row[column] for column in COLUMNS) for row in rows if row["arm"] == arm
    }
    on_wikipedia = WIKIPEDIA.get(STAND_INS.get(arm, arm))
    return estimates | ({len(BENCHMARKS): on_wikipedia} if on_wikipedia else {})


def write_picture(path: Path) -> None:
    """Write the picture; the same answers give the same bytes."""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "findings", "font.size": 10}):
        draw().savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    write_picture(DOCS / "assets" / "findings.svg")
