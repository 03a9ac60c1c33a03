"""Parts of a folder that is written in shards, each made on a machine that shares the folder."""

import os
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from tqdm import tqdm

from elusive.common.dataset.shards import PARAMETERS, PROGRESS
from elusive.common.dataset.shared_work import SharedWork
from elusive.common.errors import InputError
from elusive.common.parent import end_with_parent
from elusive.evaluate.engines.cluster import Cluster, complete_tasks, is_alive
from elusive.evaluate.engines.failures import (
    build_failure,
    print_warning,
    read_failure,
    record_failure,
)
from elusive.evaluate.engines.resources import Resources

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class PartTask:
    """One part of shared work, as a task of a cluster."""

    work: SharedWork
    number: int
    """Of the task, from 0."""
    tasks: int
    """Their number."""
    working: Path
    """Working folder of the command, where relative paths start."""
    resources: Resources

    @property
    def name(self) -> str:
        """Name that is the same whenever the same part is asked for."""
        return f"part-{self.number}-of-{self.tasks}"

    @property
    def failure_name(self) -> str:
        """Name under which a failure is recorded."""
        return self.name

    @property
    def unit(self) -> str:
        """What the work consists of."""
        return self.work.unit

    @property
    def out(self) -> Path:
        """Folder for records, logs and failures, which is gone when the work is finished."""
        return find_task_folder(self.working / self.work.out)

    @property
    def shared_file(self) -> Path:
        """The parameters of the unfinished folder."""
        return self.working / self.work.out / PROGRESS / PARAMETERS

    def make(self) -> None:
        """Write what is missing of the part; what fails is recorded.

        Raises:
            InputError: this machine does not have the unfinished folder.
        """
        if not self.shared_file.exists():
            raise InputError(
                f"{os.uname().nodename} has no unfinished {self.shared_file.parent.parent}: choose "
                "an --out that all nodes share"
            )
        try:
            os.chdir(self.working)
            self.work.write(self.number, self.tasks)
        except Exception as error:
            record_failure(self.out, build_failure(self.name, error))

    def count_missing(self) -> int:
        """Count what is missing of the part."""
        return self.work.count_missing(self.number, self.tasks)

    def save_often(self) -> "PartTask":
        """Return the task as it is; finished shards stay."""
        return self

    def measure_progress(self) -> int:
        """Return a number that grows with every finished shard."""
        return -self.count_missing()


def find_task_folder(out: Path) -> Path:
    """Find the folder for what a cluster knows of the tasks that write to an unfinished folder."""
    return out / PROGRESS / "cluster"


def check_left_tasks(out: Path, on: str) -> None:
    """Raise InputError if an earlier command has left tasks that write to `out` elsewhere."""
    for path in (find_task_folder(out) / "jobs").glob("*.json"):
        before = path.name.split("-")[0]
        if before != on:
            raise InputError(
                f"{out}: an earlier command has given tasks to {before}: rerun it with --on "
                f"{before}; or delete {path.parent} if they have ended"
            )


def list_part_tasks(work: SharedWork, tasks: int, resources: Resources) -> list[PartTask]:
    """List the tasks of shared work."""
    return [PartTask(work, number, tasks, Path.cwd(), resources) for number in range(tasks)]


def write_on_cluster(cluster: Cluster, tasks: list[PartTask]) -> None:
    """Have tasks made on a cluster.

    Raises:
        InputError: a task failed, or tasks of another number are at work.
    """
    names = {task.name for task in tasks}
    states = cluster.find_states()
    if others := [name for name in states if name not in names and is_alive(states, name)]:
        raise InputError(
            f"{others[0]} of an earlier command is not finished: rerun with --tasks "
            f"{others[0].split('-')[-1]}; {cluster.describe_running()}"
        )
    missing = [task for task in tasks if task.count_missing()]
    try:
        complete_tasks(cluster, missing, f"{missing[0].unit}s" if missing else "")
    except KeyboardInterrupt:
        print_warning(cluster.describe_running())
        raise
    cluster.close()
    failures = [read_failure(task.out, task.failure_name) for task in missing]
    errors = [failure.error for failure in failures if failure]
    if errors:
        raise InputError(
            f"{len(errors)} of {len(tasks)} tasks failed ({errors[0]}): see "
            f"{tasks[0].out / 'failed'}, and rerun to retry"
        )


def write_in_processes(work: SharedWork, tasks: int) -> None:
    """Write shared work in processes of this machine.

    Raises:
        InputError: a process died.
    """
    parts = range(tasks)

    def count_missing() -> int:
        return sum(work.count_missing(number, tasks) for number in parts)

    total = count_missing()
    with (
        ProcessPoolExecutor(tasks, get_context("spawn"), end_with_parent) as pool,
        tqdm(total=total, desc=f"{work.unit}s", unit=work.unit, delay=1) as bar,
    ):
        futures = [pool.submit(work.write, number, tasks) for number in parts]
        while not all(future.done() for future in futures):
            time.sleep(POLL_SECONDS)
            bar.update(total - count_missing() - bar.n)
        try:
            for future in futures:
                future.result()
        except BrokenProcessPool:
            raise InputError(
                f"a process died that wrote to {work.out}, often by too little memory: lower "
                "--tasks, and rerun to resume"
            ) from None
