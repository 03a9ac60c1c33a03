"""The result of the clue benchmark as tables and a picture."""

import csv
import io
from dataclasses import astuple
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elusive.augment.clues.benchmark import MEASURES, ClueReport, ClueRow
from elusive.augment.clues.sentences import ALL, SentenceRow
from elusive.common.intervals import Estimate, format_estimate
from elusive.common.text_tables import render_markdown_table, render_terminal_table

SENTENCE_TITLE = "Sentences without the name: their best span before them, and the name"
NOTE = """\
AUROC: how often a token of the clue scores higher than another token of the text; 0.5 is chance.
Name in top 10: share of its tokens among the ten highest scores. Ranks count from 0, the highest
score. Halves agree: correlation of the scores by two halves of the heads. Like position: that of
the scores with the position. Brackets hold 95% intervals from a bootstrap over entities."""
SENTENCE_NOTE = """\
Shares of the sentences whose best span overlaps, or is, a mention of the name; the difference is
from the last subject, a rule that reads no model. Mean rank: of the best span that overlaps a
mention; ties share their mean rank, and 0 is best."""
MAIN_TARGETS = ("name", "value", "relation")


def build_main_table(report: ClueReport) -> tuple[list[str], list[list[str]]]:
    """Build the header and cells of the main table, which has one row per scorer."""
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


def build_sentence_table(report: ClueReport) -> tuple[list[str], list[list[str]]]:
    """Build the table by sentence, which has one row per scorer, over all distances."""
    header = ["scorer", "sentences", "overlaps a mention", "- last subject", "is a mention"]
    header += ["mean rank"]
    body = [
        [
            row.scorer,
            str(row.sentences),
            _format(row.overlaps, 1, 2),
            _format(row.over_last_subject, 1, 2),
            _format(row.equals, 1, 2),
            _format(row.mean_rank, 1, 1),
        ]
        for row in report.sentences
        if row.distance == ALL
    ]
    return header, body


def _format(estimate: Estimate | None, scale: float, digits: int) -> str:
    return format_estimate(estimate, scale, digits) if estimate else "-"


def render_terminal(report: ClueReport) -> str:
    """Render the main table for a terminal, with warnings below it."""
    parts = [render_terminal_table(*build_main_table(report)), "", NOTE]
    if report.sentences:
        by_sentence = render_terminal_table(*build_sentence_table(report))
        parts += ["", SENTENCE_TITLE, by_sentence, "", SENTENCE_NOTE]
    warnings = [f"warning: {line}" for line in report.list_warnings()]
    return "\n".join([*parts, *warnings]) + "\n"


def render_markdown(report: ClueReport) -> str:
    """Render the main table and the one by sentence in markdown."""
    table = render_markdown_table(*build_main_table(report))
    if not report.sentences:
        return table
    by_sentence = render_markdown_table(*build_sentence_table(report))
    return f"{table}\n{SENTENCE_TITLE}\n\n{by_sentence}"


def render_csv(rows: list[ClueRow]) -> str:
    """Render all rows as CSV with plain numbers: every scorer and kind of clue."""
    file = io.StringIO()
    columns = [f"{name}{suffix}" for name in MEASURES for suffix in ("", "_low", "_high")]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["scorer", "target", "documents", *columns])
    for row in rows:
        estimates = [getattr(row, name) for name in MEASURES]
        numbers = [number for estimate in estimates for number in astuple(estimate)]
        writer.writerow([row.scorer, row.target, row.documents, *numbers])
    return file.getvalue()


def render_sentences_csv(rows: list[SentenceRow]) -> str:
    """Render all rows by sentence as CSV: every scorer and distance."""
    file = io.StringIO()
    names = ("overlaps", "equals", "mean_rank", "over_last_subject")
    columns = [f"{name}{suffix}" for name in names for suffix in ("", "_low", "_high")]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["scorer", "distance", "sentences", *columns])
    for row in rows:
        numbers = [number for name in names for number in astuple(getattr(row, name))]
        writer.writerow([row.scorer, row.distance, row.sentences, *numbers])
    return file.getvalue()


def draw_clues(report: ClueReport, path: Path) -> None:
    """Draw AUROC of names by layer, and recall of each clue by scorer, as one PNG picture."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    by_layer, by_scorer = figure.subplots(1, 2)
    _draw_layers(by_layer, report)
    _draw_recall(by_scorer, report)
    for axes in (by_layer, by_scorer):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _draw_layers(axes: Axes, report: ClueReport) -> None:
    for model in dict.fromkeys(row.model for row in report.layers):
        rows = [row for row in report.layers if row.model == model]
        depths = [(row.layer + 0.5) / len(rows) for row in rows]
        lines = axes.plot(depths, [row.auroc.mean for row in rows], marker=".", label=model)
        low, high = [row.auroc.low for row in rows], [row.auroc.high for row in rows]
        axes.fill_between(depths, low, high, alpha=0.2, color=lines[0].get_color())
    axes.axhline(0.5, color="gray", linewidth=0.8, linestyle=":")
    axes.set(title="How well each layer alone finds names", xlabel="depth", ylabel="AUROC")
    if report.layers:
        axes.legend(frameon=False)


def _draw_recall(axes: Axes, report: ClueReport) -> None:
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
    axes.set(title="Clues among the ten highest scores", xlabel="share of the clue's tokens")
    axes.set_xlim(0, 1)
    axes.legend(frameon=False)
