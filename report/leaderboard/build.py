"""Build a leaderboard into a Parquet file of all numbers, markdown tables and a web page."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from elusive.common.errors import InputError
from elusive.common.folders import check_not_within, write_atomically
from elusive.common.jinja import escape_markdown, render_template
from elusive.common.text.counts import format_count
from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.compare.groups import group_arms, group_benchmarks
from elusive.evaluate.compare.metrics import find_ranking_metric
from elusive.evaluate.tables.columns import build_arrow_table
from elusive.evaluate.tables.formats import render_markdown, render_note
from elusive.evaluate.tables.table import ResultTable, build_table
from elusive.report.leaderboard.board import ENTRIES
from elusive.report.leaderboard.board_check import check_board
from elusive.report.leaderboard.board_page import describe_submission, write_board_page
from elusive.report.leaderboard.board_settings import (
    SHORT_HASH,
    BoardSettings,
    load_board_settings,
)
from elusive.report.page.prose import list_trust_cautions

TABLE, MARKDOWN, PAGE = "leaderboard.parquet", "leaderboard.md", "index.html"
GROUPS = ("accuracy", "costs")
"""Groups of columns in the markdown tables; the Parquet file and the page hold all columns."""


@dataclass(frozen=True)
class Benchmark:
    """Arms that can be compared: cells that share dataset, model and way of asking."""

    name: str
    cells: list[CellResult]
    results: ResultTable
    """One row per arm, the best arm first."""


def build_board(
    board: Path,
    out: Path,
    metric: str = "em",
    on_entry: Callable[[], object] = lambda: None,
    datasets: Sequence[Path] = (),
    settings: BoardSettings | None = None,
) -> list[Path]:
    """Write `leaderboard.parquet`, `leaderboard.md` and `index.html` into `out`.

    Args:
        board: folder of the leaderboard.
        out: folder for the files; replaces older ones.
        metric: metric that ranks the arms: as in `build_table`.
        on_entry: called after each entry is read.
        datasets: folders of datasets, with which gold answers are compared.
        settings: of the leaderboard; those of its `board.yaml` if None.

    Returns:
        Paths of the three files.

    Raises:
        InputError: `elusive leaderboard check` finds a problem, there is no such metric, or `out`
            is a dataset, a training text, a cell or the folder of entries.
    """
    check_not_within(out / PAGE)
    if (board / ENTRIES).resolve() in (out.resolve(), *out.resolve().parents):
        raise InputError(f"{out} holds the leaderboard's entries alone: choose another --out")
    settings = settings or load_board_settings(board)
    cells = load_board_cells(board, on_entry, datasets, settings)
    ranked = rank_benchmarks(cells, metric)
    out.mkdir(parents=True, exist_ok=True)
    temporary = out / f".{TABLE}"
    pq.write_table(build_board_table(ranked), temporary)
    temporary.replace(out / TABLE)
    write_atomically(out / MARKDOWN, render_board(ranked, settings))
    write_board_page(cells, settings, out / PAGE, metric)
    return [out / name for name in (TABLE, MARKDOWN, PAGE)]


def load_board_cells(
    board: Path,
    on_entry: Callable[[], object] = lambda: None,
    datasets: Sequence[Path] = (),
    settings: BoardSettings | None = None,
) -> list[CellResult]:
    """Check a leaderboard and return the cells of its entries, with the names of its settings.

    Args:
        board: folder of the leaderboard.
        on_entry: called after each entry is read.
        datasets: folders of datasets, with which gold answers are compared.
        settings: of the leaderboard; those of its `board.yaml` if None.

    Raises:
        InputError: `elusive leaderboard check` finds a problem.
    """
    checked = check_board(board, on_entry, datasets)
    if checked.problems:
        count = len(checked.problems)
        raise InputError(
            f"{board} has {format_count(count, 'problem')}, such as {checked.problems[0]}: "
            f"`elusive leaderboard check {board}` lists them"
        )
    return _name_datasets(checked.cells, settings or load_board_settings(board))


def _name_datasets(cells: list[CellResult], settings: BoardSettings) -> list[CellResult]:
    """Name datasets as the leaderboard's settings do, where they name them."""
    names = settings.names
    return [
        replace(cell, parameters=cell.parameters | {"dataset_name": name})
        if (name := names.get(cell.parameters["dataset"][:SHORT_HASH]))
        else cell
        for cell in cells
    ]


def rank_benchmarks(cells: list[CellResult], metric: str) -> list[Benchmark]:
    """Return the benchmarks of some cells, each with its best arm first.

    Those with cells that lack the metric are ranked by exact match.

    Raises:
        InputError: as `build_table`.
    """
    return [
        Benchmark(name, members, build_table(members, metric=find_ranking_metric(members, metric)))
        for name, members in group_benchmarks(cells).items()
    ]


def build_board_table(ranked: list[Benchmark]) -> pa.Table:
    """Return one row per benchmark and arm: settings, scores with their intervals, and costs."""
    parts = []
    for benchmark in ranked:
        arms = group_arms(benchmark.cells)
        rows = [_settings(benchmark, arms[row.label]) for row in benchmark.results.rows]
        columns = pa.Table.from_pylist(rows)
        numbers = build_arrow_table(benchmark.results)
        for name in numbers.column_names:
            columns = columns.append_column(name, numbers[name])
        parts.append(columns)
    return pa.concat_tables(parts, promote_options="permissive")


def _settings(benchmark: Benchmark, cells: list[CellResult]) -> dict[str, Any]:
    """Settings of one arm, the nested ones as JSON."""
    parameters = cells[0].parameters
    names = ("dataset_name", "dataset", "model", "weights", "scoring", "label")
    texts = {name: parameters[name] for name in names}
    settings = {
        name: json.dumps(parameters[name], sort_keys=True)
        for name in ("augment", "training", "answering")
    }
    return {
        "benchmark": benchmark.name,
        "metric": benchmark.results.metric,
        "baseline": benchmark.results.baseline,
        **texts,
        "method": parameters["augment"]["method"],
        "submitted_by": describe_submission(cells),
        **settings,
        "seed_numbers": sorted(cell.parameters["seed"] for cell in cells),
        "cells": sorted(cell.folder.name for cell in cells),
    }


def render_board(ranked: list[Benchmark], settings: BoardSettings | None = None) -> str:
    """Render all tables in markdown, one section per benchmark."""
    settings = settings or BoardSettings()
    sections = [(benchmark, _render_benchmark(benchmark)) for benchmark in ranked]
    note = "".join(dict.fromkeys(render_note(benchmark.results) for benchmark in ranked))
    return render_template(
        Path(__file__).parent / "leaderboard.md.j2",
        title=settings.title,
        about=settings.about,
        sections=sections,
        note=note,
    )


def _render_benchmark(benchmark: Benchmark) -> str:
    """Render a table, and below it who submitted what, what nobody has checked, and choices."""
    remarks = [
        *_list_submissions(benchmark),
        *list_trust_cautions(benchmark.results, benchmark.cells),
    ]
    paragraphs = [f"\n{escape_markdown(remark)}\n" for remark in remarks]
    return render_markdown(benchmark.results, GROUPS) + "".join(paragraphs)


def _list_submissions(benchmark: Benchmark) -> list[str]:
    """List who submitted which arms, in one line each."""
    arms_of: dict[str, list[str]] = {}
    for arm, cells in group_arms(benchmark.cells).items():
        arms_of.setdefault(describe_submission(cells), []).append(arm)
    return [f"Submitted by {who}: {', '.join(arms)}." for who, arms in arms_of.items() if who]
