"""`elusive table`: print the results of a run."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from elusive.cli.options import add_comparison_options, add_list_option, note_unused
from elusive.common.errors import InputError, build_unknown_name_error

if TYPE_CHECKING:
    from elusive.evaluate.cells.cell_folder import CellResult

Select = Callable[["list[CellResult]"], "list[CellResult]"]
"""Keeps some answers of the cells of a benchmark."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "layout",
    default="terminal",
    show_default=True,
    help="Format of the table: terminal, markdown, csv or latex.",
)
@add_comparison_options
@click.option(
    "--missed",
    is_flag=True,
    help="Count only the questions that the model before training gets wrong, in each seed.",
)
@add_list_option(
    "--kind",
    help="Count only the questions of this kind, such as direct, reverse or multi-hop; or of a "
    "list with commas.",
)
@add_list_option(
    "--mention",
    help="Count only the facts whose sentence has the name (in), comes after it (before), or comes "
    "before all mentions (none); or a list with commas. It needs the texts: those of the run that "
    "FOLDER is, or --dataset.",
)
@click.option(
    "--dataset",
    "datasets",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Folder of a dataset of FOLDER, for --mention where FOLDER is no run; can be repeated.",
)
@add_list_option(
    "--columns",
    help="Columns to print, as a list with commas: the groups accuracy, detail and costs, or "
    "single ones, such as rank,em,f1,gold-log-prob,difference. By default all, but with latex "
    "those of a paper's table.",
)
@click.option(
    "--benchmark",
    help="Print only the table with this heading, `dataset, model`; by default all tables.",
)
def table(
    folder: Path,
    layout: str,
    baseline: str | None,
    metric: str,
    missed: bool,
    kind: tuple[str, ...],
    mention: tuple[str, ...],
    datasets: tuple[Path, ...],
    columns: tuple[str, ...],
    benchmark: str | None,
) -> None:
    """Print the results of a run, a single cell or a leaderboard.

    The table has 95% intervals over people and seeds, paired tests against a baseline with Holm's
    correction, and a rank: 1 plus the number of significantly better arms. With one seed, intervals
    and tests are over people only, and there are no ranks. Cells of different datasets, models or
    ways of asking cannot be compared, so each combination gets a table of its own, under its name.
    The best arm comes first. Columns that do not fit the terminal continue below. Of a run in
    progress, arms and seeds that are not finished are left out and named below the table.

    \b
    elusive table runs/demo
    elusive table runs/demo --baseline plain --metric forced_choice
    elusive table runs/demo --format latex > table.tex
    elusive table runs/demo --columns rank,em,gold-log-prob,known-em
    elusive table runs/wiki --missed
    elusive table runs/questions --kind reverse --metric forced_choice
    elusive table runs/demo --mention before
    elusive table runs/demo --mention before,none
    elusive table runs/two-models --benchmark "people, nano-large" --format csv
    elusive table board --benchmark "people, nano-large" --mention in --dataset data/people
    """
    from elusive.evaluate.compare.groups import group_benchmarks
    from elusive.evaluate.compare.mentions import PLACES
    from elusive.evaluate.tables.formats import RENDERERS, render_tables
    from elusive.evaluate.tables.table import build_comparable_table

    if layout not in RENDERERS:
        raise build_unknown_name_error("format", layout, RENDERERS)
    for place in mention:
        if place not in PLACES:
            raise build_unknown_name_error("mention", place, PLACES)
    if datasets and not mention:
        note_unused(["dataset"], "a table without --mention")
    benchmarks = group_benchmarks(_read_cells(folder, datasets))
    if benchmark is not None and benchmark not in benchmarks:
        raise build_unknown_name_error("benchmark", benchmark, benchmarks)
    chosen = {benchmark: benchmarks[benchmark]} if benchmark else benchmarks
    selections = _list_selections(folder, missed, kind, mention, datasets)
    for select in selections.values():
        chosen = _select_in_each(chosen, select)
    tables = {
        name: replace(
            build_comparable_table(cells, baseline, metric), selection=", and ".join(selections)
        )
        for name, cells in chosen.items()
    }
    click.echo(render_tables(tables, layout, columns), nl=False)


def _read_cells(folder: Path, datasets: tuple[Path, ...]) -> "list[CellResult]":
    """Read the cells of a run, or those of a leaderboard's entries."""
    if not (folder / "entries").is_dir():
        from elusive.evaluate.cells.cell_folder import find_cells

        return find_cells(folder)
    from elusive.common.process.progress import open_bar
    from elusive.report.leaderboard.build import load_board_cells

    with open_bar("reading", "entry", delay=1) as bar:
        return load_board_cells(folder, bar.update, datasets)


def _list_selections(
    folder: Path,
    missed: bool,
    kind: tuple[str, ...],
    mention: tuple[str, ...],
    datasets: tuple[Path, ...],
) -> dict[str, Select]:
    """List what selects the questions that count, by a description of these questions."""
    from elusive.evaluate.compare.mentions import PLACES
    from elusive.evaluate.compare.selection import select_kinds, select_missed

    selections: dict[str, Select] = {}
    if missed:
        selections["that the model before training gets wrong"] = select_missed
    if kind:
        selections[f"of the kind {' or '.join(kind)}"] = partial(select_kinds, kinds=kind)
    if mention:
        places = {PLACES[place] for place in mention}
        name = f"about values with the name {' or '.join(sorted(places))}"
        selections[name] = partial(_select_places, folder, datasets, places)
    return selections


def _select_in_each(
    benchmarks: "dict[str, list[CellResult]]", select: Select
) -> "dict[str, list[CellResult]]":
    """Select answers in each benchmark; those that have none are named and left out.

    Raises:
        InputError: no benchmark has any.
    """
    selected, reasons = {}, {}
    for name, cells in benchmarks.items():
        try:
            selected[name] = select(cells)
        except InputError as reason:
            reasons[name] = reason
    if not selected:
        raise next(iter(reasons.values()))
    for name, reason in reasons.items():
        click.echo(f"note: no table of {name!r}: {reason}", err=True)
    return selected


def _select_places(
    folder: Path, datasets: tuple[Path, ...], places: set[str], cells: "list[CellResult]"
) -> "list[CellResult]":
    """Keep only answers about values with the name in some places of the texts."""
    from elusive.common.dataset.folder import load_dataset_folder
    from elusive.evaluate.compare.mentions import select_mentions
    from elusive.evaluate.plans import load_run_dataset

    if not datasets:
        return select_mentions(cells, load_run_dataset(folder, cells[0].parameters), places)
    asked = cells[0].parameters["dataset"]
    for dataset in map(load_dataset_folder, datasets):
        if dataset.content_hash == asked:
            return select_mentions(cells, dataset, places)
    raise InputError(f"its dataset (content hash {asked[:12]}) is not given with --dataset")
