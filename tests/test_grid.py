"""Grids that survive what happens to them: kills, failures, damage, other runs beside them."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from filelock import FileLock

from elusive.cli.main import cli
from elusive.common.errors import InputError
from elusive.evaluate.cells.cell_folder import load_cell
from elusive.evaluate.plans import load_plan
from elusive.evaluate.run import run_plan

TRAINING = {"epochs": 1, "batch_size": 4, "format_replay": 2}


def write_plan(folder: Path, model_folder, **changes: object) -> Path:
    plan = {
        "dataset": {"people": 3, "num_shot_people": 8, "dev_rate": 0},
        "model": str(model_folder("llama")),
        "arms": ["plain", "random"],
        "augment": {"copies": 2},
        "training": TRAINING,
        "seeds": [0, 1],
    }
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan | changes))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def answers(out: Path) -> dict[str, bytes]:
    """Predictions of every cell, as bytes."""
    return {p.parent.name: p.read_bytes() for p in out.glob("cells/[!.]*/predictions.parquet")}


@pytest.fixture(scope="module")
def plan_path(tmp_path_factory, model_folder) -> Path:
    return write_plan(tmp_path_factory.mktemp("plan"), model_folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, plan_path) -> Path:
    """A run that nothing happened to."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert run_plan(load_plan(plan_path), out).failures == []
    return out


def test_a_grid_killed_at_random_moments_ends_equal_to_one_that_was_not(whole, plan_path, tmp_path):
    out, rng = tmp_path / "out", random.Random(0)
    command = [sys.executable, "-m", "elusive.cli.main", "run", str(plan_path), "--out", str(out)]
    killed = 0
    for _ in range(4):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            process.wait(timeout=rng.uniform(2, 6))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
    assert killed
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert answers(out) == answers(whole)
    assert not list(out.glob("cells/.*")), "leftovers of killed cells"


def test_processes_side_by_side_give_the_same_cells(whole, plan_path, tmp_path):
    found = run_plan(load_plan(plan_path), tmp_path / "out", jobs=2)
    assert found.failures == []
    assert answers(tmp_path / "out") == answers(whole)


@pytest.mark.parametrize("offered", [1, 4])
def test_the_number_of_threads_that_a_machine_offers_changes_no_cell(
    offered, tmp_path, model_folder, monkeypatch
):
    used = []
    original = torch.set_num_threads
    monkeypatch.setattr(torch, "set_num_threads", lambda n: (used.append(n), original(n)))
    monkeypatch.setenv("ELUSIVE_CACHE", str(tmp_path / "cache"))
    plan = write_plan(tmp_path, model_folder, arms=["attention"], seeds=[0])
    before = torch.get_num_threads()
    original(offered)
    try:
        assert run_plan(load_plan(plan), tmp_path / "out").failures == []
        assert torch.get_num_threads() == offered, "a run leaves the number as it was"
    finally:
        original(before)
    # Scoring, the untrained cell and the trained one each compute with one thread.
    assert used == [1, offered] * 3
    costs = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("cells/*/costs.json")]
    assert [cost["threads"] for cost in costs] == [1, 1]


def test_a_plan_can_set_the_number_of_threads_and_the_id_shows_it(tmp_path, model_folder):
    plan = write_plan(tmp_path, model_folder, arms=["plain"], seeds=[0], untrained=False, threads=2)
    (folder,) = run_plan(load_plan(plan), tmp_path / "out").folders
    cell = load_cell(folder)
    assert (cell.parameters["threads"], cell.costs["threads"]) == (2, 2)


def test_a_cell_that_fails_is_recorded_and_the_others_go_on(tmp_path, model_folder, capsys):
    other = {"method": "rho-1", "training": {"reference": "no-such-model"}}
    plan = write_plan(tmp_path, model_folder, arms=[other, "plain"], seeds=[0])
    found = run("run", plan, "--out", tmp_path / "out")
    assert found.exit_code == 1
    assert "plain" in found.output
    assert "failed: rho-1-seed0: no model 'no-such-model'" in found.output
    record = json.loads((tmp_path / "out" / "failed" / "rho-1-seed0.json").read_text())
    assert "Traceback" in record["details"]
    write_plan(tmp_path, model_folder, arms=["plain"], seeds=[0])
    assert run("run", plan, "--out", tmp_path / "out").exit_code == 0


@pytest.mark.parametrize(
    "name",
    ["predictions.parquet", "metrics.json", "costs.json", "adapter/adapter_model.safetensors"],
)
def test_a_damaged_cell_is_made_again(name, whole, plan_path, tmp_path, capsys):
    before = answers(whole)
    damaged = next(path for path in whole.glob("cells/random-seed0-*"))
    (damaged / name).write_bytes(b"\0" * 10)
    assert run_plan(load_plan(plan_path), whole).failures == []
    assert "is damaged" in capsys.readouterr().err
    assert answers(whole) == before
    load_cell(damaged)


def test_a_damaged_training_text_is_made_again(whole, plan_path, capsys):
    before = answers(whole)
    text = next(whole.glob("train/random-seed0-*"))
    next(text.rglob("*.arrow")).write_bytes(b"nothing")
    (cell,) = whole.glob("cells/random-seed0-*")
    (cell / "metrics.json").unlink()
    assert run_plan(load_plan(plan_path), whole).failures == []
    assert "is damaged" in capsys.readouterr().err
    assert answers(whole) == before


def test_a_full_disk_stops_the_run_in_one_line_and_loses_nothing(
    plan_path, tmp_path, monkeypatch, capsys
):
    from elusive.evaluate.cells import make_cell as cell_run

    written = []

    def fails_once(folder, outcome):
        written.append(folder)
        if len(written) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
        real(folder, outcome)

    real = cell_run.write_results
    monkeypatch.setattr(cell_run, "write_results", fails_once)
    with pytest.raises(OSError, match="No space left on device"):
        run_plan(load_plan(plan_path), tmp_path / "out")
    assert len(answers(tmp_path / "out")) == 1
    assert run_plan(load_plan(plan_path), tmp_path / "out").failures == []
    assert len(answers(tmp_path / "out")) == 6


def test_a_cell_that_another_run_is_at_is_left_to_it(whole, plan_path):
    cell = next(whole.glob("cells/plain-seed1-*"))
    kept = (cell / "metrics.json").read_text()
    (cell / "metrics.json").unlink()
    script = (
        "import sys; from pathlib import Path; from elusive.evaluate.jobs import *\n"
        "from elusive.evaluate.plans import load_plan\n"
        "run = Run(load_plan(Path(sys.argv[1])), Path(sys.argv[2]))\n"
        "job = next(job for job in plan_jobs(run.plan) if job.name == 'plain-seed1')\n"
        "print(run.make(job, wait=False))\n"
    )
    command = [sys.executable, "-c", script, str(plan_path), str(whole)]
    with FileLock(whole / "locks" / f"{cell.name}.lock"):
        found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
    (cell / "metrics.json").write_text(kept)


def test_a_dry_run_makes_nothing_and_names_every_cell(plan_path, tmp_path, whole):
    found = run("run", plan_path, "--dry-run", "--out", tmp_path / "out")
    assert found.exit_code == 0, found.output
    assert not (tmp_path / "out").exists()
    for cell in ("untrained-seed0", "plain-seed0", "random-seed1"):
        assert cell in found.output
    assert "6 cells, 6 to run" in found.output
    assert "differences of" in found.output
    again = run("run", plan_path, "--dry-run", "--out", whole)
    assert "6 cells, 0 to run" in again.output
    assert "from 4 finished cells" in again.output


def test_the_run_from_python_gives_typed_cells_and_a_table(whole, plan_path):
    found = run_plan(load_plan(plan_path), whole)
    assert {cell.parameters["label"] for cell in found.cells} == {"untrained", "plain", "random"}
    table = found.build_table(baseline="plain").to_pandas()
    assert list(table["arm"]) == ["untrained", "plain", "random"]
    assert table["em"].between(0, 1).all()


def test_known_facts_are_asked_before_and_after(tmp_path, model_folder):
    plan = write_plan(
        tmp_path,
        model_folder,
        known={"people": 2, "start": 50, "num_shot_people": 8, "dev_rate": 0},
        arms=["plain"],
        seeds=[0],
    )
    before, after = run_plan(load_plan(plan), tmp_path / "out").cells
    assert len(before.known) == len(after.known) == 10
    assert before.metrics["known"]["perplexity"] != after.metrics["known"]["perplexity"]


def test_rescoring_needs_no_model_and_renames_what_changed(tmp_path, plan_path, monkeypatch):
    out = tmp_path / "out"
    found = run_plan(load_plan(plan_path), out)
    assert run("rescore", out).output.startswith("0 cells")
    wrong = {path.name: load_cell(path) for path in found.folders}
    monkeypatch.setattr("elusive.common.answers.normalize_answer", lambda text: "same")
    monkeypatch.setattr("elusive.evaluate.jobs.load_model", None)
    changed = run("rescore", out)
    assert changed.output.startswith("6 cells"), changed.output
    again = [load_cell(path) for path in sorted(out.glob("cells/[!.]*"))]
    assert {cell.folder.name for cell in again}.isdisjoint(wrong)
    assert all(p.em == 1.0 for cell in again for p in cell.predictions)
    assert all(cell.metrics["em"] == 1.0 for cell in again)


def test_a_training_goes_on_from_its_checkpoint(tmp_path, model_folder, tokenizer):
    """Killed in the middle, it ends with the adapter that it would have ended with."""
    from safetensors.torch import load_file
    from test_training import some_rows

    from elusive.common.lm.loading import load_model
    from elusive.evaluate.config import TrainingConfig
    from elusive.evaluate.training.lora import open_lora_model
    from elusive.evaluate.training.objectives import build_objective
    from elusive.evaluate.training.train import train

    class Killed(Exception):
        pass

    config = TrainingConfig(
        checkpoint_minutes=1e-6, lora_dropout=0.1, objective="attention-dropout", noise=0.1
    )
    rows = some_rows(tokenizer)
    loaded = load_model(str(model_folder("llama")))
    objective = build_objective(config, loaded)

    def trained(name: str, checkpoints: Path, stop_at: int | None = None) -> tuple[Path, int]:
        steps = []

        def on_step() -> None:
            steps.append(time.time())
            if len(steps) == stop_at:
                raise Killed

        with open_lora_model(loaded, config, seed=0) as model:
            log = train(model, rows, config, 0, on_step, objective, checkpoints)
            model.save_pretrained(str(tmp_path / name))
        return tmp_path / name / "adapter_model.safetensors", log.steps

    straight, steps = trained("straight", tmp_path / "a")
    with pytest.raises(Killed):
        trained("never", tmp_path / "b", stop_at=10)
    assert list((tmp_path / "b").glob("checkpoint-*"))
    resumed, again = trained("resumed", tmp_path / "b")
    assert steps == again == 24
    first, second = load_file(straight), load_file(resumed)
    assert all((first[key] == second[key]).all() for key in first)


def test_a_training_text_and_an_adapter_are_not_given_together(people_folder, tmp_path):
    from elusive.evaluate.config import CellSettings
    from elusive.evaluate.run import evaluate_cell

    with pytest.raises(InputError, match="train and adapter"):
        evaluate_cell(
            people_folder, tmp_path, "m", 0, None, CellSettings(), tmp_path, adapter=tmp_path
        )
