"""The clue benchmark's result as tables and a picture."""

import csv
import io
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elusive.augment.clues.benchmark import MEASURES, ClueReport, ClueRow
from elusive.common.intervals import Estimate, format_estimate
from elusive.common.text_tables import render_markdown_table, render_terminal_table

MAIN_TARGETS = ("name", "value", "relation")


def build_main_table(report: ClueReport) -> tuple[list[str], list[list[str]]]:
    """Header and cells of the table that people read: a scorer per row."""
    header = ["scorer", *(f"{target} AUROC" for target in MAIN_TARGETS), "name in top 10 %"]
    header += ["mean rank of names", "halves agree", "like position"]
    by_target = {(row.scorer, row.target): row for row in report.rows}
    body = []
    for scorer in report.scorers:
        rows = [by_target.get((scorer.scorer, target)) for target in MAIN_TARGETS]
        cells = [scorer.scorer, *(_format(row and row.auroc, 1, 2) for row in rows)]
        cells += [_format(rows[0] and rows[0].recall, 100, 0)]
        cells += [_format(rows[0] and rows[0].mean_rank, 1, 1)]
        cells += ["-" if scorer.stability is None else f"{scorer.stability:.2f}"]
        body.append([*cells, f"{scorer.position:.2f}"])
    return header, body


def _format(estimate: Estimate | None, scale: float, digits: int) -> str:
    return format_estimate(estimate, scale, digits) if estimate else "-"


def render_terminal(report: ClueReport) -> str:
    """The main table for a terminal, with warnings below."""
    table = render_terminal_table(*build_main_table(report))
    note = "95% intervals in brackets: bootstrap over entities."
    return "\n".join([table, note, *report.list_warnings()]) + "\n"


def render_markdown(report: ClueReport) -> str:
    """The main table in markdown."""
    return render_markdown_table(*build_main_table(report))


def render_csv(rows: list[ClueRow]) -> str:
    """Every scorer and kind of clue, by field and distance, as CSV with plain numbers."""
    file = io.StringIO()
    columns = [f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["scorer", "target", "documents", *columns])
    for row in rows:
        estimates = [getattr(row, name) for name in MEASURES]
        numbers = [number for e in estimates for number in (e.mean, e.low, e.high)]
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
        recalls = {row.scorer: row.recall for row in report.rows if row.target == target}
        shown = [(index, recalls[name]) for index, name in enumerate(scorers) if name in recalls]
        axes.barh(
            [index + number * height for index, _ in shown],
            [recall.mean for _, recall in shown],
            height,
            xerr=[
                [recall.mean - recall.low for _, recall in shown],
                [recall.high - recall.mean for _, recall in shown],
            ],
            label=target,
            ecolor="gray",
        )
    axes.set_yticks([index + height for index in range(len(scorers))], scorers)
    axes.invert_yaxis()
    axes.set(title="Found among the ten highest scores", xlabel="share of the clue's tokens")
    axes.set_xlim(0, 1)
    axes.legend(frameon=False)
