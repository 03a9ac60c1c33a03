"""`elusive rescore`: metrics from stored answers."""

from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def rescore(folder: Path) -> None:
    """Score the stored answers in FOLDER, a run or a single cell, anew; needs no model.

    Cells whose scores are those of this version's scoring are left alone.

    \b
    elusive rescore runs/demo
    """
    from elusive.evaluate.cells.results import rescore as rescore_cells

    changed = rescore_cells(folder)
    click.echo(f"{len(changed)} cells scored again" + "".join(f"\n{name}" for name in changed))
