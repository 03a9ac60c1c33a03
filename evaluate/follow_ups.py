"""Make what a plan lists under `then` from its datasets and its finished cells.

The report is not among it: `elusive run` writes it, because no stage imports a later one.
"""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from elusive.augment.clues.folder import write_clues
from elusive.common.errors import InputError
from elusive.common.folders import MANIFEST, read_manifest
from elusive.evaluate.compare.figures import write_figures
from elusive.evaluate.run_folder import RunFolder

LIMIT = 100
"""Number of documents whose attention the figures read."""


def make_follow_ups(run: RunFolder) -> list[Path]:
    """Make what the plan lists under `then`, replacing outdated results, and return the folders.

    Raises:
        InputError: the run lacks what they are made from.
    """
    folders = []
    if "clues" in run.plan.then:
        models, depth = _find_scorers(run)
        for name, dataset in run.datasets.items():
            folders.append(run.out / "clues" / name)
            _make_again(folders[-1], "clues", partial(write_clues, dataset, models, depth))
    if "figures" in run.plan.then:
        folders.append(run.out / "figures")
        _make_again(folders[-1], "figures", lambda out: write_figures(run.out, out, LIMIT))
    return folders


def _find_scorers(run: RunFolder) -> tuple[list[str], float]:
    """Find the models whose attention the plan's arms read, trained ones first, and the depth."""
    arms = run.plan.arms
    models = [*run.plan.trained, *(m for arm in arms for m in (arm.large, arm.small) if m)]
    depths = [arm.depth for arm in arms if arm.method == "depth-contrast"]
    return list(dict.fromkeys(models)), depths[0] if depths else arms[0].depth


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
