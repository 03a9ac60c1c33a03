"""`elusive rescore`: compute metrics again from stored answers."""

from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def rescore(folder: Path) -> None:
    """Score stored answers again, without any model.

    FOLDER is a run or a single cell. Cells that this version's scoring has already scored stay as
    they are.

    \b
    elusive rescore runs/demo
    """
    from elusive.evaluate.cells.cell_folder import find_cell_paths
    from elusive.evaluate.cells.rescore import rescore as rescore_cells
    from elusive.evaluate.engines.failures import print_warning
    from elusive.evaluate.sweep_config import SWEEP

    changed = rescore_cells(folder)
    if changed and (folder / SWEEP).exists():
        print_warning(
            f"{folder}: the trials of its sweep keep their scores, so `elusive run` would make "
            "them, and perhaps its cells, again: table and report need no run"
        )
    total = len(find_cell_paths(folder))
    if not changed:
        click.echo(f"nothing to do: this version's scoring has scored all {total} cells")
        return
    click.echo(f"{len(changed)} of {total} cells scored again:")
    click.echo("\n".join(changed))
