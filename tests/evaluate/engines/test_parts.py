"""Shards that several tasks of this machine write are those of one process."""

import json
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
from commands import line_of_error, run
from grids import NUM_SHARDS, read_tables, write_people
from shared_parts import count_part, write_part

from elusive.common.dataset.shards import PARAMETERS, PROGRESS
from elusive.common.dataset.shared_work import SharedWork
from elusive.common.errors import InputError
from elusive.evaluate.engines import cluster
from elusive.evaluate.engines.cluster import TaskState
from elusive.evaluate.engines.parts import (
    PartTask,
    find_task_folder,
    list_part_tasks,
    write_in_processes,
    write_on_cluster,
)
from elusive.evaluate.engines.resources import Resources
from elusive.evaluate.engines.slurm import MOST_IDLE_LIMITS, CheckpointedTask


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> Path:
    return write_people(tmp_path_factory.mktemp("people") / "data")


def test_two_tasks_write_the_training_text_of_one_process(people, tmp_path):
    command = ("augment", people, "--method", "random", "--copies", 1)
    assert run(*command, "--out", tmp_path / "one").exit_code == 0
    done = run(*command, "--tasks", 2, "--out", tmp_path / "two")
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "two" / "texts").glob("*.arrow"))) == NUM_SHARDS
    assert read_tables(tmp_path / "two") == read_tables(tmp_path / "one")


def test_two_tasks_write_the_people_of_one_process(tmp_path):
    command = ("biogen", "--people", 40_000, "--fields", "company", "--middle-names")
    assert run(*command, "--out", tmp_path / "one").exit_code == 0
    assert run(*command, "--tasks", 2, "--out", tmp_path / "two").exit_code == 0
    assert len(list((tmp_path / "two" / "corpus").glob("*.arrow"))) == 2
    assert read_tables(tmp_path / "two") == read_tables(tmp_path / "one")


def build_work(out: Path) -> SharedWork:
    (out / PROGRESS).mkdir()
    (out / PROGRESS / PARAMETERS).touch()
    return SharedWork(out, "shard", partial(write_part, out), partial(count_part, out))


def test_an_error_in_a_process_is_that_of_the_command_and_the_rest_stays(tmp_path):
    work = build_work(tmp_path)
    (tmp_path / "broken").touch()
    with pytest.raises(InputError, match="this part is broken"):
        write_in_processes(work, 2)
    assert [work.count_missing(number, 2) for number in range(2)] == [0, 1]
    (tmp_path / "broken").unlink()
    write_in_processes(work, 2)
    assert [work.count_missing(number, 2) for number in range(2)] == [0, 0]


class Instant:
    """A cluster whose tasks have ended when they are submitted."""

    def __init__(self) -> None:
        self.submitted: list[str] = []
        self.running: dict[str, TaskState] = {}
        self.is_closed = False

    def check(self, resources) -> None: ...

    def submit(self, tasks) -> None:
        for task in tasks:
            self.submitted.append(task.name)
            task.make()

    def find_states(self) -> dict[str, TaskState]:
        return self.running | dict.fromkeys(self.submitted, TaskState(False))

    def describe_running(self) -> str:
        return "end them by hand"

    def close(self) -> None:
        self.is_closed = True


def test_what_fails_on_a_cluster_is_one_line_and_is_made_when_the_command_is_repeated(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(cluster, "POLL_SECONDS", 0)
    work, here = build_work(tmp_path), Instant()
    find_task_folder(tmp_path).mkdir()
    (tmp_path / "broken").touch()
    tasks = list_part_tasks(work, 3, Resources())
    with pytest.raises(InputError, match=r"1 of 3 tasks failed \(this part is broken\): see "):
        write_on_cluster(here, tasks)
    assert here.is_closed
    (record,) = (find_task_folder(tmp_path) / "failed").glob("*.json")
    assert json.loads(record.read_text())["cell"] == "part-1-of-3"
    (tmp_path / "broken").unlink()
    write_on_cluster(here, tasks)
    assert here.submitted == [f"part-{number}-of-3" for number in (0, 1, 2, 1)]
    assert not record.exists()


@pytest.mark.skipif(find_spec("submitit") is None, reason="pip install 'elusive[slurm]'")
def test_a_part_that_finishes_shards_within_its_time_limits_is_not_given_up(tmp_path):
    missing = list(range(9))
    work = SharedWork(tmp_path, "shard", lambda *part: None, lambda *part: len(missing))
    task = PartTask(work, 0, 1, tmp_path, Resources(minutes=1))
    find_task_folder(tmp_path).mkdir(parents=True)
    call = CheckpointedTask(task, task.measure_progress())
    for _ in range(8):
        missing.pop()
        call = call.checkpoint().function
    assert call.idle == 0
    for _ in range(MOST_IDLE_LIMITS - 1):
        call = call.checkpoint().function
    with pytest.raises(SystemExit):
        call.checkpoint()
    (record,) = (find_task_folder(tmp_path) / "failed").glob("*.json")
    assert "saved nothing new: raise resources.minutes above 1" in record.read_text()


def test_tasks_of_another_number_are_not_started_beside_those_at_work(tmp_path):
    work, here = build_work(tmp_path), Instant()
    here.running = {"part-0-of-2": TaskState(True)}
    with pytest.raises(InputError, match="rerun with --tasks 2; end them by hand"):
        write_on_cluster(here, list_part_tasks(work, 3, Resources()))
    assert here.submitted == []


def test_a_machine_without_the_folder_and_a_finished_folder_are_refused(tmp_path):
    work = SharedWork(
        tmp_path, "shard", partial(write_part, tmp_path), partial(count_part, tmp_path)
    )
    with pytest.raises(InputError, match="choose an --out that all nodes share"):
        PartTask(work, 0, 1, tmp_path, Resources()).make()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_another_engine_works_on_is_refused(people, tmp_path, capsys):
    jobs = find_task_folder(tmp_path / "out") / "jobs"
    jobs.mkdir(parents=True)
    (jobs / "slurm-1-elusive-x.json").touch()
    command = ("augment", people, "--method", "random", "--out", tmp_path / "out")
    line = line_of_error(capsys, *command)
    assert "given tasks to slurm: rerun it with --on slurm" in line
    assert "rerun it with --on slurm" in line_of_error(capsys, *command, "--tasks", 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--set", "resources.gpus=1"), "needs a cluster: add --on slurm or --on ray"),
        (("--set", "resource.gpus=1", "--on", "ray"), "did you mean 'resources'"),
        (("--set", "resources.cpus=0", "--on", "ray"), "greater than or equal to 1 (got 0)"),
        (("--address", "here:1", "--tasks", 2), "give it with --on ray only"),
    ],
)
def test_wrong_options_are_one_line_before_anything_is_written(
    options, message, people, tmp_path, capsys
):
    command = ("augment", people, "--method", "random", "--out", tmp_path / "out")
    assert message in line_of_error(capsys, *command, *options)
    assert not (tmp_path / "out").exists()
