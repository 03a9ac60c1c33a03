"""Make many cells on this machine, one after another or in several processes."""

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Queue
from multiprocessing.sharedctypes import SynchronizedArray
from pathlib import Path

from tqdm import tqdm

from elusive.common.parent import end_with_parent
from elusive.common.process.progress import ProgressLines, open_bar
from elusive.evaluate.engines.failures import Failure
from elusive.evaluate.engines.side_by_side import get_context, sort_longest_first
from elusive.evaluate.growing_table import GrowingTable
from elusive.evaluate.jobs import Job
from elusive.evaluate.plans import Plan
from elusive.evaluate.run_folder import RunFolder

POLL_SECONDS = 0.5
TRAINING_SHARE = 0.9
"""Share of a trained cell's time that is training, for bars."""

OnShare = Callable[[float], object]
"""Called with the share of a cell that was made since the last call."""


def make_locally(run: RunFolder, todo: list[Job], processes: int, shown: str = "cells") -> None:
    """Make the cells that a folder lacks; those that fail are recorded in its folder `failed`.

    Each cell is printed as soon as it is finished.

    Args:
        run: folder of the cells.
        todo: the cells.
        processes: their number.
        shown: name of the progress bar.

    Raises:
        OSError: the disk is full.
    """
    missing = [job for job in todo if run.find_finished(job) is None]
    table, finished = GrowingTable(missing), len(todo) - len(missing)
    with open_bar(shown, "cell", len(todo), finished, has_shares=True) as bar:
        if processes > 1 and len(missing) > 1:
            _make_side_by_side(run, todo, missing, table, bar, processes)
        else:
            _make_in_turn(run, todo, missing, table, bar)


def _make_in_turn(
    run: RunFolder,
    todo: list[Job],
    missing: list[Job],
    table: GrowingTable,
    bar: "tqdm | ProgressLines",
) -> None:
    postponed = []  # another process is making these; check at the end that they are finished
    for jobs, wait in ((todo, False), (postponed, True)):
        for job in jobs:
            if job not in missing:
                run.make(job, wait=wait)  # only if it is damaged
            elif not _make_in_shares(run, job, bar.update, wait):
                postponed.append(job)
            elif folder := run.find_finished(job):
                table.add(job, folder)


def _make_in_shares(run: RunFolder, job: Job, on_share: OnShare, wait: bool) -> bool:
    """Make a cell, and report what share of it is made; return what `RunFolder.make` returns."""
    steps, taken = run.count_steps(job), 0  # the number of steps is approximate

    def on_step() -> None:
        nonlocal taken
        if taken < steps:
            taken += 1
            on_share(TRAINING_SHARE / steps)

    is_made = run.make(job, on_step, wait)
    if is_made:
        on_share(1 - TRAINING_SHARE * taken / max(1, steps))
    return is_made


def _make_side_by_side(
    run: RunFolder,
    todo: list[Job],
    missing: list[Job],
    table: GrowingTable,
    bar: "tqdm | ProgressLines",
    count: int,
) -> None:
    """Make all cells in several processes; each takes the next cell that no other has taken."""
    # 1) Start the processes.
    for job in missing:
        run.forget_failure(job)  # of an earlier run
    ordered = sort_longest_first(todo, run.count_steps)
    context, below = get_context(), run.out.relative_to(run.root)
    count = min(count, len(missing))
    shares, errors = context.Array("d", count), context.Queue()
    arguments = (run.plan, run.root, below, ordered, shares, errors)
    workers = [
        context.Process(target=_work, args=(number, *arguments), daemon=True)
        for number in range(count)
    ]
    for worker in workers:
        worker.start()
    # 2) Show what they have made until all of them have ended.
    unfinished = list(missing)
    is_alive = True
    while is_alive:
        is_alive = any(worker.is_alive() for worker in workers)
        for job in list(unfinished):
            if folder := run.find_finished(job):
                unfinished.remove(job)
                table.add(job, folder)
        made = len(todo) - len(unfinished) + sum(shares[:])
        bar.update(max(0.0, made - bar.n))
        time.sleep(POLL_SECONDS * is_alive)
    if not errors.empty():
        raise errors.get()
    # 3) Record the cells whose process died, and wait for those that another command is making.
    codes = sorted({worker.exitcode for worker in workers if worker.exitcode})
    for job in unfinished:
        if run.find_failure(job):
            continue
        if codes:
            listed = ", ".join(map(str, codes))
            reason = f"its process ended with code {listed}; code -9 often means too little memory"
            run.record(Failure(job.name, reason, ""))
        elif _make_in_shares(run, job, bar.update, wait=True) and (
            folder := run.find_finished(job)
        ):
            table.add(job, folder)


def _work(
    number: int,
    plan: Plan,
    root: Path,
    below: Path,
    todo: list[Job],
    shares: "SynchronizedArray[float]",
    errors: "Queue[OSError]",
) -> None:
    """Make every cell that no other process has taken; hand over the error of a full disk.

    Args:
        number: of this process.
        plan: what is run.
        root: folder of the run.
        below: folder of the cells in it.
        todo: the cells.
        shares: of the cell that each process is making, what is made of it.
        errors: where to put the error.
    """
    end_with_parent()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # see start_importing

    def add(share: float) -> None:
        shares[number] += share

    run = RunFolder(plan, root).open_below(below)
    with suppress(KeyboardInterrupt):  # the command says so, in one line
        try:
            for job in todo:
                if run.find_failure(job):  # of another process
                    continue
                _make_in_shares(run, job, add, wait=False)
                shares[number] = 0.0  # the command counts finished cells itself
        except OSError as error:
            errors.put(error)
