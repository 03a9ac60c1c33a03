"""Where the cells of a run are made: on this machine, on Slurm or on Ray."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from elusive.common.errors import InputError
from elusive.evaluate.engines.cluster import Cluster, choose_resources, make_on_cluster
from elusive.evaluate.engines.local import make_locally
from elusive.evaluate.engines.ray_cluster import RayCluster
from elusive.evaluate.engines.slurm import SlurmCluster
from elusive.evaluate.jobs import Job, list_jobs
from elusive.evaluate.plans import Plan
from elusive.evaluate.run_folder import RunFolder


@dataclass(frozen=True)
class Engine:
    """What makes the cells of a run."""

    on: Literal["local", "slurm", "ray"] = "local"
    jobs: int | None = None
    """Number of processes, 1 if None; on a cluster, most tasks at the same time."""
    address: str = "auto"
    """Of the Ray cluster."""

    @property
    def is_local(self) -> bool:
        """Whether this machine makes the cells."""
        return self.on == "local"

    def check(self, plan: Plan, out: Path, with_memory: bool = True) -> None:
        """Check that the engine is there and has the resources that a plan needs.

        Args:
            plan: what would be made.
            out: folder of the run.
            with_memory: whether its models must fit into the memory given.

        Raises:
            InputError: something is missing.
        """
        if self.on != "ray" and self.address != "auto":
            raise InputError(
                f"address {self.address!r} is that of a Ray cluster: give it with --on ray only"
            )
        if with_memory:
            from elusive.evaluate.checks.memory import check_memory

            check_memory(plan, on_this_machine=self.is_local)
        if self.is_local:
            return
        cluster = self._open_cluster(out)
        kinds = [
            choose_resources(plan, job, cell) for job in list_jobs(plan) for cell in (True, False)
        ]
        cluster.check(dict.fromkeys(kinds))

    def make_all(self, run: RunFolder, todo: list[Job], shown: str = "cells") -> None:
        """Make the cells that a folder lacks; those that fail are recorded in its folder `failed`.

        Args:
            run: folder of the cells.
            todo: the cells.
            shown: name of the progress bar.

        Raises:
            InputError: the cluster cannot be reached or refuses the tasks.
            OSError: the disk is full.
        """
        if self.is_local:
            make_locally(run, todo, self.jobs or 1, shown)
        else:
            make_on_cluster(self._open_cluster(run.out), run, todo, shown)

    def _open_cluster(self, out: Path) -> Cluster:
        if self.on == "slurm":
            return SlurmCluster(out, self.jobs)
        return RayCluster(out, self.jobs, self.address)


LOCAL = Engine()
