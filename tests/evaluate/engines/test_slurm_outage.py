"""A Slurm that does not answer for a while: tasks wait, and none is submitted twice."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from elusive.evaluate.engines import cluster as cluster_module
from elusive.evaluate.engines.cluster import complete_tasks
from elusive.evaluate.engines.failures import read_failure
from elusive.evaluate.engines.resources import Resources
from elusive.evaluate.engines.slurm import SlurmCluster

pytest.importorskip("submitit", reason="pip install submitit")

SQUEUE = """#!/bin/sh
cd {folder}
echo asked >> asked
[ -e answer ] && exec cat answer
echo "slurm_load_jobs error: Unable to contact slurm controller" >&2
exit 1
"""
SBATCH = """#!/bin/sh
echo "$@" >> {folder}/submitted
echo "Submitted batch job 8"
"""
SCONTROL = """#!/bin/sh
echo "MaxArraySize = 100"
"""
NAME = "elusive-0123456789"


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the commands of a Slurm, which says what stands in its file `answer`."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, script in (("squeue", SQUEUE), ("sbatch", SBATCH), ("scontrol", SCONTROL)):
        (folder / name).write_text(script.format(folder=folder))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder


def answer(answers: Path, *states: str) -> None:
    """Let Slurm name the first jobs of the array, with these states."""
    lines = [f"7|7|{index}|{NAME}|{state}|None\n" for index, state in enumerate(states)]
    (answers / "answer").write_text("".join(lines))


def fall_silent(answers: Path) -> None:
    (answers / "answer").unlink()


@dataclass(frozen=True)
class FileTask:
    """A task that is made when its file is there."""

    name: str
    out: Path
    unit: str = "file"
    resources: Resources = field(default_factory=Resources)

    @property
    def failure_name(self) -> str:
        return self.name

    @property
    def shared_file(self) -> Path:
        return self.out

    def make(self) -> None:
        (self.out / self.name).touch()

    def count_missing(self) -> int:
        return int(not (self.out / self.name).exists())

    def save_often(self) -> "FileTask":
        return self

    def measure_progress(self) -> int:
        return 0


def submit_before(out: Path, *names: str) -> SlurmCluster:
    """The cluster of a command that starts again after it has submitted tasks."""
    cluster = SlurmCluster(out)
    cluster.records.mkdir(parents=True)
    record = {"name": NAME, "tasks": list(names), "job": "7"}
    (cluster.records / f"slurm-1-{NAME}.json").write_text(json.dumps(record))
    return cluster


def list_alive(cluster: SlurmCluster) -> list[str]:
    return [name for name, state in cluster.find_states().items() if state.is_alive]


def test_tasks_are_alive_while_slurm_has_never_answered(answers, tmp_path):
    assert list_alive(submit_before(tmp_path / "out", "a", "b")) == ["a", "b"]


def test_what_slurm_said_last_holds_while_it_is_silent(answers, tmp_path):
    cluster = submit_before(tmp_path / "out", "a", "b", "c")
    answer(answers, "COMPLETED", "RUNNING")
    assert list_alive(cluster) == ["b"]
    fall_silent(answers)
    assert list_alive(cluster) == ["b", "c"], "c may have been submitted since"
    answer(answers)
    assert list_alive(cluster) == []


def test_tasks_are_not_submitted_again_because_slurm_is_silent(answers, tmp_path, monkeypatch):
    out = tmp_path / "out"
    cluster, task = submit_before(out, "a"), FileTask("a", out)
    polls = []

    def pass_time(seconds: float) -> None:
        polls.append(seconds)
        if len(polls) == 6:
            task.make()

    monkeypatch.setattr(cluster_module.time, "sleep", pass_time)
    complete_tasks(cluster, [task], "files")
    assert read_failure(out, "a") is None
    assert not (answers / "submitted").exists()
    assert len((answers / "asked").read_text().splitlines()) == 1 + 6
