"""Tasks on a cluster: submit them, and wait until each is made or has failed."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from elusive.common.process.progress import open_bar
from elusive.evaluate.engines.failures import (
    Failure,
    forget_failure,
    print_warning,
    read_failure,
    write_failure,
)
from elusive.evaluate.engines.resources import Resources

POLL_SECONDS = 2.0
"""Time between two questions to the cluster at first."""
MOST_POLL_SECONDS = 30.0
POLL_SHARE = 0.05
"""Part of the time waited so far that passes until the next question, within these bounds."""
LATE_SECONDS = 60.0
"""How much later than the cluster's word a network file system may show what a task has made."""
MOST_ATTEMPTS = 3
"""How often a task is submitted that ends without a result, such as by the loss of its node."""


class Task(Protocol):
    """Something to make; plain data, so that it can be sent to another machine."""

    @property
    def name(self) -> str:
        """Name that is the same whenever the same thing is asked for."""
        ...

    @property
    def failure_name(self) -> str:
        """Name under which a failure is recorded."""
        ...

    @property
    def unit(self) -> str:
        """What it consists of, for progress bars."""
        ...

    @property
    def out(self) -> Path:
        """Folder for records, logs and failures."""
        ...

    @property
    def shared_file(self) -> Path:
        """A file that every machine has which shares the folder of what is made."""
        ...

    @property
    def resources(self) -> Resources:
        """What it needs of a machine."""
        ...

    def make(self) -> None:
        """Make what is not there yet; what fails is recorded.

        Raises:
            InputError: this machine does not have the shared file.
        """
        ...

    def count_missing(self) -> int:
        """Count what is not there yet, in units; 0 once the task has succeeded."""
        ...

    def save_often(self) -> "Task":
        """Return the task so that it saves its work several times within its time limit."""
        ...

    def measure_progress(self) -> int:
        """Measure how much of its work outlives it, by a number that grows."""
        ...


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

    def submit(self, tasks: Sequence[Task]) -> None:
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


def complete_tasks(
    cluster: Cluster, tasks: Sequence[Task], shown: str, total: int | None = None
) -> None:
    """Submit tasks that are not on the cluster yet, and wait until each is made or has failed.

    Args:
        cluster: where to make them.
        tasks: all of one unit.
        shown: name of the progress bar.
        total: units, together with those of finished tasks; those of the tasks by default.

    Raises:
        InputError: the cluster refuses the tasks.
    """
    waiting = _Waiting({task.name: task for task in tasks})
    total = total or waiting.count_missing()
    if not total:
        return
    if tasks:
        waiting.submit_absent(cluster)
    start, unit = time.monotonic(), tasks[0].unit if tasks else "cell"
    done = total - waiting.count_missing()
    with open_bar(shown, unit, total, done) as bar:
        while waiting.tasks:
            waited = POLL_SHARE * (time.monotonic() - start)
            time.sleep(min(max(waited, POLL_SECONDS), MOST_POLL_SECONDS))
            states = cluster.find_states()
            waiting.drop_settled(states)
            bar.update(total - waiting.count_missing() - bar.n)
            if again := waiting.list_lost(states):
                cluster.submit(again)


class _Waiting:
    """Tasks that are neither made nor have failed, by name."""

    def __init__(self, tasks: dict[str, Task]) -> None:
        self.tasks = tasks
        self.attempts: Counter[str] = Counter()
        self.ended: dict[str, float] = {}
        """When a task was first seen to have ended without a result."""

    def count_missing(self) -> int:
        """Count what the tasks have yet to make."""
        return sum(task.count_missing() for task in self.tasks.values())

    def submit_absent(self, cluster: Cluster) -> None:
        """Submit what is not on the cluster; old failures belong to earlier attempts."""
        states = cluster.find_states()
        absent = [task for name, task in self.tasks.items() if not is_alive(states, name)]
        for task in absent:
            forget_failure(task.out, task.failure_name)
        if absent:
            cluster.submit(absent)

    def drop_settled(self, states: dict[str, TaskState]) -> None:
        """Drop tasks that are made or have failed."""
        for name, task in list(self.tasks.items()):
            has_ended = not is_alive(states, name)
            failure = read_failure(task.out, task.failure_name) if has_ended else None
            is_made = not task.count_missing()
            if failure and not is_made:
                print_warning(f"{failure.cell} failed: {failure.error}")
            if failure or is_made:
                del self.tasks[name]

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
                failure = Failure(task.failure_name, f"its task ended: {reason}", "")
                write_failure(task.out, failure)
            else:
                again.append(task)
        return again


def is_alive(states: dict[str, TaskState], name: str) -> bool:
    """Return whether a task waits or runs."""
    return name in states and states[name].is_alive
