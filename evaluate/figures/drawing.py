"""Draw the figures of a run."""

import math
from collections.abc import Mapping, Sequence
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from elusive.augment.clues.top_tokens import KINDS, TopRow
from elusive.common.intervals import Estimate, format_estimate
from elusive.evaluate.compare.clue_gains import ClueGains
from elusive.evaluate.compare.distances import DistanceRow
from elusive.evaluate.compare.mentions import MentionRow
from elusive.evaluate.compare.metrics import METRICS
from elusive.evaluate.figures.arm_marks import ArmMark

KIND_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#999999")
"""Colors of the kinds of tokens, from Okabe and Ito's palette, as are those of arms."""
LABEL_WIDTH = 48
"""Characters in a line of a scorer's label."""
MOST_COLUMNS = 6
"""Largest number of columns of a legend."""
LEGEND_WIDTH, MARK_WIDTH = 160, 6
"""Characters in a row of a legend, and those that a mark takes."""
WHISKERS = (
    "Whiskers: 95% intervals over people and, with several seeds, trainings. Points without are of "
    "one person or article."
)


def draw_distance(
    rows: list[DistanceRow], fields: list[str], marks: Mapping[str, ArmMark]
) -> Figure:
    """Draw two metrics by distance, one line per arm."""
    # Each bin is labeled with its distances, and with its field if every bin has only one.
    bins = [row for row in rows if row.arm == rows[0].arm]
    labels = [
        str(row.first) if row.first == row.last else f"{row.first}\u2013{row.last}" for row in bins
    ]
    if all("," not in names for names in fields):
        labels = [f"{label}\n{field}" for label, field in zip(labels, fields, strict=True)]
    return _draw_groups(rows, labels, marks, "distance", "words from the name to the value")


def draw_mentions(rows: list[MentionRow], marks: Mapping[str, ArmMark]) -> Figure:
    """Draw two metrics by the place of the name, one line per arm."""
    places = list(dict.fromkeys(row.place for row in rows))
    where = "where the name is, seen from the sentence of the value"
    return _draw_groups(rows, places, marks, "mention of the name", where)


def _draw_groups(
    rows: Sequence[DistanceRow] | Sequence[MentionRow],
    labels: list[str],
    marks: Mapping[str, ArmMark],
    by: str,
    xlabel: str,
) -> Figure:
    """Draw both metrics by group, with the arms side by side: their intervals cover nothing."""
    figure = Figure(figsize=(11, 5.8), layout="constrained")
    arms = list(dict.fromkeys(row.arm for row in rows))
    for axes, column in zip(figure.subplots(1, 2), rows[0].scores, strict=True):
        metric = METRICS[column]
        for number, arm in enumerate(arms):
            estimates = [row.scores[column] for row in rows if row.arm == arm]
            shift = min(0.1, 0.5 / len(arms)) * (number - (len(arms) - 1) / 2)
            positions = [index + shift for index in range(len(estimates))]
            _draw_estimates(axes, positions, estimates, metric.scale, marks[arm])
        axes.set_xticks(range(len(labels)), labels, fontsize=8)
        axes.set(xlabel=xlabel, ylabel=f"{metric.name}, {metric.unit}")
        axes.set_title(f"{metric.name.capitalize()} by {by}", fontsize=11)
        axes.spines[["top", "right"]].set_visible(False)
    _add_arm_legend(figure, arms, marks)
    figure.supxlabel(WHISKERS, fontsize=8.5, color="#555555")
    return figure


def _draw_estimates(
    axes: Axes, positions: list[float], estimates: list[Estimate], scale: float, mark: ArmMark
) -> None:
    """Draw means with their intervals, joined by a line."""
    means = [scale * estimate.mean for estimate in estimates]
    errors = [
        [scale * (estimate.mean - estimate.low) for estimate in estimates],
        [scale * (estimate.high - estimate.mean) for estimate in estimates],
    ]
    axes.errorbar(
        positions,
        means,
        yerr=errors,
        color=mark.color,
        marker=mark.marker,
        markerfacecolor="white" if mark.hollow else mark.color,
        markersize=5,
        linewidth=1,
        elinewidth=0.8,
        capsize=2,
    )


def _add_arm_legend(figure: Figure, arms: list[str], marks: Mapping[str, ArmMark]) -> None:
    """Name the arms above the panels, in rows of about equal length."""
    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=marks[arm].marker,
            color=marks[arm].color,
            markerfacecolor="white" if marks[arm].hollow else marks[arm].color,
            label=arm,
        )
        for arm in arms
    ]
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=count_columns(len(arms), max(map(len, arms))),
        frameon=False,
        fontsize=9,
    )


def count_columns(num_labels: int, longest: int) -> int:
    """Count the columns of a legend so that no label is alone in its last row, where possible.

    >>> [count_columns(number, longest=20) for number in (1, 6, 7, 13, 14)]
    [1, 6, 4, 5, 5]
    >>> count_columns(12, longest=60)
    2
    """
    most = max(1, min(MOST_COLUMNS, LEGEND_WIDTH // (longest + MARK_WIDTH)))
    num_rows = math.ceil(num_labels / most)
    return math.ceil(num_labels / num_rows)


def draw_top(rows: list[TopRow], title: str) -> Figure:
    """Draw how many of the ten highest tokens are of each kind, one bar per scorer."""
    scorers = list(dict.fromkeys(row.scorer for row in rows))
    figure = Figure(figsize=(9, 1.6 + 0.65 * len(scorers)), layout="constrained")
    axes = figure.subplots()
    counts = {(row.scorer, row.kind): row.tokens for row in rows}
    for height, scorer in enumerate(scorers):
        left = 0.0
        for number, kind in enumerate(KINDS):
            mean = counts[scorer, kind].mean
            label = kind if height == 0 else None
            axes.barh(height, mean, left=left, height=0.7, color=KIND_COLORS[number], label=label)
            if mean >= 0.4:
                axes.text(
                    left + mean / 2,
                    height,
                    f"{mean:.1f}",
                    ha="center",
                    va="center",
                    color="white",
                    fontsize=9,
                )
            left += mean
    # A path as a model's name would leave no room for the bars.
    axes.set_yticks(range(len(scorers)), [fill(scorer, LABEL_WIDTH) for scorer in scorers])
    axes.invert_yaxis()
    label = "tokens among the ten highest, mean number over values"
    axes.set(xlabel=label, xlim=(0, 10), title=title)
    axes.spines[["top", "right"]].set_visible(False)
    columns = count_columns(len(KINDS), max(map(len, KINDS)))
    figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    return figure


def draw_gains(gains: ClueGains, marks: Mapping[str, ArmMark]) -> Figure:
    """Draw clue recall against the gain over random, one point per arm and field."""
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    for axes, column in zip(figure.subplots(1, 2), gains.rows[0].gains, strict=True):
        metric = METRICS[column]
        for row in gains.rows:
            mark = marks[row.arm]
            axes.scatter(
                100 * row.recall,
                metric.scale * row.gains[column],
                edgecolors=mark.color,
                facecolors="none" if mark.hollow else mark.color,
                marker=mark.marker,
                s=45,
            )
        axes.axhline(0, color="gray", linewidth=0.8, linestyle=":")
        found = [
            f"r = {format_estimate(c.pearson)}" for c in gains.correlations if c.metric == column
        ]
        axes.set_title(": ".join([metric.name.capitalize(), *found]), fontsize=11)
        axes.set(
            xlabel="copies that keep a name and the value, %",
            ylabel=f"gain over random, {metric.gain_unit}",
        )
        axes.spines[["top", "right"]].set_visible(False)
    _add_arm_legend(figure, list(dict.fromkeys(row.arm for row in gains.rows)), marks)
    note = "Each point is one arm and one field. r: Pearson's correlation with its 95% interval."
    figure.supxlabel(note, fontsize=8.5, color="#555555")
    return figure
