"""Copy the cells of a run without their weights, so that its tables can be made again.

Questions, answers and titles of real texts belong to their sources, so they are left out, and
numbers stand in place of the titles. Those about invented people are kept with --texts.

    python docs/keep_cells.py RUN docs/cells/NAME
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from elusive.common.dataset.records import Prediction
from elusive.common.folders import create_folder
from elusive.evaluate.cells.cell_folder import CellResult, find_cells
from elusive.evaluate.cells.metrics import write_predictions

FILES = ("costs.json", "gold.json", "training_log.json")


def keep_cells(run: Path, out: Path, with_texts: bool = False) -> list[Path]:
    """Copy the finished cells of a run that `out` lacks; return their new folders."""
    cells = find_cells(run)
    entities = {p.entity for cell in cells for p in (*cell.predictions, *cell.known)}
    # Their order stays, on which the draws of a bootstrap depend.
    numbers = {entity: f"{number:06d}" for number, entity in enumerate(sorted(entities))}
    targets = {out / "cells" / cell.folder.name: cell for cell in cells}
    missing = {target: cell for target, cell in targets.items() if not target.exists()}
    for target, cell in missing.items():
        if not with_texts:
            cell = replace(
                cell,
                predictions=[_strip(p, numbers) for p in cell.predictions],
                known=[_strip(p, numbers) for p in cell.known],
            )
        _write(cell, target)
    return list(missing)


def _strip(prediction: Prediction, numbers: dict[str, str]) -> Prediction:
    entity = numbers[prediction.entity]
    return replace(prediction, entity=entity, question="", answers=[], prediction="")


def _write(cell: CellResult, target: Path) -> None:
    perplexity = cell.metrics.get("known", {}).get("perplexity")
    with create_folder(target, "cell", _leave_path_out(cell.parameters)) as folder:
        for name in FILES:
            if (cell.folder / name).exists():
                shutil.copy(cell.folder / name, folder)
        write_predictions(folder, cell.predictions, cell.known, perplexity)


def _leave_path_out(parameters: dict[str, Any]) -> dict[str, Any]:
    """Name the model by its folder's last part, wherever it was on the machine of the run."""
    if not Path(model := parameters["model"]).is_absolute():
        return parameters
    return json.loads(json.dumps(parameters).replace(model, Path(model).name))


@click.command()
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--texts", "with_texts", is_flag=True, help="Keep questions and answers.")
def main(run: Path, out: Path, with_texts: bool) -> None:
    """Copy the cells of RUN to OUT without weights."""
    for path in keep_cells(run, out, with_texts):
        click.echo(path)


if __name__ == "__main__":
    main()
