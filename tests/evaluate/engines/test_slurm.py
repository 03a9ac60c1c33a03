"""Grids on a real Slurm of two nodes: limits, lost nodes, restarts and refusals."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import line_of_error, run, write_grid_plan
from grids import (
    PATIENCE,
    end_started,
    find_checkpoints,
    find_processes,
    kill,
    list_hidden,
    read_failures,
    read_outcomes,
    read_results,
    read_tables,
    start_command,
    start_run,
    wait_until,
    write_long_plan,
    write_people,
)
from slurm_here import NODES, ask, find_missing, kill_node, open_slurm, start_node

from elusive.evaluate.engines.parts import find_task_folder
from elusive.evaluate.engines.slurm import CheckpointedTask
from elusive.evaluate.engines.tasks import RunTask
from elusive.evaluate.jobs import list_jobs
from elusive.evaluate.plans import load_plan

pytest.importorskip("submitit", reason="pip install submitit")
pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(find_missing() is not None, reason=str(find_missing())),
]
ON = ("--on", "slurm")


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    yield
    end_started()


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Folder of a Slurm that runs."""
    folder = tmp_path_factory.mktemp("slurm") / "daemons"
    with open_slurm(folder):
        yield folder


def read_records(out: Path) -> list[dict]:
    """What was submitted for a run that has not ended."""
    return [json.loads(path.read_text()) for path in out.glob("jobs/slurm-*.json")]


def count_submissions(out: Path, arm: str) -> int:
    """How often an arm's cell was submitted."""
    names = [name for record in read_records(out) for name in record["tasks"]]
    return sum(name.startswith(f"{arm}-") for name in names)


def find_index(out: Path, arm: str) -> tuple[str, str]:
    """Number of the array of an arm's cell, and its index there."""
    for record in read_records(out):
        for index, name in enumerate(record["tasks"]):
            if name.startswith(f"{arm}-"):
                return record["job"], str(index)
    raise AssertionError(f"{arm} was not submitted")


def find_node(job: tuple[str, str]) -> str:
    return ask("squeue", "-h", "-j", "_".join(job), "-o", "%N").strip()


def test_a_grid_with_a_lost_node_a_time_limit_and_a_restart_equals_a_local_one(
    slurm, tmp_path, model_folder
):
    resources = {"cpus": 2, "minutes": 1, "partition": "short"}
    plan = write_long_plan(tmp_path, model_folder, resources=resources)
    out, local = tmp_path / "out", tmp_path / "local"
    waiting = start_run(plan, out, *ON)
    # 1) A training text's process is killed, so that its task is submitted again.
    wait_until(lambda: list(find_processes({"SLURM_ARRAY_TASK_ID": "0"})), waiting)
    for process in find_processes({"SLURM_ARRAY_TASK_ID": "0"}):
        os.kill(process, signal.SIGKILL)
    # 2) One cell hangs until its time limit; the node of the other one dies.
    wait_until(lambda: find_checkpoints(out, "plain"), waiting)
    job, index = find_index(out, "plain")
    (hanging,) = find_processes({"SLURM_ARRAY_JOB_ID": job, "SLURM_ARRAY_TASK_ID": index})
    os.kill(hanging, signal.SIGSTOP)
    wait_until(lambda: find_checkpoints(out, "random"), waiting)
    node = find_node(find_index(out, "random"))
    assert node in NODES
    assert node != find_node((job, index))
    kill_node(slurm, node)
    # 3) The command that waits is killed and started again.
    assert len(list(out.glob("logs/*_submission.sh"))) >= 4, "an array has at most two jobs"
    kill(waiting)
    shown = out.with_suffix(".txt")
    before = shown.read_text().count("cells:")
    waiting = start_run(plan, out, *ON)
    wait_until(lambda: shown.read_text().count("cells:") > before, waiting)
    assert count_submissions(out, "plain") == 1, "its job was found"
    start_node(node)
    assert waiting.wait(PATIENCE) == 1
    assert "Traceback" not in shown.read_text()
    assert "diverging-seed0 failed: the training loss is" in shown.read_text()
    assert "this job is timed-out" in (out / "logs" / f"{job}_{index}_0_log.err").read_text()
    # 4) Cells, failures and results are those of a local run, and nothing else is left.
    assert run("run", plan, "--out", local).exit_code == 1
    assert len(read_outcomes(local)) == 4
    assert read_outcomes(out) == read_outcomes(local)
    assert read_failures(out) == read_failures(local) != {}
    assert read_results(out) == read_results(local)
    assert not [*out.glob("jobs/*"), *out.glob("locks/*"), *out.glob("logs/*.pkl")]
    assert list_hidden(out) == list_hidden(local)


def test_a_task_that_ends_without_a_result_is_submitted_three_times(slurm, tmp_path, model_folder):
    resources = {"setup": ["echo broken >&2; exit 3"]}
    plan = write_grid_plan(tmp_path, model_folder, seeds=[0], untrained=False, resources=resources)
    out = tmp_path / "out"
    done = run("run", plan, *ON, "--jobs", 1, "--out", out)
    assert done.exit_code == 1
    for arm in ("plain", "random"):
        assert "its task ended: Slurm says FAILED" in read_failures(out)[f"{arm}-seed0"]
    logs = [path.read_text() for path in out.glob("logs/*_log.err")]
    assert len(logs) == 2 * 3
    assert all(log == "broken\n" for log in logs)
    scripts = [path.read_text() for path in out.glob("logs/*_submission.sh")]
    assert all("--array=0-1%1" in script for script in scripts), scripts


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"partition": "nope"}, "Invalid partition name"),
        ({"partition": "closed"}, "account"),
        ({"partition": "short", "minutes": 5}, "PartitionTimeLimit"),
        ({"cpus": 64}, "node configuration is not available"),
        ({"memory_gib": 900}, "node configuration is not available"),
        ({"gpus": 1}, "cpus 2, .*generic resource"),
        ({"memory_gib": 0.1}, "too little for .*llama-0, which needs at least 0.6 GiB"),
    ],
)
def test_resources_that_slurm_refuses_are_named_in_one_line(
    changes, message, slurm, tmp_path, model_folder, capsys
):
    plan = write_grid_plan(tmp_path, model_folder, seeds=[0], resources=changes)
    line = line_of_error(capsys, "run", plan, *ON, "--out", tmp_path / "out")
    assert re.search(message, line), line
    assert "resources" in line
    assert not list(tmp_path.glob("out/jobs/*"))
    assert not ask("squeue", "-h", "--states=PENDING,RUNNING")


def test_a_folder_that_nodes_do_not_share_is_named_in_one_line(slurm, tmp_path, model_folder):
    plan, hidden = write_grid_plan(tmp_path, model_folder, seeds=[0]), tmp_path / "hidden"
    hidden.mkdir()
    code = "from elusive.cli.main import main; main()"
    command = ["mount", "-t", "tmpfs", "none", str(hidden)]
    tried = subprocess.run(["unshare", "--mount", *command], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("no rights to hide a folder from the nodes")
    here = [sys.executable, "-c", code, "run", plan, *ON, "--out", hidden / "out"]
    script = f"{shlex.join(command)} && exec {shlex.join(map(str, here))}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "choose an --out on a file system that all nodes share" in done.stderr.splitlines()[-1]


def test_slurm_that_does_not_answer_is_named_in_one_line(
    tmp_path, model_folder, capsys, monkeypatch
):
    (tmp_path / "slurm.conf").write_text("ClusterName=none\nSlurmctldHost=none(127.0.0.1)\n")
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    plan = write_grid_plan(tmp_path, model_folder, seeds=[0])
    line = line_of_error(capsys, "run", plan, *ON, "--out", tmp_path / "out")
    assert "Slurm cannot be reached" in line
    monkeypatch.setenv("PATH", str(tmp_path))
    line = line_of_error(capsys, "run", plan, *ON, "--out", tmp_path / "out")
    assert "which this machine lacks" in line


def build_task(folder: Path, model_folder, **resources: object) -> RunTask:
    plan = load_plan(write_grid_plan(folder, model_folder, seeds=[0], resources=resources))
    job = next(job for job in list_jobs(plan) if job.arm)
    own = plan.resources.get_for(job.model)
    return RunTask("cell", job, folder / "cells" / "plain", plan, folder, folder, folder, own)


def test_a_task_that_reaches_its_limit_without_progress_fails_in_the_end(tmp_path, model_folder):
    task = build_task(tmp_path, model_folder, minutes=1)
    call, lives = CheckpointedTask(task), 0
    while lives < 9:
        try:
            call, lives = call.checkpoint().function, lives + 1
        except SystemExit:
            break
        if lives == 2:  # progress, after which three limits more are allowed
            saved = tmp_path / "cells" / ".plain.checkpoints" / "cell" / "checkpoint-7"
            saved.mkdir(parents=True)
            (saved / "trainer_state.json").touch()
    assert lives == 2 + 3
    assert "raise resources.minutes above 1" in read_failures(tmp_path)[task.job.name]


def test_preemption_before_the_limit_is_no_lack_of_progress(tmp_path, model_folder):
    call = CheckpointedTask(build_task(tmp_path, model_folder, minutes=60))
    for _ in range(9):
        call.start = time.monotonic()
        call = call.checkpoint().function
    assert not read_failures(tmp_path)


def test_a_task_saves_several_times_before_its_limit(tmp_path, model_folder):
    task = build_task(tmp_path, model_folder, minutes=8)
    assert task.save_often().job.settings.training.checkpoint_minutes == 2
    longer = build_task(tmp_path, model_folder, minutes=600)
    assert longer.save_often().job.settings.training.checkpoint_minutes == 10


def test_shards_that_jobs_write_are_those_of_one_process(slurm, tmp_path):
    command = ("augment", write_people(tmp_path / "people"), "--method", "random", "--copies", 1)
    out, local = tmp_path / "out", tmp_path / "local"
    options = (*ON, "--tasks", 2, "--set", "resources.cpus=1", "--set", "resources.minutes=9")
    cluster = find_task_folder(out)
    waiting = start_command(out, *command, *options)
    # 1) One job's process hangs, the other's is killed, and then the command that waits.
    for task, sign in (("0", signal.SIGSTOP), ("1", signal.SIGKILL)):
        wait_until(lambda task=task: list(find_processes({"SLURM_ARRAY_TASK_ID": task})), waiting)
        for process in find_processes({"SLURM_ARRAY_TASK_ID": task}):
            os.kill(process, sign)
    kill(waiting)
    records = set(cluster.glob("jobs/slurm-*.json"))
    assert len(records) == 1
    # 2) The same command goes on with what is there; another number of tasks is refused.
    others = start_command(out, *command, *ON, "--tasks", 3)
    assert others.wait(PATIENCE) == 2
    assert "rerun with --tasks 2" in out.with_suffix(".txt").read_text().splitlines()[-1]
    for process in find_processes({"SLURM_ARRAY_TASK_ID": "0"}):
        os.kill(process, signal.SIGCONT)
    waiting = start_command(out, *command, *options)
    seen = set()
    wait_until(lambda: seen.update(cluster.glob("jobs/*")) or waiting.poll() is not None)
    assert waiting.returncode == 0, out.with_suffix(".txt").read_text()
    assert "Traceback" not in out.with_suffix(".txt").read_text()
    assert records <= seen
    # 3) Nothing is left but what one process writes.
    assert start_command(local, *command).wait(PATIENCE) == 0
    assert read_tables(out) == read_tables(local)


def test_shards_whose_resources_slurm_refuses_are_one_line(slurm, tmp_path, capsys):
    command = ("biogen", "--people", 9, "--out", tmp_path / "out", *ON)
    line = line_of_error(capsys, *command, "--set", "resources.partition=nope")
    assert "Invalid partition name" in line
    assert not (tmp_path / "out").exists()
