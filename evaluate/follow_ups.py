"""Make what a plan lists under `then` from its datasets and its finished cells.

The report is not among it: `elusive run` writes it, because no stage imports a later one.
"""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from elusive.augment.clues.folder import write_clues
from elusive.augment.config import AugmentConfig
from elusive.common.errors import InputError
from elusive.common.folders import MANIFEST, read_manifest
from elusive.evaluate.figures.figures import write_figures
from elusive.evaluate.plans import Plan
from elusive.evaluate.run_folder import RunFolder

LIMIT = 100
"""Number of documents whose attention the figures read."""


def make_follow_ups(run: RunFolder, plan: Plan) -> list[Path]:
    """Make what the plan lists under `then`, replacing outdated results, and return the folders.

    Args:
        run: folder of the run.
        plan: the whole plan, of which only a part may have run now.

    Raises:
        InputError: the run lacks what they are made from.
    """
    folders = []
    if "clues" in plan.then:
        models, depth = _find_scorers(plan)
        for name, dataset in run.datasets.items():
            folders.append(run.out / "clues" / name)
            _make_again(folders[-1], "clues", partial(write_clues, dataset, models, depth))
    if "figures" in plan.then:
        folders.append(run.out / "figures")
        _make_again(folders[-1], "figures", lambda out: write_figures(run.out, out, LIMIT))
    return folders


def _find_scorers(plan: Plan) -> tuple[list[str], float]:
    """Find the models whose attention the plan's arms read, trained ones first, and the depth."""
    models = [*plan.trained, *plan.list_scorers()]
    by_contrast = [arm.depth for arm in plan.arms if arm.method == "depth-contrast"]
    depths = [
        *by_contrast,
        *(arm.depth for arm in plan.arms),
        AugmentConfig.model_fields["depth"].default,
    ]
    return list(dict.fromkeys(models)), depths[0]


def _make_again(folder: Path, kind: str, make: Callable[[Path], object]) -> None:
    """Make a folder; one of its kind that was made from other cells is replaced."""
    try:
        make(folder)
    except InputError:
        if not (folder / MANIFEST).exists() or read_manifest(folder, kind).kind != kind:
            raise
        fresh = folder.with_name(f".{folder.name}.again")
        shutil.rmtree(fresh, ignore_errors=True)
        make(fresh)  # if this fails, the former one stays
        shutil.rmtree(folder)
        fresh.replace(folder)
