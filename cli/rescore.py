"""`elusive rescore`: compute metrics again from stored answers."""

from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def rescore(folder: Path) -> None:
    """Score stored answers again, without any model.

    FOLDER is a run or a single cell. Cells that this version's scoring has already scored stay as
    they are. The trials of a sweep are scored again, too.

    \b
    elusive rescore runs/demo
    """
    from elusive.evaluate.cells.cell_folder import find_cell_paths, list_cells
    from elusive.evaluate.cells.rescore import rescore as rescore_cells
    from elusive.evaluate.engines.failures import print_warning
    from elusive.evaluate.sweep_config import SWEEP_FOLDER

    changed = rescore_cells(folder)
    trials = list_cells(folder / SWEEP_FOLDER)
    total = len(find_cell_paths(folder)) + len(trials)
    if not changed:
        click.echo(f"nothing to do: this version's scoring has scored all {total} cells")
        return
    if trials:
        print_warning(
            f"{folder}: its table still compares the settings that the former scores chose; "
            "`elusive run` chooses again, and makes the cells for which the choice or its value "
            "has changed"
        )
    click.echo(f"{len(changed)} of {total} cells scored again:")
    click.echo("\n".join(changed))
