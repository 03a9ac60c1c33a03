"""Tasks on a Ray cluster, owned by an actor that outlives the command."""

import importlib.metadata
import json
import logging
import os
import socket
import sys
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from threading import Thread
from typing import Any

from elusive.common.errors import InputError
from elusive.common.folders import write_atomically
from elusive.evaluate.engines.cluster import Task, TaskState
from elusive.evaluate.engines.failures import print_warning
from elusive.evaluate.engines.node_probe import probe_node
from elusive.evaluate.engines.resources import Resources

NAMESPACE = "elusive"
MOST_RETRIES = 3
"""How often Ray starts a task again whose node or process is lost."""
ANSWER_SECONDS = 60.0
PROBE_SECONDS = 300.0
"""How long a node may take to start its first task; Ray starts a process for it."""
PASSED_ON = ("ELUSIVE_CACHE", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE")
"""Environment variables of the command that tasks see as well."""


class RayCluster:
    """A Ray cluster.

    Every submission has a detached actor, which owns a Ray task for each of our tasks and is
    started again if its node is lost. Its name is written in the folder `jobs`, so that
    a later command finds it.

    Args:
        out: folder for records and logs, such as that of a run.
        parallel: most tasks that run at the same time; None leaves it to Ray.
        address: of the cluster.

    Raises:
        InputError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, out: Path, parallel: int | None = None, address: str = "auto") -> None:
        try:
            import ray
        except ImportError:
            raise InputError("--on ray needs Ray: pip install ray, or leave out --on") from None
        self.out, self.parallel, self.address = out.resolve(), parallel, address
        self.records = self.out / "jobs"
        self._last: dict[str, dict[str, TaskState]] = {}
        if ray.is_initialized():
            return
        try:
            _check_port(address)
            ray.init(address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(
                f"no Ray cluster at {address} ({reason}): start one with `ray start --head`, or "
                "name its address with --address HOST:6379"
            ) from None

    def check(self, resources: Iterable[Resources]) -> None:
        """Raise InputError if no node has the resources, or a node cannot make our tasks."""
        import ray

        nodes = [node for node in ray.nodes() if node["Alive"]]
        for wanted in resources:
            needs = {_RAY_NAMES[name]: value for name, value in _collect_needs(wanted).items()}
            if not any(
                all(node["Resources"].get(name, 0) >= value for name, value in needs.items())
                for node in nodes
            ):
                raise InputError(
                    f"no node of the Ray cluster has {wanted.render()}: change resources in the "
                    "plan, or start such a node"
                )

    def check_nodes(self, shared: Path) -> None:
        """Raise InputError if a node lacks a file of the folder or has another version."""
        import ray
        from ray.exceptions import GetTimeoutError, RayError
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        probe = ray.remote(num_cpus=0, max_retries=0)(probe_node)
        answers = []
        for node in ray.nodes():
            if node["Alive"]:
                strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                answer = probe.options(scheduling_strategy=strategy).remote(str(shared))
                answers.append((node["NodeID"], node["NodeManagerHostname"], answer))
        own = importlib.metadata.version("elusive")
        for node_id, name, answer in answers:
            try:
                has_file, version = ray.get(answer, timeout=PROBE_SECONDS)
            except GetTimeoutError:
                raise InputError(
                    f"node {name} starts no task within {PROBE_SECONDS:.0f} seconds: check it, "
                    "with `ray status`"
                ) from None
            except (RayError, ImportError) as error:
                if node_id not in {node["NodeID"] for node in ray.nodes() if node["Alive"]}:
                    continue  # it was lost just now; Ray lists lost nodes for some seconds
                reason = str(error).strip().splitlines()[-1]
                raise InputError(
                    f"node {name} cannot run our tasks ({reason}): install elusive {own} there"
                ) from None
            if version != own:
                raise InputError(
                    f"node {name} has elusive {version}, this machine {own}: install the same on "
                    "all nodes"
                )
            if not has_file:
                raise InputError(
                    f"node {name} has no {shared.parent}: choose an --out on a file system that "
                    "all nodes share"
                )

    def submit(self, tasks: Sequence[Task]) -> None:
        """Start an actor that owns the tasks."""
        import ray

        self.check_nodes(tasks[0].shared_file)
        name = f"elusive-{uuid.uuid4().hex[:10]}"
        self.records.mkdir(parents=True, exist_ok=True)
        record = self.records / f"ray-{time.time_ns()}-{name}.json"
        content = {"name": name, "tasks": [task.name for task in tasks]}
        write_atomically(record, json.dumps(content, indent=2) + "\n")
        options = {"name": name, "lifetime": "detached", "max_restarts": -1, "num_cpus": 0}
        actor = ray.remote(_Owner).options(namespace=NAMESPACE, **options)
        actor.remote(
            [*tasks], self.parallel, {k: os.environ[k] for k in PASSED_ON if k in os.environ}
        )

    def find_states(self) -> dict[str, TaskState]:
        """Return the states of all tasks that were submitted for this folder."""
        states: dict[str, TaskState] = {}
        for record in self._read_records():
            states |= self._ask_owner(record)
        return states

    def _ask_owner(self, record: dict[str, Any]) -> dict[str, TaskState]:
        import ray
        from ray.exceptions import ActorDiedError, RayError

        try:
            owner = ray.get_actor(record["name"], NAMESPACE)
            answers: Any = ray.get(owner.poll.remote(), timeout=ANSWER_SECONDS)
        except (ValueError, ActorDiedError):
            lost = TaskState(False, "Ray does not know it any more")
            return dict.fromkeys(record["tasks"], lost)
        except (RayError, ConnectionError) as error:  # it is being started again
            print_warning(f"Ray does not answer ({type(error).__name__}); waiting")
            alive = dict.fromkeys(record["tasks"], TaskState(True))
            return self._last.get(record["name"], alive)
        states = {name: TaskState(reason is None, reason or "") for name, reason in answers.items()}
        self._last[record["name"]] = states
        return states

    def _read_records(self) -> Iterator[dict[str, Any]]:
        """Read what was submitted, in that order."""
        for path in sorted(self.records.glob("ray-*.json")):
            yield json.loads(path.read_text(encoding="utf-8"))

    def describe_running(self) -> str:
        """Say how to wait again for the tasks, and how to end them."""
        return (
            "tasks go on: rerun to wait for them; they end with the Ray cluster, or with "
            f"`elusive`'s actors {', '.join(record['name'] for record in self._read_records())}"
        )

    def close(self) -> None:
        """End the actors, whose tasks have all ended."""
        import ray

        for record in self._read_records():
            try:
                ray.kill(ray.get_actor(record["name"], NAMESPACE))
            except ValueError:  # it is gone
                continue
        for path in self.records.glob("ray-*.json"):
            path.unlink(missing_ok=True)


def _check_port(address: str) -> None:
    """Raise OSError at once if nothing listens at an address; Ray tries for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), ANSWER_SECONDS).close()


_RAY_NAMES = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}


def _collect_needs(resources: Resources) -> dict[str, float]:
    """Collect what Ray sets aside for a task; memory in bytes."""
    needs: dict[str, float] = {"num_cpus": resources.cpus}
    if resources.gpus:
        needs["num_gpus"] = resources.gpus
    if resources.memory_gib:
        needs["memory"] = int(resources.memory_gib * 2**30)
    return needs


def _make(task: Task, environment: dict[str, str]) -> None:
    """Make a task on a node; what it prints goes into a log of the run."""
    os.environ.update(environment)
    log = task.out / "logs" / f"ray-{task.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        print(f"on {os.uname().nodename}, process {os.getpid()}, with {sys.executable}", flush=True)
        task.make()


class _Owner:
    """An actor that starts tasks and knows how they ended.

    Args:
        tasks: to start; those that an earlier life of this actor has made end at once.
        parallel: most of them at the same time; None for all.
        environment: variables that they see.
    """

    def __init__(
        self, tasks: list[Task], parallel: int | None, environment: dict[str, str]
    ) -> None:
        import ray

        self._make = ray.remote(max_calls=1, max_retries=MOST_RETRIES)(_make)
        self._environment, self._parallel = environment, parallel
        self._states: dict[str, str | None] = dict.fromkeys(task.name for task in tasks)
        Thread(target=self._work, args=(deque(tasks),), daemon=True).start()

    def _work(self, waiting: deque[Task]) -> None:
        """Start tasks as others end, until all have ended."""
        try:
            self._start_all(waiting)
        except Exception as error:  # say so, rather than let the command wait for ever
            for name in [name for name, state in self._states.items() if state is None]:
                self._states[name] = f"{type(error).__name__}: {error}"

    def _start_all(self, waiting: deque[Task]) -> None:
        import ray
        from ray.exceptions import RayError

        running: dict[Any, str] = {}
        while waiting or running:
            while waiting and (not self._parallel or len(running) < self._parallel):
                task = waiting.popleft()
                options = {"name": task.name, **_collect_needs(task.resources)}
                started = self._make.options(**options).remote(task, self._environment)
                running[started] = task.name
            for reference in ray.wait([*running], num_returns=1)[0]:
                name = running.pop(reference)
                try:
                    ray.get(reference)
                    self._states[name] = ""
                except RayError as error:
                    self._states[name] = " ".join(str(error).split())[-300:]

    def poll(self) -> dict[str, str | None]:
        """Return why each task ended, "" if it ended well, None if it has not ended."""
        return dict(self._states)
