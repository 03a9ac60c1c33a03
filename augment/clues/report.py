"""The clue benchmark's result as tables and a picture."""

import csv
import io
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table

from elusive.augment.clues.benchmark import MEASURES, ClueReport, ClueRow
from elusive.common.intervals import Estimate

WIDE = 200
MAIN_TARGETS = ("name", "value", "relation")


def main_table(report: ClueReport) -> tuple[list[str], list[list[str]]]:
    """Header and cells of the table that people read: a scorer per row."""
    header = ["scorer", *(f"{target} AUROC" for target in MAIN_TARGETS), "name in top 10 %"]
    header += ["mean rank of names", "halves agree", "like position"]
    found = {(row.scorer, row.target): row for row in report.rows}
    body = []
    for scorer in report.scorers:
        rows = [found.get((scorer.scorer, target)) for target in MAIN_TARGETS]
        cells = [scorer.scorer, *(_text(row and row.auroc, 1, 2) for row in rows)]
        cells += [_text(rows[0] and rows[0].recall, 100, 0)]
        cells += [_text(rows[0] and rows[0].mean_rank, 1, 1)]
        cells += ["-" if scorer.stability is None else f"{scorer.stability:.2f}"]
        body.append([*cells, f"{scorer.position:.2f}"])
    return header, body


def _text(estimate: Estimate | None, scale: float, digits: int) -> str:
    """A mean with its interval; a dash where there is none."""
    if estimate is None:
        return "-"
    mean, low, high = (
        f"{scale * x:.{digits}f}" for x in (estimate.mean, estimate.low, estimate.high)
    )
    return f"{mean} [{low}, {high}]"


def render_terminal(report: ClueReport) -> str:
    """The main table for a terminal, with warnings below."""
    header, body = main_table(report)
    table = Table(box=box.SIMPLE_HEAD)
    for index, name in enumerate(header):
        table.add_column(name, justify="right" if index else "left", no_wrap=True)
    for cells in body:
        table.add_row(*cells)
    console = Console(width=WIDE, file=io.StringIO(), color_system=None)
    console.print(table)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    lines += ["95% intervals in brackets: bootstrap over entities.", *report.warnings()]
    return "\n".join(lines) + "\n"


def render_markdown(report: ClueReport) -> str:
    """The main table in markdown."""
    header, body = main_table(report)
    lines = ["| " + " | ".join(cells) + " |" for cells in [header, ["---"] * len(header), *body]]
    return "\n".join(lines) + "\n"


def render_csv(rows: list[ClueRow]) -> str:
    """Every scorer and kind of clue, by field and distance, as CSV with plain numbers."""
    file = io.StringIO()
    columns = [f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["scorer", "target", "documents", *columns])
    for row in rows:
        estimates = [getattr(row, name) for name in MEASURES]
        numbers = [x for one in estimates for x in (one.mean, one.low, one.high)]
        writer.writerow([row.scorer, row.target, row.documents, *numbers])
    return file.getvalue()


def draw_clues(report: ClueReport, path: Path) -> None:
    """One PNG page: AUROC of names by layer, and share of each clue in the top 10 by scorer."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    by_layer, by_scorer = figure.subplots(1, 2)
    _draw_layers(by_layer, report)
    _draw_recall(by_scorer, report)
    for axes in (by_layer, by_scorer):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _draw_layers(axes: Axes, report: ClueReport) -> None:
    """How well each layer's attention finds names."""
    for model in dict.fromkeys(row.model for row in report.layers):
        rows = [row for row in report.layers if row.model == model]
        depths = [(row.layer + 0.5) / len(rows) for row in rows]
        lines = axes.plot(depths, [row.auroc.mean for row in rows], marker=".", label=model)
        low, high = [row.auroc.low for row in rows], [row.auroc.high for row in rows]
        axes.fill_between(depths, low, high, alpha=0.2, color=lines[0].get_color())
    axes.axhline(0.5, color="gray", linewidth=0.8, linestyle=":")
    axes.set(title="Names found by the attention of one layer", xlabel="depth", ylabel="AUROC")
    axes.legend(frameon=False)


def _draw_recall(axes: Axes, report: ClueReport) -> None:
    """What stands in the ten highest scores."""
    scorers = [row.scorer for row in report.scorers]
    height = 0.8 / len(MAIN_TARGETS)
    for number, target in enumerate(MAIN_TARGETS):
        of_target = {row.scorer: row.recall for row in report.rows if row.target == target}
        places = [
            index + number * height for index, name in enumerate(scorers) if name in of_target
        ]
        found = [of_target[name] for name in scorers if name in of_target]
        errors = [[one.mean - one.low for one in found], [one.high - one.mean for one in found]]
        axes.barh(
            places, [one.mean for one in found], height, xerr=errors, label=target, ecolor="gray"
        )
    axes.set_yticks([index + height for index in range(len(scorers))], scorers)
    axes.invert_yaxis()
    axes.set(title="Found among the ten highest scores", xlabel="share of the clue's tokens")
    axes.set_xlim(0, 1)
    axes.legend(frameon=False)
