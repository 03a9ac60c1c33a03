"""Draw the figures of a run."""

from textwrap import fill
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elusive.augment.clues.top_tokens import KINDS, TopRow
from elusive.common.intervals import Estimate, format_estimate
from elusive.evaluate.compare.clue_gains import ClueGains
from elusive.evaluate.compare.distances import METRICS, DistanceRow

# Okabe and Ito's colors, which color-blind readers can tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
MARKERS = "osD^vP*Xdhp<>8"
LABELS = {"em": "exact match, %", "log_probability": "gold log-probability, nats per token"}
SCALES = {"em": 100, "log_probability": 1}
LABEL_WIDTH = 48
"""Characters in a line of a scorer's label."""


def draw_distance(rows: list[DistanceRow], fields: list[str]) -> Figure:
    """Draw exact match and gold log-probability by distance, one line per arm."""
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    arms = list(dict.fromkeys(row.arm for row in rows))
    # 1) Label each bin with its distances, and with its field if every bin has only one.
    bins = [row for row in rows if row.arm == arms[0]]
    labels = [
        str(row.first) if row.first == row.last else f"{row.first}-{row.last}" for row in bins
    ]
    if all("," not in names for names in fields):
        labels = [f"{label}\n{field}" for label, field in zip(labels, fields, strict=True)]
    # 2) Draw the arms side by side, so that their intervals do not cover each other.
    for axes, metric in zip(figure.subplots(1, 2), METRICS, strict=True):
        for number, arm in enumerate(arms):
            estimates = [getattr(row, metric) for row in rows if row.arm == arm]
            shift = min(0.1, 0.5 / len(arms)) * (number - (len(arms) - 1) / 2)
            positions = [index + shift for index in range(len(estimates))]
            _draw_estimates(axes, positions, estimates, metric, number, arm)
        axes.set_xticks(range(len(labels)), labels, fontsize=8)
        axes.set(xlabel="words from the name to the value", ylabel=LABELS[metric])
        axes.spines[["top", "right"]].set_visible(False)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=6, frameon=False, fontsize=9)
    return figure


def _draw_estimates(
    axes: Axes,
    positions: list[float],
    estimates: list[Estimate],
    metric: str,
    number: int,
    label: str,
) -> None:
    """Draw means with their intervals, joined by a line."""
    scale = SCALES[metric]
    means = [scale * estimate.mean for estimate in estimates]
    errors = [
        [scale * (estimate.mean - estimate.low) for estimate in estimates],
        [scale * (estimate.high - estimate.mean) for estimate in estimates],
    ]
    axes.errorbar(
        positions,
        means,
        yerr=errors,
        label=label,
        color=COLORS[number % len(COLORS)],
        marker=MARKERS[number % len(MARKERS)],
        markersize=5,
        linewidth=1,
        elinewidth=0.8,
        capsize=2,
    )


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
            axes.barh(height, mean, left=left, height=0.7, color=COLORS[number], label=label)
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
    axes.set(xlabel="tokens among the ten highest, mean over values", xlim=(0, 10), title=title)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=len(KINDS), frameon=False, fontsize=9)
    return figure


def draw_gains(gains: ClueGains) -> Figure:
    """Draw clue recall against the gain over random: a marker per arm, a color per field."""
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    arms = list(dict.fromkeys(row.arm for row in gains.rows))
    fields = list(dict.fromkeys(row.field for row in gains.rows))
    for axes, metric in zip(figure.subplots(1, 2), METRICS, strict=True):
        for row in gains.rows:
            axes.scatter(
                100 * row.recall,
                SCALES[metric] * getattr(row, metric),
                color=COLORS[fields.index(row.field) % len(COLORS)],
                marker=MARKERS[arms.index(row.arm) % len(MARKERS)],
                s=45,
            )
        axes.axhline(0, color="gray", linewidth=0.8, linestyle=":")
        pearson = next(c.pearson for c in gains.correlations if c.metric == metric)
        axes.set_title(f"r = {format_estimate(pearson)}", fontsize=11)
        axes.set(
            xlabel="copies that keep a name and the value, %",
            ylabel=f"gain over random: {LABELS[metric]}",
        )
        axes.spines[["top", "right"]].set_visible(False)
    # The legends show the arms' markers above the panels, and the fields' colors below.
    axes = figure.axes[0]
    markers = [
        axes.scatter([], [], color="gray", marker=MARKERS[n % len(MARKERS)], label=arm)
        for n, arm in enumerate(arms)
    ]
    colors = [
        axes.scatter([], [], color=COLORS[n % len(COLORS)], marker="s", label=field)
        for n, field in enumerate(fields)
    ]
    settings: dict[str, Any] = {"ncols": 6, "frameon": False, "fontsize": 9}
    figure.legend(handles=markers, loc="outside upper center", **settings)
    figure.legend(handles=colors, loc="outside lower center", **settings)
    return figure
