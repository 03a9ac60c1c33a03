"""`elusive figures`: pictures of a run."""

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--limit",
    type=int,
    default=100,
    show_default=True,
    help="Documents whose attention is read.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
def figures(run: Path, limit: int, out: Path) -> None:
    """Draw the figures of RUN, a folder of `elusive run`: PNG, SVG, and CSV of what they show.

    Accuracy by distance from the name; what stands in the ten tokens that get most attention before
    a value, and in the ten largest differences; the copies that keep a clue against what is learnt,
    with the correlation.

    \b
    elusive figures runs/demo --out figures/demo
    elusive figures runs/demo --limit 20 --out figures/quick
    """
    from elusive.evaluate.compare.figures import write_figures

    click.echo(write_figures(run, out, limit))
    click.echo(f"pictures and their numbers: {out}")
