"""Copy the cells of a run without their texts and weights, so that its tables can be made again.

Questions, answers and titles of real texts belong to their sources; what is left are scores, by
numbers in place of the titles.

    python docs/keep_cells.py RUN docs/cells/NAME
"""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from elusive.common.folders import create_folder
from elusive.evaluate.cells.cell_folder import CellResult, find_cells
from elusive.evaluate.cells.metrics import write_predictions

FILES = ("costs.json", "gold.json", "training_log.json")
NO_TEXTS: dict[str, Any] = {"question": "", "answers": [], "prediction": ""}


def keep_cells(run: Path, out: Path) -> list[Path]:
    """Copy the finished cells of a run that `out` lacks; return their new folders."""
    cells = find_cells(run)
    entities = {p.entity for cell in cells for p in (*cell.predictions, *cell.known)}
    # Their order stays, on which the draws of a bootstrap depend.
    numbers = {entity: f"{number:06d}" for number, entity in enumerate(sorted(entities))}
    targets = {out / "cells" / cell.folder.name: cell for cell in cells}
    missing = {target: cell for target, cell in targets.items() if not target.exists()}
    for target, cell in missing.items():
        _keep_cell(cell, target, numbers)
    return list(missing)


def _keep_cell(cell: CellResult, target: Path, numbers: dict[str, str]) -> None:
    perplexity = cell.metrics.get("known", {}).get("perplexity")
    answers, known = (
        [replace(p, entity=numbers[p.entity], **NO_TEXTS) for p in predictions]
        for predictions in (cell.predictions, cell.known)
    )
    with create_folder(target, "cell", cell.parameters) as folder:
        for name in FILES:
            if (cell.folder / name).exists():
                shutil.copy(cell.folder / name, folder)
        write_predictions(folder, answers, known, perplexity)


@click.command()
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def main(run: Path, out: Path) -> None:
    """Copy the cells of RUN to OUT without texts and weights."""
    for path in keep_cells(run, out):
        click.echo(path)


if __name__ == "__main__":
    main()
