"""Tasks of a run: a training text or a cell to make on a machine that shares its folder."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from elusive.common.dataset.shards import is_finished
from elusive.common.errors import InputError
from elusive.evaluate.engines.failures import build_failure, record_failure
from elusive.evaluate.engines.resources import Resources
from elusive.evaluate.jobs import Job
from elusive.evaluate.plans import PLAN, Plan
from elusive.evaluate.run_folder import RunFolder

CHECKPOINTS_PER_LIMIT = 4
"""Checkpoints within the time limit of a task, at least."""


@dataclass(frozen=True)
class RunTask:
    """A training text or a cell to make, as a task of a cluster."""

    kind: Literal["text", "cell"]
    job: Job
    """The cell, or one of the cells that train on the text."""
    folder: Path
    """What the task makes."""
    plan: Plan
    root: Path
    """Folder of the run."""
    out: Path
    """The same, or the folder of its sweep."""
    working: Path
    """Working folder of the command, where relative paths start."""
    resources: Resources

    @property
    def name(self) -> str:
        """Name that is the same whenever the same thing is asked for."""
        return self.folder.name if self.kind == "cell" else f"text-{self.folder.name}"

    @property
    def failure_name(self) -> str:
        """Name of the cell that fails with it."""
        return self.job.name

    @property
    def unit(self) -> str:
        """What it is, for progress bars."""
        return self.kind

    @property
    def shared_file(self) -> Path:
        """The plan, which every machine has that shares the run's folder."""
        return self.root / PLAN

    def count_missing(self) -> int:
        """Return 1 until it is made, then 0."""
        return int(not is_finished(self.folder))

    def make(self) -> None:
        """Make it unless it is there; what fails is recorded in the run's folder.

        Raises:
            InputError: this machine does not have the run's folder.
        """
        if not self.shared_file.exists():
            raise InputError(
                f"{os.uname().nodename} has no {self.root}: choose an --out that all nodes share"
            )
        try:
            os.chdir(self.working)
            run = RunFolder(self.plan, self.root).open_below(self.out.relative_to(self.root))
            if self.kind == "text":
                run.prepare_text(self.job)
            else:
                while not run.make(self.job):  # another machine took it over and has now finished
                    pass
        except Exception as error:
            record_failure(self.out, build_failure(self.job.name, error))

    def save_often(self) -> "RunTask":
        """Return the task with several checkpoints within its time limit."""
        training = self.job.settings.training
        minutes = self.resources.minutes / CHECKPOINTS_PER_LIMIT
        changes = {"checkpoint_minutes": min(training.checkpoint_minutes, minutes)}
        changed = {"training": training.model_copy(update=changes)}
        settings = self.job.settings.model_copy(update=changed)
        return replace(self, job=replace(self.job, settings=settings))

    def measure_progress(self) -> int:
        """Return the number of training steps that the last checkpoint of a cell holds."""
        checkpoints = self.folder.with_name(f".{self.folder.name}.checkpoints")
        saved = checkpoints.glob("*/checkpoint-*/trainer_state.json")
        return max((int(path.parent.name.split("-")[1]) for path in saved), default=0)
