"""Plots of a dataset's statistics."""

from pathlib import Path

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from elusive.common.dataset.dataset_statistics import DatasetStatistics, Histogram


def draw_statistics(statistics: DatasetStatistics, path: Path, title: str) -> None:
    """Draw one PNG page: text lengths, distances by field, shared names, entropy of values."""
    figure = Figure(figsize=(11, 8))
    figure.suptitle(title, fontsize=13)
    (lengths, distances), (names, values) = figure.subplots(2, 2)
    _draw_lengths(lengths, statistics)
    _draw_distances(distances, statistics)
    _draw_names(names, statistics)
    _draw_values(values, statistics)
    for axes in (lengths, distances, names, values):
        axes.spines[["top", "right"]].set_visible(False)
        axes.title.set_fontsize(11)
    # Constrained layout would draw everything twice to find these margins.
    figure.subplots_adjust(left=0.1, right=0.98, top=0.9, bottom=0.08, wspace=0.3, hspace=0.32)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _draw_lengths(axes: Axes, statistics: DatasetStatistics) -> None:
    words = statistics.words
    width, bins = _bin(words, max(words) - min(words))
    middles = [begin + (width - 1) / 2 for begin in bins]
    axes.bar(middles, list(bins.values()), width, color="tab:blue")
    axes.set(title="Length of the documents", xlabel="words", ylabel="documents")


def _draw_distances(axes: Axes, statistics: DatasetStatistics) -> None:
    for number, (name, field) in enumerate(statistics.fields.items()):
        if not field.distances:
            continue
        total = field.facts
        xs = range(min(field.distances), max(field.distances) + 1)
        ys = [100 * field.distances.get(x, 0) / total for x in xs]
        axes.plot(xs, ys, marker=".", linewidth=1.2, label=name, color=_color(number))
    axes.set(
        title="Distance of the value from the name",
        xlabel="words from the nearest mention before it",
        ylabel="% of the field's facts",
    )
    axes.set_ylim(bottom=0)
    if axes.lines:
        axes.legend(fontsize=8, frameon=False)


def _color(number: int) -> tuple[float, float, float, float]:
    """Return one of twenty colors, the strong ones first."""
    return colormaps["tab20"].colors[(2 * number + number // 10) % 20]  # type: ignore[attr-defined]


def _draw_names(axes: Axes, statistics: DatasetStatistics) -> None:
    most = max([*statistics.first_words, *statistics.last_words])
    for shift, (label, shared) in enumerate(
        (("first word", statistics.first_words), ("last word", statistics.last_words))
    ):
        total = sum(shared.values())
        width, bins = _bin(shared, most)
        xs = [begin + (width - 1) / 2 + (shift - 0.5) * 0.4 * width for begin in bins]
        ys = [100 * n / total for n in bins.values()]
        axes.bar(xs, ys, width=0.4 * width, label=label)
    axes.set(
        title="Names that have a word in common",
        xlabel="entities with the same word",
        ylabel="% of the words that occur",
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=8, frameon=False)


def _draw_values(axes: Axes, statistics: DatasetStatistics) -> None:
    names = list(statistics.fields)[::-1]
    entropies = [statistics.fields[name].entropy for name in names]
    bars = axes.barh(names, entropies, color="tab:green")
    labels = [
        f"{entropy:.1f} bits, {statistics.fields[name].distinct_values:,} values"
        for name, entropy in zip(names, entropies, strict=True)
    ]
    axes.bar_label(bars, labels, padding=3, fontsize=8)
    axes.set(
        title=f"Entropy of the values that occur: {sum(entropies):.1f} bits",
        xlabel="bits",
        xlim=(0, 1.5 * max([*entropies, 1])),
    )


def _bin(histogram: Histogram, spread: int) -> tuple[int, Histogram]:
    """Return the width of a bin and the count of each bin, by its first number.

    A range of `spread` has at most 60 bins.
    """
    width = spread // 60 + 1
    bins: Histogram = {}
    for number, count in histogram.items():
        begin = number // width * width
        bins[begin] = bins.get(begin, 0) + count
    return width, bins
