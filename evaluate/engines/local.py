"""Make many cells on this machine, one after another or in several processes."""

import multiprocessing
import time
from pathlib import Path

from tqdm import tqdm

from elusive.common.errors import InputError
from elusive.evaluate.failures import Failure, build_failure
from elusive.evaluate.jobs import Job
from elusive.evaluate.plans import Plan
from elusive.evaluate.run_folder import RunFolder

POLL_SECONDS = 0.5


def make_locally(run: RunFolder, todo: list[Job], processes: int, shown: str = "cells") -> None:
    """Make the cells that a folder lacks; those that fail are recorded in its folder `failed`.

    Args:
        run: folder of the cells.
        todo: the cells.
        processes: their number.
        shown: name of the progress bar.

    Raises:
        OSError: the disk is full.
    """
    if processes > 1:
        _make_side_by_side(run, todo, shown, processes)
    else:
        _make_in_turn(run, todo, shown)


def _make_in_turn(run: RunFolder, todo: list[Job], shown: str) -> None:
    with tqdm(total=len(todo), desc=shown, unit="cell") as bar:
        postponed = []  # another process is making these; check at the end that they are finished
        for job in todo:
            if _make_with_bar(run, job, wait=False):
                bar.update()
            else:
                postponed.append(job)
        for job in postponed:
            _make_with_bar(run, job, wait=True)
            bar.update()


def _make_with_bar(run: RunFolder, job: Job, wait: bool = True) -> bool:
    """Make a cell with a progress bar of its steps; return what `RunFolder.make` returns."""
    steps = 0 if run.find_finished(job) else run.count_steps(job)
    bar = tqdm(total=steps, desc=job.name, unit="step", leave=False, position=1, disable=not steps)
    with bar:
        return run.make(job, bar.update, wait)


def _make_side_by_side(run: RunFolder, todo: list[Job], shown: str, count: int) -> None:
    """Make all cells in several processes; each takes cells that no other has taken."""
    # 1) Make the training texts first, so that no process has to wait for another's.
    for job in tqdm(todo, desc="training texts", unit="text"):
        try:
            run.prepare_text(job)
        except InputError as error:
            run.record(build_failure(job.name, error))
    # 2) Start the processes, and count finished cells until all processes have ended.
    context, below = multiprocessing.get_context("spawn"), run.out.relative_to(run.root)
    workers = [
        context.Process(target=_work, args=(run.plan, run.root, below, part), daemon=True)
        for part in _list_turns(todo, count)
    ]
    for worker in workers:
        worker.start()
    with tqdm(total=len(todo), desc=shown, unit="cell") as bar:
        while any(worker.is_alive() for worker in workers):
            time.sleep(POLL_SECONDS)
            bar.update(sum(run.find_finished(job) is not None for job in todo) - bar.n)
    # 3) Record as failed the cells whose process died.
    codes = sorted({worker.exitcode for worker in workers if worker.exitcode})
    for job in todo:
        if not run.find_finished(job) and not run.find_failure(job):
            listed = ", ".join(map(str, codes)) or "0"
            reason = f"its process ended with code {listed}; code -9 often means too little memory"
            run.record(Failure(job.name, reason, ""))


def _list_turns(todo: list[Job], count: int) -> list[list[Job]]:
    """List the cells in an order for each process; each starts at another cell."""
    firsts = [number * len(todo) // count for number in range(count)]
    return [todo[first:] + todo[:first] for first in firsts]


def _work(plan: Plan, root: Path, below: Path, todo: list[Job]) -> None:
    """Make every cell that no other process has taken."""
    run = RunFolder(plan, root).open_below(below)
    for job in todo:
        run.make(job, wait=False)
