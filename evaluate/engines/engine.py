"""Where cells and shards are made: on this machine, on Slurm or on Ray."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from elusive.common.dataset.shared_work import Share, SharedWork
from elusive.common.errors import InputError
from elusive.evaluate.engines.cluster import Cluster
from elusive.evaluate.engines.parts import (
    check_left_tasks,
    find_task_folder,
    list_part_tasks,
    write_in_processes,
    write_on_cluster,
)
from elusive.evaluate.engines.ray_cluster import RayCluster
from elusive.evaluate.engines.resources import Resources
from elusive.evaluate.engines.slurm import SlurmCluster

if TYPE_CHECKING:  # these load PyTorch, which shards may not need
    from elusive.evaluate.jobs import Job
    from elusive.evaluate.plans import Plan
    from elusive.evaluate.run_folder import RunFolder


@dataclass(frozen=True)
class Engine:
    """What makes the cells of a run, or the shards of a folder."""

    on: Literal["local", "slurm", "ray"] = "local"
    jobs: int | None = None
    """Number of processes, 1 if None; on a cluster, most tasks at the same time."""
    address: str = "auto"
    """Of the Ray cluster."""

    @property
    def is_local(self) -> bool:
        """Whether this machine makes the cells."""
        return self.on == "local"

    def check(self, plan: "Plan", out: Path, with_memory: bool = True) -> None:
        """Check that the engine is there and has the resources that a plan needs.

        Args:
            plan: what would be made.
            out: folder of the run.
            with_memory: whether its models must fit into the memory given.

        Raises:
            InputError: something is missing.
        """
        self._check_address()
        if with_memory:
            from elusive.evaluate.checks.memory import check_memory

            check_memory(plan, on_this_machine=self.is_local)
        if self.is_local:
            return
        cluster = self._open_cluster(out)
        from elusive.evaluate.engines.grid import choose_resources
        from elusive.evaluate.jobs import list_jobs

        kinds = [
            choose_resources(plan, job, cell) for job in list_jobs(plan) for cell in (True, False)
        ]
        cluster.check(dict.fromkeys(kinds))

    def _check_address(self) -> None:
        if self.on != "ray" and self.address != "auto":
            raise InputError(
                f"address {self.address!r} is that of a Ray cluster: give it with --on ray only"
            )

    def make_all(self, run: "RunFolder", todo: "list[Job]", shown: str = "cells") -> None:
        """Make the cells that a folder lacks; those that fail are recorded in its folder `failed`.

        Args:
            run: folder of the cells.
            todo: the cells.
            shown: name of the progress bar.

        Raises:
            InputError: the cluster cannot be reached or refuses the tasks.
            OSError: the disk is full.
        """
        from elusive.evaluate.engines.grid import make_on_cluster
        from elusive.evaluate.engines.local import make_locally

        if self.is_local:
            make_locally(run, todo, self.jobs or 1, shown)
        else:
            make_on_cluster(self._open_cluster(run.out), run, todo, shown)

    def open_share(self, out: Path, tasks: int, resources: Resources) -> Share:
        """Return what has the shards of a folder written in several tasks.

        Args:
            out: the folder.
            tasks: their number.
            resources: what each of them needs on a cluster.

        Raises:
            InputError: the engine is missing or lacks the resources, or another one is at work.
        """
        self._check_address()
        check_left_tasks(out, self.on)
        if self.is_local:
            return lambda work: write_in_processes(work, tasks)
        cluster = self._open_cluster(find_task_folder(out))
        cluster.check([resources])

        def write(work: SharedWork) -> None:
            write_on_cluster(cluster, list_part_tasks(work, tasks, resources))

        return write

    def _open_cluster(self, out: Path) -> Cluster:
        if self.on == "slurm":
            return SlurmCluster(out, self.jobs)
        return RayCluster(out, self.jobs, self.address)


LOCAL = Engine()
