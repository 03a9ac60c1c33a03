"""Make the tasks of a run on a cluster, and wait for them."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from elusive.augment.arms import ARMS
from elusive.common.dataset.shards import is_finished
from elusive.common.errors import InputError
from elusive.common.process.progress import open_bar
from elusive.evaluate.engines.resources import Resources
from elusive.evaluate.engines.tasks import Task
from elusive.evaluate.jobs import Failure, Job, build_failure
from elusive.evaluate.plans import Plan
from elusive.evaluate.run_folder import RunFolder, print_warning, write_failure

POLL_SECONDS = 2.0
"""Time between two questions to the cluster at first."""
MOST_POLL_SECONDS = 30.0
POLL_SHARE = 0.05
"""Part of the time waited so far that passes until the next question, within these bounds."""
LATE_SECONDS = 60.0
"""How much later than the cluster's word a network file system may show what a task has made."""
MOST_ATTEMPTS = 3
"""How often a task is submitted that ends without a result, such as by the loss of its node."""


@dataclass(frozen=True)
class TaskState:
    """What a cluster says of a task that it was given."""

    is_alive: bool
    """Whether it waits or runs."""
    reason: str = ""
    """Why it is not alive."""
    is_hopeless: bool = False
    """Whether it would end in the same way again."""


class Cluster(Protocol):
    """What starts tasks on other machines, and outlives the command that asked for it."""

    def check(self, resources: Iterable[Resources]) -> None:
        """Raise InputError if the cluster cannot be reached, or no machine has the resources."""
        ...

    def submit(self, tasks: list[Task]) -> None:
        """Start tasks.

        Raises:
            InputError: the cluster refuses them.
        """
        ...

    def find_states(self) -> dict[str, TaskState]:
        """Return the states of all tasks of the run by name, also of those of earlier commands.

        Raises:
            InputError: tasks can never start.
        """
        ...

    def describe_running(self) -> str:
        """Say how to end the tasks that are left to themselves."""
        ...

    def close(self) -> None:
        """Forget the tasks, all of which have ended."""
        ...


def make_on_cluster(cluster: Cluster, run: RunFolder, todo: list[Job], shown: str) -> None:
    """Make the cells that a folder lacks, their training texts first.

    Tasks that are already on the cluster are not submitted again, so the command can be ended and
    started again. A task whose node is lost is submitted again; what fails is recorded.

    Args:
        cluster: where to make them.
        run: folder of the cells; every machine of the cluster must share it.
        todo: the cells.
        shown: name of the progress bar.

    Raises:
        InputError: the cluster cannot be reached or refuses the tasks.
    """
    texts = _list_texts(run, todo)
    missing = [tasks[0] for tasks in texts.values() if not run.keeps_text(tasks[0].folder)]
    try:
        _complete(cluster, run, missing, "training texts")
        _share_failures(run, texts)
        cells = _list_cells(run, todo)
        unfinished = []
        for task in cells:
            if run.keeps_cell(task.folder):
                run.forget_failure(task.job)
            else:
                unfinished.append(task)
        _complete(cluster, run, unfinished, shown, len(todo))
        if missing or unfinished:
            cluster.close()
    except KeyboardInterrupt:
        print_warning(cluster.describe_running())
        raise


def _list_texts(run: RunFolder, todo: list[Job]) -> dict[Path, list[Task]]:
    """List the tasks of training texts by folder, one for each cell that trains on it."""
    texts: dict[Path, list[Task]] = {}
    for job in todo:
        try:
            if folder := run.find_text_folder(job):
                texts.setdefault(folder, []).append(_build_task(run, job, "text", folder))
        except InputError as error:
            run.record(build_failure(job, error))
    return texts


def _share_failures(run: RunFolder, texts: dict[Path, list[Task]]) -> None:
    """Record the failure of a training text for all cells that train on it."""
    for folder, (first, *others) in texts.items():
        if is_finished(folder) or not (failure := run.find_failure(first.job)):
            continue
        for task in others:
            run.record(Failure(task.job.name, failure.error, failure.details))


def _list_cells(run: RunFolder, todo: list[Job]) -> list[Task]:
    """List the tasks of all cells whose training text is there."""
    tasks = []
    for job in todo:
        try:
            text = run.find_text_folder(job)
            if text is None or is_finished(text):
                tasks.append(_build_task(run, job, "cell", run.find_cell_folder(job)))
        except InputError as error:
            run.record(build_failure(job, error))
    return tasks


def _build_task(run: RunFolder, job: Job, kind: str, folder: Path) -> Task:
    resources = choose_resources(run.plan, job, kind == "cell")
    root = run.root.resolve()
    out = root / run.out.relative_to(run.root)
    folder = out / folder.relative_to(run.out)
    return Task(kind, job, folder, run.plan, root, out, Path.cwd(), resources)  # type: ignore


def choose_resources(plan: Plan, job: Job, is_cell: bool) -> Resources:
    """Choose the resources of a cell, or of its training text.

    A text gets those of its scoring model if that one needs several devices; else it gets no GPU.
    """
    arm = ARMS.get(job.augment.method) if job.arm and not is_cell else None
    scorers = [getattr(job.augment, role) for role in (arm.models if arm else ())]
    for model in scorers:
        resources = plan.resources.get_for(model)
        if resources.devices.is_large:
            return resources
    return plan.resources.get_for(job.model, has_gpus=is_cell)


def _complete(
    cluster: Cluster, run: RunFolder, tasks: list[Task], shown: str, total: int | None = None
) -> None:
    """Submit tasks that are not on the cluster yet, and wait until each is made or has failed."""
    total = total or len(tasks)
    if not total:
        return
    waiting = _Waiting(run, {task.name: task for task in tasks})
    if tasks:
        waiting.submit_absent(cluster)
    start, unit = time.monotonic(), tasks[0].kind if tasks else "cell"
    with open_bar(shown, unit, total, total - len(tasks)) as bar:
        while waiting.tasks:
            waited = POLL_SHARE * (time.monotonic() - start)
            time.sleep(min(max(waited, POLL_SECONDS), MOST_POLL_SECONDS))
            states = cluster.find_states()
            bar.update(waiting.drop_settled(states))
            if again := waiting.list_lost(states):
                cluster.submit(again)


class _Waiting:
    """Tasks that are neither made nor have failed, by name."""

    def __init__(self, run: RunFolder, tasks: dict[str, Task]) -> None:
        self.run, self.tasks = run, tasks
        self.attempts: Counter[str] = Counter()
        self.ended: dict[str, float] = {}
        """When a task was first seen to have ended without a result."""

    def submit_absent(self, cluster: Cluster) -> None:
        """Submit what is not on the cluster; old failures belong to earlier attempts."""
        states = cluster.find_states()
        absent = [task for name, task in self.tasks.items() if not _is_alive(states, name)]
        for task in absent:
            self.run.forget_failure(task.job)
        if absent:
            cluster.submit(absent)

    def drop_settled(self, states: dict[str, TaskState]) -> int:
        """Drop tasks that are made or have failed, and return their number."""
        before = len(self.tasks)
        for name, task in list(self.tasks.items()):
            failure = None if _is_alive(states, name) else self.run.find_failure(task.job)
            if failure and not is_finished(task.folder):
                print_warning(f"{failure.cell} failed: {failure.error}")
            if failure or is_finished(task.folder):
                del self.tasks[name]
        return before - len(self.tasks)

    def list_lost(self, states: dict[str, TaskState]) -> list[Task]:
        """List tasks to submit again, which have ended without a result; give up on others."""
        again = []
        for name, task in self.tasks.items():
            state = states.get(name, TaskState(False, "the cluster does not know it any more"))
            if state.is_alive:
                self.ended.pop(name, None)
                continue
            silence = time.monotonic() - self.ended.setdefault(name, time.monotonic())
            if not state.reason and silence < LATE_SECONDS:  # its result may show up late
                continue
            del self.ended[name]
            self.attempts[name] += 1
            if state.is_hopeless or self.attempts[name] >= MOST_ATTEMPTS:
                reason = state.reason or "without a result"
                write_failure(self.run.out, Failure(task.job.name, f"its task ended: {reason}", ""))
            else:
                again.append(task)
        return again


def _is_alive(states: dict[str, TaskState], name: str) -> bool:
    return name in states and states[name].is_alive
