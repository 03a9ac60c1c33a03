"""Grids survive kills, failures, damage, and other runs in the same folder."""

import errno
import json
import multiprocessing
import os
import random
import shutil
import time
from pathlib import Path

import pytest
import torch
from commands import run, write_grid_plan

from elusive.common.claims import hold_claim
from elusive.common.dataset.records import Document
from elusive.common.errors import InputError
from elusive.evaluate.cells.cell_folder import load_cell
from elusive.evaluate.dry_run import measure_size
from elusive.evaluate.engines import side_by_side
from elusive.evaluate.jobs import list_jobs
from elusive.evaluate.plans import PLAN, load_plan
from elusive.evaluate.run import run_plan
from elusive.evaluate.run_folder import RunFolder
from elusive.evaluate.status import read_status


def answers(out: Path) -> dict[str, bytes]:
    """Predictions of every cell, as bytes."""
    return {p.parent.name: p.read_bytes() for p in out.glob("cells/[!.]*/predictions.parquet")}


@pytest.fixture(scope="module")
def plan_path(tmp_path_factory, model_folder) -> Path:
    return write_grid_plan(tmp_path_factory.mktemp("plan"), model_folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, plan_path) -> Path:
    """A run that was not disturbed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert run_plan(load_plan(plan_path), out).failures == []
    return out


def test_a_grid_killed_at_random_moments_ends_equal_to_one_that_was_not(whole, plan_path, tmp_path):
    out, rng = tmp_path / "out", random.Random(0)
    # Processes of their own to kill, forked from one that has imported everything already.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["elusive.evaluate.run"])
    killed = 0
    for _ in range(4):
        process = context.Process(target=run_plan, args=(load_plan(plan_path), out))
        process.start()
        while not out.exists():
            time.sleep(0.01)
        process.join(rng.uniform(0.2, 1.5))
        killed += process.is_alive()
        process.kill()
        process.join()
    assert killed
    assert run_plan(load_plan(plan_path), out).failures == []
    assert answers(out) == answers(whole)
    assert not list(out.glob("cells/.*")), "leftovers of killed cells"


@pytest.mark.parametrize(("has_gpu", "start"), [(False, "forkserver"), (True, "spawn")])
def test_processes_side_by_side_give_the_same_cells(
    has_gpu, start, whole, plan_path, tmp_path, monkeypatch
):
    """They are not forked where there is a GPU, which bitsandbytes opens when it is imported."""
    monkeypatch.delenv("OMP_NUM_THREADS")  # each is offered all threads of the machine
    monkeypatch.setattr(side_by_side, "has_gpu", lambda: has_gpu)
    assert side_by_side.get_context().get_start_method() == start
    result = run_plan(load_plan(plan_path), tmp_path / "out", jobs=2)
    assert result.failures == []
    assert answers(tmp_path / "out") == answers(whole)


@pytest.mark.parametrize("offered", [1, 4])
def test_the_number_of_threads_that_a_machine_offers_changes_no_cell(
    offered, tmp_path, model_folder, monkeypatch
):
    used = []
    original = torch.set_num_threads
    monkeypatch.setattr(torch, "set_num_threads", lambda n: (used.append(n), original(n)))
    monkeypatch.setenv("ELUSIVE_CACHE", str(tmp_path / "cache"))
    plan = write_grid_plan(tmp_path, model_folder, arms=["attention"], seeds=[0])
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
    plan = write_grid_plan(
        tmp_path, model_folder, arms=["plain"], seeds=[0], untrained=False, threads=2
    )
    (folder,) = run_plan(load_plan(plan), tmp_path / "out").folders
    cell = load_cell(folder)
    assert (cell.parameters["threads"], cell.costs["threads"]) == (2, 2)


def test_a_cell_that_fails_is_recorded_and_the_others_go_on(tmp_path, model_folder, capsys):
    broken = shutil.copytree(model_folder("llama"), tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights")
    other = {"method": "rho-1", "training": {"reference": str(broken)}}
    plan = write_grid_plan(tmp_path, model_folder, arms=[other, "plain"], seeds=[0])
    result = run("run", plan, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "plain" in result.output
    assert "failed: rho-1-seed0: model.safetensors of model" in result.output
    record = json.loads((tmp_path / "out" / "failed" / "rho-1-seed0.json").read_text())
    assert "Traceback" in record["details"]
    write_grid_plan(tmp_path, model_folder, arms=[other], seeds=[0], untrained=False)
    assert "wrote" not in run("run", plan, "--out", tmp_path / "none").stdout
    write_grid_plan(tmp_path, model_folder, arms=["plain"], seeds=[0])
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
    tmp_path, model_folder, monkeypatch
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
    plan = load_plan(write_grid_plan(tmp_path, model_folder, seeds=[0]))
    with pytest.raises(OSError, match="No space left on device"):
        run_plan(plan, tmp_path / "out")
    assert len(answers(tmp_path / "out")) == 1
    assert run_plan(plan, tmp_path / "out").failures == []
    assert len(answers(tmp_path / "out")) == 3


def test_a_cell_that_another_run_is_at_is_left_to_it(whole, plan_path):
    cell = next(whole.glob("cells/plain-seed1-*"))
    kept = (cell / "metrics.json").read_text()
    (cell / "metrics.json").unlink()
    run = RunFolder(load_plan(plan_path), whole)
    job = next(job for job in list_jobs(run.plan) if job.name == "plain-seed1")
    with hold_claim(whole / "locks" / cell.name):
        assert not run.make(job, wait=False)
    (cell / "metrics.json").write_text(kept)


def test_a_dry_run_makes_nothing_and_names_every_cell(plan_path, tmp_path, whole):
    result = run("run", plan_path, "--dry-run", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "out").exists()
    for cell in ("untrained-seed0", "plain-seed0", "random-seed1"):
        assert cell in result.output
    assert "6 cells, 6 to run" in result.output
    assert "differences of" in result.output
    finished = run("run", plan_path, "--dry-run", "--out", whole)
    assert "6 cells, 0 to run" in finished.output
    assert "from 4 finished cells" in finished.output


def test_a_dry_run_measures_texts_throughout_a_dataset_and_the_longest_ones(model_folder):
    lengths = [*range(1, 101), 600, *range(1, 101)]
    documents = [
        Document(f"d{number}", "e", " the" * length, [], [], [], "train", [], "single")
        for number, length in enumerate(lengths)
    ]
    size = measure_size(str(model_folder), documents, [])
    mean_of_longest = sum(sorted(lengths)[-16:]) / 16
    assert size.longest == pytest.approx(mean_of_longest, rel=0.1)
    assert size.tokens_per_text == pytest.approx(sum(lengths) / len(lengths), rel=0.25)


@pytest.mark.parametrize(
    ("setting", "missing"),
    [("training.epochs=2", 4), ("augment.copies=1", 4), ("answering.num_shots=1", 6)],
)
def test_a_dry_run_takes_no_cell_with_other_settings_for_a_finished_one(
    setting, missing, plan_path, whole
):
    shown = run("run", plan_path, "--set", setting, "--dry-run", "--out", whole)
    assert f"6 cells, {missing} to run" in shown.output


def test_the_status_counts_what_is_whole_and_has_the_settings_of_the_plan(whole, tmp_path):
    out = shutil.copytree(whole, tmp_path / "out")
    assert len(read_status(out).finished) == 6
    next(out.glob("cells/untrained-seed0-*/costs.json")).unlink()
    next(out.glob("cells/plain-seed1-*/predictions.parquet")).unlink()
    assert sorted(read_status(out).missing) == ["plain-seed1", "untrained-seed0"]
    plan = (out / PLAN).read_text().replace("copies: 2", "copies: 1")
    (out / PLAN).write_text(plan)
    assert read_status(out).finished == ["untrained-seed1"]


def test_a_dry_run_makes_the_cells_of_a_changed_own_arm(tmp_path, model_folder):
    own = tmp_path / "own.py"
    own.write_text("def score(document, units):\n    return [0.0] * len(units)\n")
    arms = [{"method_file": f"{own}:score"}]
    plan = write_grid_plan(tmp_path, model_folder, arms=arms, seeds=[0])
    assert run_plan(load_plan(plan), tmp_path / "out").failures == []
    options = ("run", plan, "--dry-run", "--out", tmp_path / "out")
    assert "2 cells, 0 to run" in run(*options).output
    own.write_text(own.read_text().replace("0.0", "1.0"))
    assert "2 cells, 1 to run" in run(*options).output
    own.unlink()
    assert len(read_status(tmp_path / "out").finished) == 2  # it cannot be told without the file


def test_the_run_from_python_gives_typed_cells_and_a_table(whole, plan_path):
    result = run_plan(load_plan(plan_path), whole)
    assert {cell.parameters["label"] for cell in result.cells} == {"untrained", "plain", "random"}
    table = result.build_table(baseline="plain").to_pandas()
    assert list(table["arm"]) == ["untrained", "plain", "random"]
    assert table["em"].between(0, 1).all()


def test_known_facts_are_asked_before_and_after(tmp_path, model_folder):
    plan = write_grid_plan(
        tmp_path,
        model_folder,
        known={"people": 2, "start": 50, "num_shot_people": 8, "dev_rate": 0},
        arms=["plain"],
        seeds=[0],
    )
    before, after = run_plan(load_plan(plan), tmp_path / "out").cells
    assert len(before.known) == len(after.known) == 10
    assert before.metrics["known"]["perplexity"] != after.metrics["known"]["perplexity"]


def test_rescoring_needs_no_model_and_renames_what_changed(whole, tmp_path, plan_path, monkeypatch):
    out = shutil.copytree(whole, tmp_path / "out")
    result = run_plan(load_plan(plan_path), out)
    assert run("rescore", out).output.startswith("nothing to do")
    before = {path.name for path in result.folders}
    monkeypatch.setattr("elusive.common.answers.normalize_answer", lambda text, _="en": "same")
    monkeypatch.setattr("elusive.evaluate.run_folder.load_model", None)
    changed = run("rescore", out)
    assert changed.stdout.startswith("6 of 6 cells"), changed.output
    cells = [load_cell(path) for path in sorted(out.glob("cells/[!.]*"))]
    assert {cell.folder.name for cell in cells}.isdisjoint(before)
    assert all(p.em == 1.0 for cell in cells for p in cell.predictions)
    assert all(cell.metrics["em"] == 1.0 for cell in cells)


def test_rescoring_goes_on_where_a_rerun_or_a_killed_rescoring_left_off(
    whole, tmp_path, monkeypatch
):
    def rescore(out: Path) -> list[str]:
        result = run("rescore", out)
        assert result.exit_code == 0, result.output
        return sorted(path.name for path in out.glob("cells/*"))

    out, again = (shutil.copytree(whole, tmp_path / name) for name in ("out", "again"))
    alone = shutil.copytree(next(whole.glob("cells/plain-seed0-*")), tmp_path / "alone")
    manifest = json.loads((alone / "manifest.json").read_text())
    manifest["versions"]["elusive"] = "0.0.1"
    (alone / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setattr("elusive.common.answers.normalize_answer", lambda text, _="en": "same")
    rescored = rescore(out)
    shutil.copytree(out / "cells" / rescored[0], again / "cells" / rescored[0])
    assert rescore(again) == rescored
    assert run("rescore", alone).output.startswith("1 of 1")
    assert load_cell(alone).versions["elusive"] == "0.0.1", "the version that made it"
    alone.rename(tmp_path / ".alone.before")
    assert run("rescore", alone).output.startswith("nothing to do")
    assert load_cell(alone).metrics["em"] == 1.0


def test_a_training_goes_on_from_its_checkpoint(tmp_path, model_folder, tokenizer):
    """A training that is killed and resumed ends with the same adapter as one that is not."""
    from safetensors.torch import load_file
    from training_rows import some_rows

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
    rows = some_rows(tokenizer, 10)
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
        trained("never", tmp_path / "b", stop_at=7)
    assert list((tmp_path / "b").glob("checkpoint-*"))
    resumed, again = trained("resumed", tmp_path / "b")
    assert steps == again == 10
    first, second = load_file(straight), load_file(resumed)
    assert all((first[key] == second[key]).all() for key in first)


def test_an_error_in_answering_does_not_cost_the_training(tmp_path, model_folder, monkeypatch):
    from elusive.evaluate.cells import make_cell
    from elusive.evaluate.training.hf_trainer import ChunkedTrainer

    plan = write_grid_plan(tmp_path, model_folder, arms=["plain"], seeds=[0], untrained=False)
    assert run_plan(load_plan(plan), tmp_path / "straight").failures == []

    def fail(*_: object) -> None:
        raise InputError("no memory left")

    with monkeypatch.context() as patch:
        patch.setattr(make_cell, "_answer", fail)
        assert len(run_plan(load_plan(plan), tmp_path / "out").failures) == 1
    monkeypatch.setattr(ChunkedTrainer, "training_step", fail)
    assert run_plan(load_plan(plan), tmp_path / "out").failures == []
    assert answers(tmp_path / "out") == answers(tmp_path / "straight")
    logs = [
        json.loads(next(tmp_path.glob(f"{name}/cells/*/training_log.json")).read_text())
        for name in ("straight", "out")
    ]
    for log in logs:
        del log["seconds"]
    assert logs[0] == logs[1]


def test_a_model_that_cannot_answer_fails_before_training(tmp_path, model_folder, monkeypatch):
    from elusive.evaluate.answering import local
    from elusive.evaluate.training.hf_trainer import ChunkedTrainer

    def fail(*_: object) -> None:
        raise InputError("its cache cannot be copied")

    def train(*_: object) -> None:
        raise AssertionError("training began")

    plan = write_grid_plan(tmp_path, model_folder, arms=["plain"], seeds=[0], untrained=False)
    monkeypatch.setattr(local, "answer_and_score", fail)
    monkeypatch.setattr(ChunkedTrainer, "training_step", train)
    (failure,) = run_plan(load_plan(plan), tmp_path / "out").failures
    assert "its cache cannot be copied" in str(failure)


def test_a_training_text_and_an_adapter_are_not_given_together(people_folder, tmp_path):
    from elusive.evaluate.config import CellSettings
    from elusive.evaluate.run import evaluate_cell

    with pytest.raises(InputError, match="train and adapter"):
        evaluate_cell(
            people_folder, tmp_path, "m", 0, None, CellSettings(), tmp_path, adapter=tmp_path
        )


def test_a_fresh_cell_reads_its_training_texts_manifest_once_and_hashes_it_twice(
    tmp_path, model_folder, monkeypatch
):
    """Once when the text is written, once when it is read."""
    import elusive.common.dataset.shards as shards
    import elusive.common.folders as folders

    calls = []
    for name in ("read_manifest", "hash_content"):
        original = getattr(folders, name)

        def counted(path, *args, name=name, original=original):
            if "train" in path.parts:
                calls.append(name)
            return original(path, *args)

        for module in (folders, shards):  # folders reads, shards writes
            monkeypatch.setattr(module, name, counted)
    plan = write_grid_plan(tmp_path, model_folder, arms=["plain"], seeds=[0], untrained=False)
    assert run_plan(load_plan(plan), tmp_path / "out").failures == []
    assert sorted(calls) == ["hash_content", "hash_content", "read_manifest"]
