"""What a leaderboard is built into: a Parquet file of all numbers, markdown tables, a web page."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from elusive.common.errors import InputError
from elusive.common.folders import write_atomically
from elusive.common.templates import render_template
from elusive.evaluate.cells.cell import CellResult
from elusive.evaluate.compare.table import Results, benchmarks, named_cells, results
from elusive.evaluate.compare.table_columns import NOTE, flat_table, render_markdown
from elusive.report.leaderboard.check import check_board

TITLE = "Leaderboard"
TABLE, MARKDOWN, PAGE = "leaderboard.parquet", "leaderboard.md", "index.html"
GROUPS = ("accuracy", "costs")
"""Columns of the markdown tables; the others are in the Parquet file and on the page."""


@dataclass(frozen=True)
class Benchmark:
    """A table of a leaderboard: arms that can be compared."""

    name: str
    arms: dict[str, list[CellResult]]
    found: Results
    """Its rows, the best arm first."""

    @property
    def first(self) -> CellResult:
        """One of its cells: they share dataset, model and way of asking."""
        return next(iter(self.arms.values()))[0]


def build_board(
    board: Path, out: Path, metric: str = "em", on_entry: Callable[[], object] = lambda: None
) -> list[Path]:
    """Write `leaderboard.parquet`, `leaderboard.md` and `index.html` into `out`.

    Args:
        board: folder of the leaderboard.
        out: where the files go; older ones are replaced.
        metric: what arms are ranked by: em, f1 or log_probability.
        on_entry: called after each entry that was read.

    Raises:
        InputError: an entry is altered, an arm incomplete; no such metric.
    """
    checked = check_board(board, on_entry)
    if checked.problems:
        count = len(checked.problems)
        raise InputError(
            f"{board} has {count} problem{'s' * (count > 1)}, such as {checked.problems[0]}: "
            f"`elusive leaderboard check {board}` lists them"
        )
    from elusive.report.page.page import write_page  # type: ignore[import-not-found]

    tables = ranked_benchmarks(checked.cells, metric)
    out.mkdir(parents=True, exist_ok=True)
    temporary = out / f".{TABLE}"
    pq.write_table(board_table(tables), temporary)
    temporary.replace(out / TABLE)
    write_atomically(out / MARKDOWN, render_board(tables))
    write_page(checked.cells, out / PAGE, TITLE)
    return [out / name for name in (TABLE, MARKDOWN, PAGE)]


def ranked_benchmarks(cells: list[CellResult], metric: str) -> list[Benchmark]:
    """The tables of some cells, the best arms first.

    Raises:
        InputError: as `elusive.evaluate.compare.table.results`.
    """
    tables = []
    for name, members in benchmarks(cells).items():
        found = results(members, metric=metric)
        rows = sorted(found.rows, key=lambda row: (row.rank, -getattr(row, metric).mean))
        tables.append(Benchmark(name, named_cells(members), replace(found, rows=rows)))
    return tables


def board_table(tables: list[Benchmark]) -> pa.Table:
    """One row per benchmark and arm: every number, its interval, the costs, and the settings."""
    parts = []
    for table in tables:
        settings = [_settings(table, row.label) for row in table.found.rows]
        columns = pa.Table.from_pylist(settings)
        numbers = flat_table(table.found)
        for name in numbers.column_names:
            columns = columns.append_column(name, numbers[name])
        parts.append(columns)
    return pa.concat_tables(parts, promote_options="permissive")


def _settings(table: Benchmark, arm: str) -> dict[str, Any]:
    """What one arm of a benchmark was made with; settings as JSON."""
    cells = table.arms[arm]
    parameters = cells[0].parameters
    names = ("dataset_name", "dataset", "model", "weights", "scoring", "label")
    texts = {name: parameters[name] for name in names}
    settings = {
        name: json.dumps(parameters[name], sort_keys=True)
        for name in ("augment", "training", "answering")
    }
    return {
        "benchmark": table.name,
        "metric": table.found.metric,
        "baseline": table.found.baseline,
        **texts,
        "method": parameters["augment"]["method"],
        **settings,
        "seed_numbers": sorted(cell.parameters["seed"] for cell in cells),
        "cells": sorted(cell.folder.name for cell in cells),
    }


def render_board(tables: list[Benchmark]) -> str:
    """All tables in markdown, one section per benchmark."""
    sections = [(table, render_markdown(table.found, GROUPS)) for table in tables]
    note = NOTE.format(metric=tables[0].found.metric)
    return render_template(
        Path(__file__).parent / "leaderboard.md.j2", title=TITLE, sections=sections, note=note
    )
