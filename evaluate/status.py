"""What of a run is finished, running, failed and missing, read from its folder alone."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from elusive.common.claims import Claim
from elusive.common.errors import InputError
from elusive.evaluate.cells.cell_folder import list_cells, list_sound_cells
from elusive.evaluate.engines.failures import Failure
from elusive.evaluate.jobs import count_trials, list_jobs
from elusive.evaluate.plans import PLAN, load_plan
from elusive.evaluate.sweep_config import SWEEP_FOLDER


@dataclass(frozen=True)
class RunStatus:
    """The cells of a run by their state."""

    finished: list[str]
    running: dict[str, float]
    """Seconds since each was begun, by the name of its folder."""
    failed: list[Failure]
    missing: list[str]
    """Neither finished nor failed; those that are running are among them."""
    seconds: list[float] = field(default_factory=list)
    """What each finished cell took."""
    trials: int = 0
    """Finished trials of a sweep."""
    all_trials: int = 0
    total: int = 0
    """Cells of the plan."""


def read_status(run: Path) -> RunStatus:
    """Read the state of a run; nothing is loaded or changed, so it can be read at any time.

    A cell counts as finished if it is whole and has the plan's settings, or, where a sweep chooses
    them, any. What weights and texts are is not read.

    Raises:
        InputError: the folder is not a run, or its plan is wrong.
    """
    if not (run / PLAN).exists():
        raise InputError(f"{run} has no {PLAN}: name the DIR of `elusive run PLAN --out DIR`")
    plan = load_plan(run / PLAN)
    cells = list_sound_cells(run)
    finished, missing, seconds = [], [], []
    jobs, failures = list_jobs(plan), _read_failures(run)
    for job in jobs:
        if cell := job.find_among(cells, is_swept=bool(plan.sweep and job.arm)):
            finished.append(job.name)
            seconds.append(sum(cell.costs["seconds"].values()))
        elif job.name not in failures:
            missing.append(job.name)
    return RunStatus(
        finished=finished,
        running=_find_running(run) | _find_running(run / SWEEP_FOLDER),
        failed=[
            *(failures[job.name] for job in jobs if job.name in {*failures} - {*finished}),
            *_read_failures(run / SWEEP_FOLDER).values(),
        ],
        missing=missing,
        seconds=seconds,
        total=len(jobs),
        trials=len(list_cells(run / SWEEP_FOLDER)),
        all_trials=count_trials(plan),
    )


def _read_failures(run: Path) -> dict[str, Failure]:
    """Read the failures of a run, by the name of the cell."""
    paths = sorted(run.glob("failed/*.json"))
    failures = [Failure(**json.loads(path.read_text(encoding="utf-8"))) for path in paths]
    return {failure.cell: failure for failure in failures}


def _find_running(run: Path) -> dict[str, float]:
    """Find what processes are making, and the seconds since each began it."""
    now = time.time()
    return {
        path.name: now - path.stat().st_mtime
        for path in sorted(run.glob("locks/[!.]*"))
        if Claim(path).is_held()
    }


def render_status(run: Path, status: RunStatus) -> str:
    """Render the state of a run: counts, what runs, what failed and why, what is missing, time."""
    lines = [f"{run}: {len(status.finished)} of {status.total} cells finished"]
    if status.all_trials:
        lines[0] += f"; sweep: {status.trials} of {status.all_trials} trials finished"
    lines += [f"running: {name}, {format_seconds(s)}" for name, s in status.running.items()]
    lines += [f"failed: {failure.cell}: {failure.error}" for failure in status.failed]
    waiting = [name for name in status.missing if not _is_among(name, status.running)]
    lines += [f"missing: {name}" for name in waiting]
    if status.seconds:
        each = median(status.seconds)
        lines.append(
            f"time: {format_seconds(sum(status.seconds))} for the finished cells together, about "
            f"{format_seconds(each)} per cell"
            + _render_rest(len(status.missing), len(status.running), each)
        )
    if status.missing and not status.running:
        lines.append("nothing is running: rerun `elusive run PLAN --out DIR` to resume")
    return "\n".join(lines) + "\n"


def _is_among(name: str, folders: Iterable[str]) -> bool:
    """Whether a cell is one of those with these folders, whose names end with an id."""
    return any(folder.rpartition("-")[0] == name for folder in folders)


def _render_rest(num_missing: int, num_running: int, each: float) -> str:
    if not num_missing:
        return ""
    processes = max(1, num_running)
    rest = format_seconds(num_missing * each / processes)
    return f"; about {rest} left with {processes} process{'es' * (processes > 1)}"


def format_seconds(seconds: float) -> str:
    """Format a time of any length.

    >>> [format_seconds(seconds) for seconds in (8, 100, 20000)]
    ['8 s', '2 min', '5.6 h']
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
