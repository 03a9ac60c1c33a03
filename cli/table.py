"""`elusive table`: results of a run."""

from pathlib import Path

import click

from elusive.cli.options import comparison_options
from elusive.common.errors import unknown_name


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "layout",
    default="terminal",
    show_default=True,
    help="terminal, markdown, csv or latex.",
)
@comparison_options
@click.option(
    "--benchmark",
    help="Only this one of several: `dataset, model` as the tables are headed; all if not given.",
)
def table(
    folder: Path, layout: str, baseline: str | None, metric: str, benchmark: str | None
) -> None:
    """Print the results in FOLDER, a run or a single cell.

    With 95% intervals over people and seeds, paired permutation tests against a baseline with
    Holm's correction, and ranks that arms share which cannot be told apart. Cells of several
    datasets, models or ways of asking cannot share a table: each gets its own, under its name.

    \b
    elusive table runs/demo
    elusive table runs/demo --baseline plain --metric log_probability
    elusive table runs/demo --format latex > table.tex
    elusive table runs/two-models --benchmark "people, nano-large" --format csv
    """
    from elusive.evaluate.compare.table import benchmarks, find_cells, results
    from elusive.evaluate.compare.table_columns import RENDERERS, render_tables

    if layout not in RENDERERS:
        raise unknown_name("format", layout, RENDERERS)
    named = benchmarks(find_cells(folder))
    if benchmark is not None and benchmark not in named:
        raise unknown_name("benchmark", benchmark, named)
    chosen = {benchmark: named[benchmark]} if benchmark else named
    found = {name: results(of, baseline, metric) for name, of in chosen.items()}
    click.echo(render_tables(found, layout), nl=False)
