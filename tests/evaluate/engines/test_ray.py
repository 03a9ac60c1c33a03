"""Grids on a real Ray cluster of two nodes: a lost node, a restart, a sweep and refusals."""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from commands import FIELDS, line_of_error, run, write_grid_plan
from grids import (
    PATIENCE,
    end_started,
    find_checkpoints,
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
)

from elusive.evaluate.engines.parts import find_task_folder

ray = pytest.importorskip("ray", reason="pip install ray")
pytestmark = pytest.mark.ray
NODE = {"num_cpus": 2, "object_store_memory": 100 << 20, "include_dashboard": False}
RESOURCES = {"cpus": 2}


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    yield
    end_started()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes, each with room for one cell."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    cluster.add_node(num_cpus=2, object_store_memory=100 << 20)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module")
def on_ray(cluster) -> tuple[str, ...]:
    return ("--on", "ray", "--address", cluster.address)


def test_a_grid_with_a_lost_node_and_a_restart_equals_a_local_one(
    cluster, on_ray, tmp_path, model_folder
):
    plan = write_long_plan(tmp_path, model_folder, resources=RESOURCES)
    out, local = tmp_path / "out", tmp_path / "local"
    waiting = start_run(plan, out, *on_ray)
    # 1) When both cells have started and one is being trained, the command is killed, then a node.
    arms = ("plain", "random")
    wait_until(
        lambda: (
            all([*out.glob(f"logs/ray-{arm}-*.log")] for arm in arms)
            and any(find_checkpoints(out, arm) for arm in arms)
        ),
        waiting,
    )
    kill(waiting)
    (node,) = cluster.worker_nodes
    cluster.remove_node(node, allow_graceful=False)
    # 2) The command is started again, and finds its tasks.
    owners = sorted(out.glob("jobs/ray-*.json"))
    assert len(owners) == 2, "one for texts, one for cells"
    waiting = start_run(plan, out, *on_ray)
    seen = set(owners)
    wait_until(lambda: seen.update(out.glob("jobs/ray-*.json")) or waiting.poll() is not None)
    shown = out.with_suffix(".txt").read_text()
    assert waiting.returncode == 1, shown
    assert "Traceback" not in shown
    # An owner that loses its own node may still say that its task was lost, before Ray moves it.
    assert len(seen - set(owners)) <= 1, "what Ray moves is not submitted again"
    # 3) Cells, failures and results are those of a local run, and nothing else is left.
    assert run("run", plan, "--out", local).exit_code == 1
    assert len(read_outcomes(local)) == 4
    assert read_outcomes(out) == read_outcomes(local)
    assert read_failures(out) == read_failures(local) != {}
    assert read_results(out) == read_results(local)
    logs = [path.read_text() for path in out.glob("logs/ray-*.log")]
    assert len(logs) == 5, "two texts and three cells"
    # A text whose result was on the lost node may be started again, too, and is found finished.
    cells = [
        path.read_text()
        for path in out.glob("logs/ray-*.log")
        if not path.name.startswith("ray-text-")
    ]
    starts = sum(log.startswith("on ") + log.count("\non ") for log in cells)
    assert 3 < starts <= 6, "the cells that were lost with their node or owner were started again"
    assert not [*out.glob("jobs/*"), *out.glob("locks/*")]
    assert list_hidden(out) == list_hidden(local)


def test_the_trials_of_a_sweep_are_made_on_ray(on_ray, tmp_path, model_folder):
    dataset = {"people": 4, "num_shot_people": 8, "dev_rate": 0.5, "fields": FIELDS}
    sweep = {"learning_rate": [1e-3]}
    options = {"seeds": [0], "untrained": False, "resources": {"cpus": 1}}
    plan = write_grid_plan(
        tmp_path, model_folder, dataset=dataset, arms=["plain"], sweep=sweep, **options
    )
    out, local = tmp_path / "out", tmp_path / "local"
    done = run("run", plan, *on_ray, "--jobs", 2, "--out", out)
    assert done.exit_code == 0, done.output
    assert run("run", plan, "--out", local).exit_code == 0
    assert json.loads((out / "sweep.json").read_text()) == json.loads(
        (local / "sweep.json").read_text()
    )
    assert read_outcomes(out / "sweep") == read_outcomes(local / "sweep")
    assert len(read_outcomes(out / "sweep")) == 4, "answers and adapters of two seeds"
    assert read_outcomes(out) == read_outcomes(local)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gpus": 1}, "no node of the Ray cluster has gpus 1, cpus 2"),
        ({"cpus": 64}, "no node of the Ray cluster has gpus 0, cpus 64"),
        ({"memory_gib": 9000}, "memory_gib 9000"),
        ({"memory_gib": 0.1}, "which needs at least 0.6 GiB"),
    ],
)
def test_resources_that_no_node_has_are_named_in_one_line(
    changes, message, on_ray, tmp_path, model_folder, capsys
):
    plan = write_grid_plan(tmp_path, model_folder, seeds=[0], resources=changes)
    line = line_of_error(capsys, "run", plan, *on_ray, "--out", tmp_path / "out")
    assert message in line
    assert not (tmp_path / "out").exists()


def test_a_folder_that_nodes_do_not_share_is_named_in_one_line(on_ray, tmp_path, model_folder):
    plan, hidden = write_grid_plan(tmp_path, model_folder, seeds=[0]), tmp_path / "hidden"
    hidden.mkdir()
    command = ["mount", "-t", "tmpfs", "none", str(hidden)]
    tried = subprocess.run(["unshare", "--mount", *command], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("no rights to hide a folder from the nodes")
    code = "from elusive.cli.main import main; main()"
    here = [sys.executable, "-c", code, "run", plan, *on_ray, "--out", hidden / "out"]
    script = f"{shlex.join(command)} && exec {shlex.join(map(str, here))}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "choose an --out on a file system that all nodes share" in done.stderr.splitlines()[-1]


def test_an_address_without_a_cluster_is_named_in_one_line(tmp_path, model_folder):
    plan = write_grid_plan(tmp_path, model_folder, seeds=[0])
    process = start_run(plan, tmp_path / "out", "--on", "ray", "--address", "127.0.0.1:9")
    assert process.wait(PATIENCE) == 2
    last = (tmp_path / "out.txt").read_text().splitlines()[-1]
    assert last.startswith("elusive: error: no Ray cluster at 127.0.0.1:9"), last


def test_shards_that_ray_writes_are_those_of_one_process(on_ray, tmp_path):
    command, out = ("biogen", "--people", 70_000, "--middle-names"), tmp_path / "out"
    options = (*on_ray, "--tasks", 2, "--set", "resources.cpus=1")
    waiting = start_command(out, *command, *options)
    wait_until(lambda: list(find_task_folder(out).glob("jobs/ray-*.json")), waiting)
    kill(waiting)
    waiting = start_command(out, *command, *options)
    assert waiting.wait(PATIENCE) == 0, out.with_suffix(".txt").read_text()
    assert start_command(tmp_path / "local", *command).wait(PATIENCE) == 0
    assert read_tables(out) == read_tables(tmp_path / "local")


def test_a_task_that_fails_on_ray_is_one_line(on_ray, tmp_path, capsys):
    (tmp_path / "cut.xml").write_text("<mediawiki><page>")
    command = ("wikiqa", "--dump", tmp_path / "cut.xml", *on_ray, "--set", "resources.cpus=1")
    line = line_of_error(capsys, *command, "--out", tmp_path / "out")
    assert "1 of 1 tasks failed" in line
    assert "not well-formed pages-articles XML" in line
