"""`elusive table`: results of a run."""

from pathlib import Path

import click

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
def table(folder: Path, layout: str) -> None:
    """Print the results in FOLDER, a run or a single cell, with 95% intervals over people.

    \b
    elusive table runs/demo
    elusive table runs/demo --format latex > table.tex
    """
    from elusive.evaluate.table import RENDERERS, arm_rows, find_cells

    if layout not in RENDERERS:
        raise unknown_name("format", layout, RENDERERS)
    click.echo(RENDERERS[layout](arm_rows(find_cells(folder))), nl=False)
