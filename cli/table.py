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
@click.option(
    "--baseline", help="Arm that the others are compared with; random or else plain if not given."
)
@click.option(
    "--metric",
    default="em",
    show_default=True,
    help="What arms are ranked and compared by: em, f1 or log_probability.",
)
def table(folder: Path, layout: str, baseline: str | None, metric: str) -> None:
    """Print the results in FOLDER, a run or a single cell.

    With 95% intervals over people and seeds, paired permutation tests against a baseline with
    Holm's correction, and ranks that arms share which cannot be told apart.

    \b
    elusive table runs/demo
    elusive table runs/demo --baseline plain --metric log_probability
    elusive table runs/demo --format latex > table.tex
    """
    from elusive.evaluate.table import RENDERERS, find_cells, results

    if layout not in RENDERERS:
        raise unknown_name("format", layout, RENDERERS)
    found = results(find_cells(folder), baseline, metric)
    click.echo(RENDERERS[layout](found), nl=False)
