"""Figures of a run: the paper's three, and clue recall against what is learnt."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from elusive.augment.clues.top_tokens import (
    Before,
    TopRow,
    attention_before_values,
    large_minus_small,
    top_rows,
)
from elusive.augment.scores.scoring import Reading
from elusive.common.dataset.folder import DatasetFolder, load_dataset_folder
from elusive.common.errors import InputError
from elusive.common.folders import already_made, new_folder, write_atomically
from elusive.common.intervals import Estimate
from elusive.common.lm.loading import load_model
from elusive.evaluate.cells.cell import CellResult, file_name
from elusive.evaluate.compare.figure_data import distance_rows, gains
from elusive.evaluate.compare.figure_drawing import draw_distance, draw_gains, draw_top
from elusive.evaluate.compare.table import benchmarks, find_cells, named_cells
from elusive.evaluate.plans import dataset_of

PAGE = "figures.md"


def write_figures(run: Path, out: Path, limit: int) -> str:
    """Draw the figures of a run into `out`, and give what its page says.

    Each figure is a PNG, an SVG and a CSV of what it shows, with intervals. A figure that the run
    has no data for is left out, and the page says why.

    Args:
        run: folder of `elusive run`.
        out: folder to write.
        limit: documents whose attention is read.

    Raises:
        InputError: no run, unfinished cells, or no dataset.
    """
    cells = find_cells(run)
    parameters = {"cells": sorted(cell.folder.name for cell in cells), "limit": limit}
    if already_made(out, "figures", parameters):
        return (out / PAGE).read_text(encoding="utf-8")
    with new_folder(out, "figures", parameters) as folder:
        found = benchmarks(cells)
        pages = []
        for name, members in found.items():
            folder_of = dataset_of(run, members[0].parameters.get("dataset_name"))
            dataset = load_dataset_folder(folder_of)
            place = folder if len(found) == 1 else folder / file_name(name)
            place.mkdir(exist_ok=True)
            title = f"# Figures of {run.name}" + (f": {name}" if len(found) > 1 else "")
            pages.append(_write_page(place, title, named_cells(members), dataset, run, limit))
        if len(found) > 1:
            links = [f"- [{name}]({file_name(name)}/{PAGE})" for name in found]
            write_atomically(
                folder / PAGE, f"# Figures of {run.name}\n\n" + "\n".join(links) + "\n"
            )
    return "\n".join(pages)


def _write_page(
    folder: Path,
    title: str,
    named: dict[str, list[CellResult]],
    dataset: DatasetFolder,
    run: Path,
    limit: int,
) -> str:
    """The figures of one benchmark, and their page."""
    sections = [
        _by_distance(folder, named, dataset),
        *_tops(folder, named, dataset, limit),
        _gain(folder, named, dataset, run),
    ]
    page = f"{title}\n\n" + "\n".join(sections)
    write_atomically(folder / PAGE, page)
    return page


def _by_distance(folder: Path, named: dict[str, list[CellResult]], dataset: DatasetFolder) -> str:
    """Accuracy by distance."""
    title = "Accuracy by distance from the name"
    try:
        rows, fields = distance_rows(named, dataset.facts_by_question())
    except InputError as reason:
        return _left_out(title, str(reason))
    _save(folder, "accuracy-by-distance", draw_distance(rows, fields), rows)
    confounded = all("," not in each for each in fields)
    caption = "Words between the nearest mention of the name before a value and the value."
    if confounded:
        caption += " Every distance has a field of its own, so field and distance vary together."
    return _section(title, "accuracy-by-distance", caption)


def _tops(
    folder: Path, named: dict[str, list[CellResult]], dataset: DatasetFolder, limit: int
) -> list[str]:
    """What stands in the top 10 by attention, and by differences."""
    documents = dataset.training_documents()[:limit]
    models, pairs, depths = _scorers(named)

    @cache
    def read(model: str, minus: str) -> list[Before]:
        reading = Reading(minus_layers=minus)
        return list(attention_before_values(documents, load_model(model), reading))

    alone = [row for model in models for row in top_rows(model, read(model, ""))]
    different: list[TopRow] = []
    for large, small in pairs:
        difference = large_minus_small(read(large, ""), read(small, ""))
        different += top_rows(f"{large} minus {small}", difference)
    for model, depth in depths:
        minus = read(model, f"0.0-{depth:.6f}")
        different += top_rows(f"{model}, all layers minus the first {depth:.0%}", minus)
    read_from = f"Read from the last token before each value of {len(documents)} documents."
    return [
        _top(folder, "The ten tokens with most attention", "top-10-by-attention", alone, read_from),
        _top(folder, "The ten largest differences", "top-10-by-difference", different, read_from),
    ]


def _top(folder: Path, title: str, name: str, rows: list[TopRow], caption: str) -> str:
    """One figure of what stands in the top 10."""
    if not rows:
        return _left_out(title, "no value has more than ten tokens before it")
    _save(folder, name, draw_top(rows, title), rows)
    return _section(title, name, caption)


def _scorers(
    named: dict[str, list[CellResult]],
) -> tuple[list[str], list[tuple[str, str]], list[tuple[str, float]]]:
    """Models whose attention arms read, pairs that they contrast, and models with depths."""
    settings = [cells[0].parameters["augment"] for cells in named.values()]
    trained = next(iter(named.values()))[0].parameters["model"]
    pairs = [(one["large"], one["small"]) for one in settings if one.get("large") and one["small"]]
    depths = [
        (one["model"], one["depth"]) for one in settings if one["method"] == "depth-contrast"
    ] or [(trained, 0.5)]
    models = [trained, *(model for pair in pairs for model in pair)]
    return list(dict.fromkeys(models)), list(dict.fromkeys(pairs)), list(dict.fromkeys(depths))


def _gain(
    folder: Path, named: dict[str, list[CellResult]], dataset: DatasetFolder, run: Path
) -> str:
    """Clue recall against gain."""
    title = "Clue recall against gain"
    try:
        found = gains(named, dataset, run)
    except InputError as reason:
        return _left_out(title, str(reason))
    _save(folder, "recall-against-gain", draw_gains(found), found.rows)
    caption = (
        "One point per arm that drops tokens and per field: the share of its copies that keep a "
        "name and the value whole, and what it gains over `random`. Intervals resample entities.\n"
    )
    lines = ["| metric | Pearson | Spearman |", "|---|---|---|"]
    for one in found.correlations:
        metric = one.metric.replace("_", "-")
        lines.append(f"| {metric} | {_interval(one.pearson)} | {_interval(one.spearman)} |")
    return _section(title, "recall-against-gain", "\n".join([caption, *lines]))


def _interval(estimate: Estimate) -> str:
    """A correlation with its interval."""
    return f"{estimate.mean:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def _section(title: str, name: str, caption: str) -> str:
    """A figure's part of the page."""
    return f"## {title}\n\n![{title}]({name}.png)\n\n{caption}\n"


def _left_out(title: str, reason: str) -> str:
    """A missing figure's part of the page."""
    return f"## {title}\n\nLeft out: {reason}.\n"


def _save(folder: Path, name: str, figure: Figure, rows: Sequence[Any]) -> None:
    """A figure as PNG and SVG, the same bytes each time, and its numbers as CSV."""
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(folder / f"{name}.png", dpi=130, metadata={"Software": None})
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})
    file = io.StringIO()
    flat = [_flat(asdict(row)) for row in rows]
    writer = csv.DictWriter(file, fieldnames=list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    write_atomically(folder / f"{name}.csv", file.getvalue())


def _flat(row: dict[str, object]) -> dict[str, object]:
    """A row whose intervals stand in columns of their own."""
    flat: dict[str, object] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            ends = {"mean": name, "low": f"{name}_low", "high": f"{name}_high"}
            flat |= {ends[end]: number for end, number in value.items()}
        else:
            flat[name] = value
    return flat
