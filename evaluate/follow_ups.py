"""What a plan asks to be made of its datasets and of the finished run."""

import shutil
from collections.abc import Callable
from pathlib import Path

from elusive.augment.clues.folder import write_clues
from elusive.common.errors import InputError
from elusive.evaluate.compare.figures import write_figures
from elusive.evaluate.jobs import Run

LIMIT = 100
"""Documents whose attention the figures read."""


def make_afterwards(run: Run) -> list[Path]:
    """The folders of what the plan lists under `then`; older ones of other cells are replaced.

    Raises:
        InputError: there is nothing that it could be made of.
    """
    made = []
    if "clues" in run.plan.then:
        models, depth = _scorers(run)
        for name, dataset in run.datasets.items():
            folder = run.out / "clues" / name
            _make_anew(folder, lambda out, of=dataset: write_clues(of, models, depth, out))
            made.append(folder)
    if "figures" in run.plan.then:
        folder = run.out / "figures"
        _make_anew(folder, lambda out: write_figures(run.out, out, LIMIT))
        made.append(folder)
    return made


def _scorers(run: Run) -> tuple[list[str], float]:
    """Models whose attention the plan's arms read, the trained ones first, and their depth."""
    arms = run.plan.arms
    models = [*run.plan.trained, *(m for arm in arms for m in (arm.large, arm.small) if m)]
    depths = [arm.depth for arm in arms if arm.method == "depth-contrast"]
    return list(dict.fromkeys(models)), depths[0] if depths else arms[0].depth


def _make_anew(folder: Path, make: Callable[[Path], object]) -> None:
    """Make a folder, in place of an older one that is of something else."""
    try:
        make(folder)
    except InputError:
        if not folder.exists():
            raise
        shutil.rmtree(folder)
        make(folder)
