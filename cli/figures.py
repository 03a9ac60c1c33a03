"""`elusive figures`: draw figures of a run."""

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Number of documents whose attention is read.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
def figures(run: Path, limit: int, out: Path) -> None:
    """Draw figures of RUN, with their data.

    RUN is a folder of `elusive run`. Each figure is a PNG, an SVG and a CSV of its data. They show
    accuracy by distance from the name; what kinds of tokens get the most attention before a value,
    and which have the largest differences of attention; and how many copies of an arm keep a clue
    against what the arm gains, with the correlation.

    \b
    elusive figures runs/demo --out figures/demo
    elusive figures runs/demo --limit 20 --out figures/quick
    """
    from elusive.evaluate.figures.figures import write_figures

    click.echo(write_figures(run, out, limit))
    click.echo(f"wrote figures and their data to {out}")
