"""Tasks as job arrays of Slurm, through submitit."""

import json
import re
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

from elusive.common.errors import InputError
from elusive.common.folders import write_atomically
from elusive.evaluate.engines.cluster import Task, TaskState
from elusive.evaluate.engines.failures import Failure, print_warning, record_failure
from elusive.evaluate.engines.resources import Resources

ALIVE = {
    *("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING"),
    *("REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING", "STAGE_OUT", "SPECIAL_EXIT"),
}
HOPELESS = {"OUT_OF_MEMORY", "CANCELLED", "DEADLINE"}
NEVER = re.compile(r"Partition(Config|NodeLimit|TimeLimit)|BadConstraints|[Aa]ccount |Invalid")
"""Reasons for which a job waits in vain."""
WARNING_SECONDS = 90
"""How long before its time limit a task hears of it; less if the limit is below 18 minutes."""
RESOLUTION_SECONDS = 60
"""How much earlier Slurm may say so."""
MOST_IDLE_LIMITS = 3
"""Time limits in a row that a task may reach without saving anything new."""
FIELDS = "%A|%F|%K|%j|%T|%r"
"""What squeue prints: job, array, index in the array, name, state, reason."""
ListedJob = tuple[str, str, str]
"""What is known of a job: its id for logs, its state, and the reason for that."""
UNKNOWN: ListedJob = ("", "UNKNOWN", "")
"""A job that an answer of Slurm does not name."""
SILENT: ListedJob = ("", "PENDING", "")
"""A job that the last answer does not name, while Slurm does not answer: it may well be alive."""


class SlurmCluster:
    """The Slurm of this machine.

    What was submitted is written in the folder `jobs` before Slurm hears of it, under a
    name that Slurm keeps, so that a killed command's jobs are found again whenever it was killed.

    Args:
        out: folder for records and logs, such as that of a run.
        parallel: most tasks of an array that run at the same time; None leaves it to Slurm.

    Raises:
        InputError: submitit or Slurm is not installed.
    """

    def __init__(self, out: Path, parallel: int | None = None) -> None:
        try:
            import submitit  # noqa: F401
        except ImportError:
            raise InputError(
                "--on slurm needs submitit: pip install submitit, or leave out --on"
            ) from None
        if not shutil.which("sbatch") or not shutil.which("squeue"):
            raise InputError(
                "--on slurm needs Slurm's commands sbatch and squeue, which this machine lacks: "
                "use a login node of the cluster, or leave out --on"
            )
        self.out, self.parallel = out.resolve(), parallel
        self.records, self.logs = self.out / "jobs", self.out / "logs"
        self._last: dict[tuple[str, int], ListedJob] = {}

    def check(self, resources: Iterable[Resources]) -> None:
        """Raise InputError if Slurm cannot be reached or would refuse the resources."""
        _ask("squeue", "--noheader", "--states=RUNNING", "--me")
        for wanted in resources:
            options = [f"--time={wanted.minutes}", f"--cpus-per-task={wanted.cpus}"]
            if wanted.gpus:
                options.append(f"--gpus-per-node={wanted.gpus}")
            if wanted.memory_gib:
                options.append(f"--mem={int(wanted.memory_gib * 1024)}M")
            options += [f"--partition={wanted.partition}"] if wanted.partition else []
            options += [f"--account={wanted.account}"] if wanted.account else []
            tried = _run("sbatch", "--test-only", *options, "--wrap=true")
            if tried.returncode:
                raise _build_refusal(wanted, tried.stderr)

    def submit(self, tasks: Sequence[Task]) -> None:
        """Submit one array per kind of resources, or more where arrays may not be that long."""
        longest = _read_longest_array()
        kinds: dict[Resources, list[Task]] = {}
        for task in tasks:
            kinds.setdefault(task.resources, []).append(task)
        for alike in kinds.values():
            for start in range(0, len(alike), longest):
                self._submit_array(alike[start : start + longest])

    def _submit_array(self, tasks: list[Task]) -> None:
        import submitit
        from submitit.core.utils import FailedJobError

        resources = tasks[0].resources
        name = f"elusive-{uuid.uuid4().hex[:10]}"
        self.records.mkdir(parents=True, exist_ok=True)
        record = self.records / f"slurm-{time.time_ns()}-{name}.json"
        content = {"name": name, "tasks": [task.name for task in tasks]}
        write_atomically(record, json.dumps(content, indent=2) + "\n")
        executor = submitit.SlurmExecutor(self.logs, max_num_timeout=10**6)
        executor.update_parameters(**self._build_parameters(name, resources))
        calls = [CheckpointedTask(task.save_often(), task.measure_progress()) for task in tasks]
        try:
            with redirect_stderr(StringIO()):  # submitit prints what the exception says as well
                jobs = executor.submit_array(calls)
        except FailedJobError as error:
            record.unlink()
            raise _build_refusal(resources, str(error)) from None
        content["job"] = jobs[0].job_id.split("_")[0]
        write_atomically(record, json.dumps(content, indent=2) + "\n")

    def _build_parameters(self, name: str, resources: Resources) -> dict[str, Any]:
        parameters = {
            "job_name": name,
            "time": resources.minutes,
            "cpus_per_task": resources.cpus,
            "gpus_per_node": resources.gpus or None,
            "mem": f"{int(resources.memory_gib * 1024)}MB" if resources.memory_gib else None,
            "partition": resources.partition,
            "account": resources.account,
            "setup": list(resources.setup) or None,
            "signal_delay_s": choose_warning_seconds(resources),
            "srun_args": [f"--cpus-per-task={resources.cpus}"],
            "additional_parameters": {"requeue": True},
        }
        if self.parallel:
            parameters["array_parallelism"] = self.parallel
        return {key: value for key, value in parameters.items() if value is not None}

    def find_states(self) -> dict[str, TaskState]:
        """Return the states of all tasks that were submitted for this folder, the latest of each.

        Raises:
            InputError: tasks can never start, or their machine does not share the run's folder.
        """
        records, states = list(self._read_records()), {}
        listed = self._list_jobs(records) if records else {}
        for record in records:
            for index, name in enumerate(record["tasks"]):
                job, state, reason = listed.get((record["name"], index), UNKNOWN)
                if NEVER.search(f"{reason} ") and state in ("PENDING", "FAILED"):
                    self._cancel()
                    raise InputError(
                        f"Slurm cannot start the jobs ({reason}): change resources, in the plan or "
                        "with --set resources.partition=NAME"
                    )
                states[name] = self._build_state(job, state)
        return states

    def _build_state(self, job: str, state: str) -> TaskState:
        if state in ALIVE:
            return TaskState(True)
        if state == "COMPLETED":
            return TaskState(False)
        log = self.logs / f"{job}_0_log.err"
        if job and state == "FAILED" and not _exists_by_now(log):
            self._cancel()
            raise InputError(
                f"job {job} could not write its log to {self.logs}: choose an --out on a file "
                "system that all nodes share"
            )
        reason = f"Slurm says {state}; see {log}" if job else "Slurm does not know its job any more"
        return TaskState(False, reason, state in HOPELESS)

    def _list_jobs(self, records: list[dict[str, Any]]) -> dict[tuple[str, int], ListedJob]:
        """List jobs by name and index: as Slurm says, or as it said last while it is silent."""
        names = [record["name"] for record in records]
        command = ("squeue", "--noheader", "--array", "--me", "--states=all", f"--format={FIELDS}")
        try:
            lines = _ask(*command, f"--name={','.join(names)}").splitlines()
        except InputError as error:  # the controller is away for a moment
            print_warning(f"{error}; waiting for Slurm to answer again")
            keys = [(record["name"], i) for record in records for i in range(len(record["tasks"]))]
            return {key: self._last.get(key, SILENT) for key in keys}
        jobs = {}
        for line in lines:
            job, array, index, name, state, reason = line.split("|", 5)
            number = int(index) if index.isdigit() else 0
            jobs[name, number] = (f"{array}_{index}" if index.isdigit() else job, state, reason)
        self._last = jobs
        return jobs

    def _read_records(self) -> Iterator[dict[str, Any]]:
        """Read what was submitted, in that order."""
        for path in sorted(self.records.glob("slurm-*.json")):
            yield json.loads(path.read_text(encoding="utf-8"))

    def _cancel(self) -> None:
        for record in self._read_records():
            subprocess.run(["scancel", "--me", f"--name={record['name']}"], check=False)
        self.close()

    def describe_running(self) -> str:
        """Say how to wait again for the jobs, and how to end them."""
        names = ",".join(record["name"] for record in self._read_records())
        return f"jobs go on: rerun to wait for them, or end them with scancel --me --name={names}"

    def close(self) -> None:
        """Forget the jobs; their logs stay."""
        for path in [*self.records.glob("slurm-*.json"), *self.logs.glob("*.pkl")]:
            path.unlink(missing_ok=True)


class CheckpointedTask:
    """A task that Slurm may end early: it is queued again and resumes.

    Args:
        task: the task.
        saved: how far it had come when it last reached its time limit.
        idle: how many limits in a row it reached without saving anything new.
    """

    def __init__(self, task: Task, saved: int = 0, idle: int = 0) -> None:
        self.task, self.saved, self.idle = task, saved, idle
        self.start = 0.0

    def __call__(self) -> None:
        """Make the task."""
        self.start = time.monotonic()
        self.task.make()

    def checkpoint(self) -> Any:
        """Return what to run when the job is queued again.

        submitit calls this when a job is preempted or nears its time limit. A task that reaches
        its limit again and again and saves nothing new would never finish, so it fails.

        Raises:
            SystemExit: it has failed; submitit's own error would be taken for one of training.
        """
        from submitit.helpers import DelayedSubmission

        resources, saved = self.task.resources, self.task.measure_progress()
        limit = 60 * resources.minutes - choose_warning_seconds(resources) - RESOLUTION_SECONDS
        is_timeout = time.monotonic() - self.start >= limit
        idle = 0 if saved > self.saved else self.idle + is_timeout
        if idle < MOST_IDLE_LIMITS:
            return DelayedSubmission(CheckpointedTask(self.task, saved, idle))
        reason = (
            f"it reached its time limit {idle} times and saved nothing new: raise "
            f"resources.minutes above {resources.minutes}"
        )
        record_failure(self.task.out, Failure(self.task.failure_name, reason, ""))
        raise SystemExit(1)


def choose_warning_seconds(resources: Resources) -> int:
    """Choose how long before its time limit a task hears of it."""
    return min(WARNING_SECONDS, 5 * resources.minutes)


def _exists_by_now(path: Path) -> bool:
    """Return whether a file is there; a change of its folder makes network file systems look."""
    draft = path.with_name(f".{uuid.uuid4().hex[:8]}")
    draft.touch()
    draft.unlink()
    return path.exists()


def _build_refusal(resources: Resources, answer: str) -> InputError:
    """Build the error for resources that Slurm refuses, from the last line of its answer."""
    reason = answer.strip().splitlines()[-1] if answer.strip() else "no reason given"
    reason = re.sub(r"^(\w+: error: )?([\w ]+ fail\w+: )?", "", reason)
    return InputError(
        f"Slurm refuses jobs with {resources.render()} ({reason}): change resources, in the plan "
        "or with --set resources.partition=NAME"
    )


def _read_longest_array() -> int:
    """Read how many jobs an array may have."""
    settings = _ask("scontrol", "show", "config")
    limit = re.search(r"^MaxArraySize\s*=\s*(\d+)", settings, re.MULTILINE)
    return max(1, int(limit[1])) if limit else 1000


def _ask(*command: str) -> str:
    """Return what a command of Slurm prints.

    Raises:
        InputError: it failed; the message is its last line.
    """
    done = _run(*command)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise InputError(f"Slurm cannot be reached ({lines[-1]}): check that it runs, with sinfo")
    return done.stdout


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)
