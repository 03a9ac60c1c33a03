"""Figures of a run: the paper's three, and clue recall against gain."""

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
    AttentionBefore,
    TopRow,
    contrast_attention,
    count_top_tokens,
    read_attention_before_values,
)
from elusive.augment.scores.model_scores import Reading
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.errors import InputError
from elusive.common.folders import create_folder, is_made, write_atomically
from elusive.common.intervals import format_estimate
from elusive.common.lm.loading import load_model
from elusive.evaluate.cells.cell import make_file_name
from elusive.evaluate.cells.cell_folder import CellResult, find_cells
from elusive.evaluate.compare.clue_gains import measure_gains
from elusive.evaluate.compare.distances import has_own_distances, measure_distances
from elusive.evaluate.compare.groups import group_arms, group_benchmarks
from elusive.evaluate.compare.mentions import measure_mentions
from elusive.evaluate.compare.selection import select_comparable_cells
from elusive.evaluate.figures.arm_marks import mark_arms
from elusive.evaluate.figures.drawing import (
    WHISKERS,
    draw_distance,
    draw_gains,
    draw_mentions,
    draw_top,
)
from elusive.evaluate.plans import load_run_dataset

PAGE = "figures.md"


def write_figures(run: Path, out: Path, limit: int) -> str:
    """Draw the figures of a run into `out`, and return the text of their page.

    Each figure is a PNG, an SVG, and a CSV of its numbers with intervals. If the run lacks the data
    for a figure, the page says why it is left out.

    Args:
        run: folder of `elusive run`.
        out: folder to write.
        limit: number of documents whose attention is read.

    Raises:
        InputError: the folder is not a run, has no finished cells, or lacks its dataset.
    """
    cells = find_cells(run)
    parameters = {"cells": sorted(cell.folder.name for cell in cells), "limit": limit}
    if is_made(out, "figures", parameters):
        return (out / PAGE).read_text(encoding="utf-8")
    with create_folder(out, "figures", parameters) as folder:
        benchmarks = group_benchmarks(cells)
        is_single = len(benchmarks) == 1
        pages = []
        for name, members in benchmarks.items():
            dataset = load_run_dataset(run, members[0].parameters)
            target = folder if is_single else folder / make_file_name(name)
            target.mkdir(exist_ok=True)
            title = f"# Figures of {run.name}" + ("" if is_single else f": {name}")
            pages.append(_write_page(target, title, members, dataset, run, limit))
        if not is_single:
            links = [f"- [{name}]({make_file_name(name)}/{PAGE})" for name in benchmarks]
            text = f"# Figures of {run.name}\n\n" + "\n".join(links) + "\n"
            write_atomically(folder / PAGE, text)
    return "\n".join(pages)


def _write_page(
    folder: Path,
    title: str,
    cells: list[CellResult],
    dataset: DatasetFolder,
    run: Path,
    limit: int,
) -> str:
    """Draw the figures of one benchmark, and write their page."""
    kept, left_out = select_comparable_cells(cells)
    arms = group_arms(kept)
    sections = [
        _draw_distances(folder, arms),
        _draw_mentions(folder, arms, dataset),
        *_draw_top_tokens(folder, arms, dataset, limit),
        _draw_gains(folder, arms, dataset, run),
        *(f"Not in the figures: {line}.\n" for line in left_out),
    ]
    page = f"{title}\n\n" + "\n".join(sections)
    write_atomically(folder / PAGE, page)
    return page


def _draw_distances(folder: Path, arms: dict[str, list[CellResult]]) -> str:
    title = "Accuracy by distance from the name"
    try:
        rows, fields = measure_distances(arms)
    except InputError as reason:
        return _render_missing(title, str(reason))
    figure = draw_distance(rows, fields, mark_arms(arms))
    _save(folder, "accuracy-by-distance", figure, rows)
    is_confounded = has_own_distances(arms)
    caption = (
        "Distance: number of words between a value and the nearest mention of the name before it. "
        f"{WHISKERS}"
    )
    if is_confounded:
        caption += " No two fields have a distance in common, so the two cannot be told apart."
    return _render_section(title, "accuracy-by-distance", caption)


def _draw_mentions(folder: Path, arms: dict[str, list[CellResult]], dataset: DatasetFolder) -> str:
    title = "Accuracy by mention of the name"
    try:
        rows = measure_mentions(arms, dataset)
    except InputError as reason:
        return _render_missing(title, str(reason))
    _save(folder, "accuracy-by-mention", draw_mentions(rows, mark_arms(arms)), rows)
    caption = (
        "Whether the sentence that states a value mentions the name itself, comes after a mention, "
        f"or before all of them. {WHISKERS}"
    )
    return _render_section(title, "accuracy-by-mention", caption)


def _draw_top_tokens(
    folder: Path, arms: dict[str, list[CellResult]], dataset: DatasetFolder, limit: int
) -> list[str]:
    """Draw which kinds of tokens are the ten highest, by attention and by its differences."""
    documents = dataset.select_training_documents()[:limit]
    models, pairs, depths = _find_scorers(arms)

    @cache
    def read(model: str, minus_depth: float | None = None) -> list[AttentionBefore]:
        reading = Reading(minus_depth=minus_depth)
        return list(read_attention_before_values(documents, load_model(model), reading))

    alone = [row for model in models for row in count_top_tokens(model, read(model))]
    differences: list[TopRow] = []
    for large, small in pairs:
        contrast = contrast_attention(read(large), read(small))
        differences += count_top_tokens(f"{large} minus {small}", contrast)
    for model, depth in depths:
        name = f"{model}, all layers minus the first {depth:.0%}"
        differences += count_top_tokens(name, read(model, depth))
    source = f"Attention of the last token before each value, in {len(documents)} documents."
    figures = (
        ("The ten tokens with the most attention", "top-10-by-attention", alone),
        ("The ten largest differences", "top-10-by-difference", differences),
    )
    return [_draw_top(folder, *figure, source) for figure in figures]


def _draw_top(folder: Path, title: str, name: str, rows: list[TopRow], caption: str) -> str:
    if not rows:
        return _render_missing(title, "no value has more than ten tokens before it")
    _save(folder, name, draw_top(rows, title), rows)
    return _render_section(title, name, caption)


def _find_scorers(
    arms: dict[str, list[CellResult]],
) -> tuple[list[str], list[tuple[str, str]], list[tuple[str, float]]]:
    """Find the models that arms read, the pairs that they contrast, and the models and depths."""
    settings = [cells[0].parameters["augment"] for cells in arms.values()]
    trained = next(iter(arms.values()))[0].parameters["model"]
    pairs = [(s["large"], s["small"]) for s in settings if s.get("large") and s["small"]]
    depths = [(s["model"], s["depth"]) for s in settings if s["method"] == "depth-contrast"]
    depths = depths or [(trained, 0.5)]
    models = [trained, *(model for pair in pairs for model in pair)]
    return list(dict.fromkeys(models)), list(dict.fromkeys(pairs)), list(dict.fromkeys(depths))


def _draw_gains(
    folder: Path, arms: dict[str, list[CellResult]], dataset: DatasetFolder, run: Path
) -> str:
    title = "Clue recall against gain"
    try:
        gains = measure_gains(arms, dataset, run)
    except InputError as reason:
        return _render_missing(title, str(reason))
    _save(folder, "recall-against-gain", draw_gains(gains, mark_arms(arms)), gains.rows)
    caption = (
        "One point per field and arm that drops tokens: the share of copies that keep a mention of "
        "the name and the whole value, and the gain over `random`. The intervals of "
        "the correlations resample entities and seeds.\n"
    )
    lines = ["| metric | Pearson | Spearman |", "|---|---|---|"]
    for correlation in gains.correlations:
        metric = correlation.metric.replace("_", "-")
        pearson, spearman = map(format_estimate, (correlation.pearson, correlation.spearman))
        lines.append(f"| {metric} | {pearson} | {spearman} |")
    if not gains.correlations:
        lines = ["There is no correlation: all recalls, or all gains, are alike."]
    return _render_section(title, "recall-against-gain", "\n".join([caption, *lines]))


def _render_section(title: str, name: str, caption: str) -> str:
    return f"## {title}\n\n![{title}]({name}.png)\n\n{caption}\n"


def _render_missing(title: str, reason: str) -> str:
    return f"## {title}\n\nLeft out: {reason}.\n"


def _save(folder: Path, name: str, figure: Figure, rows: Sequence[Any]) -> None:
    """Save a figure as PNG and SVG, with the same bytes every time, and its numbers as CSV."""
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(folder / f"{name}.png", dpi=130, metadata={"Software": None})
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})
    file = io.StringIO()
    flat = [_flatten(asdict(row)) for row in rows]
    writer = csv.DictWriter(file, fieldnames=list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    write_atomically(folder / f"{name}.csv", file.getvalue())


def _flatten(row: dict[str, object]) -> dict[str, object]:
    """Give each metric, and the ends of intervals, their own columns."""
    flat: dict[str, object] = {}
    for name, value in row.items():
        if isinstance(value, dict) and "mean" in value:
            ends = {"mean": name, "low": f"{name}_low", "high": f"{name}_high"}
            flat |= {ends[end]: number for end, number in value.items()}
        elif isinstance(value, dict):
            flat |= _flatten(value)
        else:
            flat[name] = value
    return flat
