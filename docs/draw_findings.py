"""Draw the findings' picture: what each model knows after each way of preparing the same texts.

python docs/draw_findings.py

It reads `docs/board/leaderboard.parquet` and writes `docs/assets/findings.svg`.
"""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import pyarrow.parquet as pq
from matplotlib.figure import Figure

DOCS = Path(__file__).parent
FIRST = "the name opens the text"
AMONG = "the name stands anywhere, among two other people"
BENCHMARKS = {
    f"50 people, {FIRST}, nano-large": "nano-large (4 M), A",
    f"50 people, {AMONG}, nano-large": "nano-large, B",
    f"40 people, {FIRST}, nano-large": "nano-large, A, other people",
    "40 people, the name stands anywhere, nano-large": "the same, the name anywhere",
    f"50 people, {FIRST}, micro-large": "micro-large (6 M), A",
    f"50 people, {AMONG}, micro-large": "micro-large, B",
    f"30 people, {AMONG}, smollm2-135m": "SmolLM2 (135 M), B",
}
"""Benchmarks of the board, from top to bottom, and what the picture calls them."""
ARMS = {
    "untrained": ("before training", "#999999", "o"),
    "contrast": ("41 to 47% dropped, as in the paper", "#CC79A7", "v"),
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
    rows = pq.read_table(DOCS / "board" / "leaderboard.parquet").to_pylist()
    figure = Figure(figsize=(8.8, 5.4), layout="constrained")
    axes = figure.subplots()
    for place, (label, (name, color, mark)) in enumerate(ARMS.items()):
        shift = 0.11 * (place - 2)  # so that marks of one row do not hide each other
        found = [(y, row) for y, row in _place(rows) if row["arm"] == label]
        means = [100 * row["forced_choice"] for _, row in found]
        lows = [100 * (row["forced_choice"] - row["forced_choice_low"]) for _, row in found]
        highs = [100 * (row["forced_choice_high"] - row["forced_choice"]) for _, row in found]
        places = [y + shift for y, _ in found]
        style = {"fmt": mark, "color": color, "capsize": 2, "markersize": 7, "label": name}
        axes.errorbar(means, places, xerr=[lows, highs], **style)  # type: ignore[arg-type]
    axes.set_yticks(range(len(BENCHMARKS)), BENCHMARKS.values())
    axes.invert_yaxis()
    axes.set_xlabel("right answers preferred to wrong ones, in % (50 is chance)")
    axes.set_xlim(42, 100)
    axes.axvline(50, color="#999999", linewidth=0.8, linestyle=":")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", color="#eeeeee")
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper left", ncols=2, frameon=False)
    return figure


def _place(rows: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    """Return the rows of finished arms that the picture shows, with their heights."""
    heights = {name: height for height, name in enumerate(BENCHMARKS)}
    return [
        (heights[row["benchmark"]], row)
        for row in rows
        if row["benchmark"] in heights and row["forced_choice"] is not None
    ]


if __name__ == "__main__":
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "findings", "font.size": 10}):
        draw().savefig(DOCS / "assets" / "findings.svg", metadata={"Date": None})
