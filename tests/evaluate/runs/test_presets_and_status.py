"""What comes with the package and how a run is doing: found out without loading any model."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from commands import line_of_error, run, write_plan

from elusive.augment.config import AugmentConfig
from elusive.biogen.config import BiogenConfig
from elusive.common.claims import hold_claim
from elusive.evaluate.config import AnsweringConfig, TrainingConfig
from elusive.evaluate.plans import PRESETS, Plan, list_presets, load_plan
from elusive.evaluate.presets import summarize_presets
from elusive.evaluate.status import read_status


def test_every_preset_is_listed_with_its_cells_cost_and_models():
    shown = run("presets").output
    for name in list_presets():
        assert re.search(rf"^{name}  \d+ cells.*(about|needs a GPU|unknown)", shown, re.MULTILINE)
    by_name = {summary.name: summary for summary in summarize_presets()}
    demo = by_name["nano-demo"]
    assert (demo.num_cells, demo.num_trials, demo.models) == (7, 0, ("nano-large",))
    assert demo.line.startswith("The demo: six ways")
    assert by_name["test-augmentation"].num_trials == 4 * 14 * 2
    assert by_name["paper-gemma2-2b"].hours is None
    assert by_name["restate-wikipedia"].cost.endswith("time unknown until its dataset is made")
    hours = [by_name[name].hours or 0 for name in ("nano", "nano-grid", "nano-demo")]
    assert hours[0] > hours[1] > hours[2] > 0.05


def test_a_folder_of_a_preset_starts_at_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_plan(Path("restate-wikipedia")).dataset == tmp_path / "data" / "xquad"


def test_a_preset_is_shown_as_it_is_and_an_unknown_one_is_one_line(capsys):
    for name in ("nano-demo", "nano-demo.yaml", "nano-family"):
        text = (PRESETS / f"{name.removesuffix('.yaml')}.yaml").read_text()
        assert run("presets", "show", name).output == text
    line = line_of_error(capsys, "presets", "show", "nano-dmo")
    assert "unknown preset 'nano-dmo': did you mean 'nano-demo'?" in line


def test_a_new_plan_runs_as_it_stands_and_names_every_setting(tmp_path, capsys):
    path = tmp_path / "my-plan.yaml"
    assert run("new", path).exit_code == 0
    plan, text = load_plan(path), path.read_text()
    assert len(plan.arms) > 2
    for config in (Plan, BiogenConfig, AugmentConfig, TrainingConfig, AnsweringConfig):
        for name in {*config.model_fields} - {"method"}:
            assert re.search(rf"^ *(#: )?{name}:", text, re.MULTILINE), name
    assert max(map(len, text.splitlines())) <= 120
    assert not re.search(r"[a-z]-$", text, re.MULTILINE), "no option or arm is broken at a hyphen"
    before = path.read_bytes()
    assert "exists" in line_of_error(capsys, "new", path)
    assert path.read_bytes() == before
    assert "should end with .yaml" in line_of_error(capsys, "new", tmp_path / "plan.txt")


def test_the_settings_in_comments_are_the_defaults(tmp_path):
    path = tmp_path / "my-plan.yaml"
    run("new", path)
    everything = tmp_path / "everything.yaml"
    everything.write_text(path.read_text().replace("#: ", ""))
    assert len(yaml.safe_load(everything.read_text())["training"]) == len(
        TrainingConfig.model_fields
    )
    assert load_plan(everything).model_dump(exclude={"augment"}) == load_plan(path).model_dump(
        exclude={"augment"}
    )


@pytest.fixture(scope="module")
def half_run(tmp_path_factory, model_folder) -> Path:
    """A run of two arms and two seeds, of which one seed is finished and one cell failed."""
    root = tmp_path_factory.mktemp("run")
    plan = write_plan(root / "plan.yaml", model_folder("llama"), seeds=[0, 1])
    assert run("run", plan, "--seed", 0, "--out", root / "out").exit_code == 0
    (root / "out" / "failed").mkdir()
    failure = {"cell": "random-seed1", "error": "no memory", "details": "..."}
    (root / "out" / "failed" / "random-seed1.json").write_text(json.dumps(failure))
    return root / "out"


def test_the_status_counts_every_cell_once(half_run):
    status = read_status(half_run)
    assert sorted(status.finished) == ["plain-seed0", "random-seed0", "untrained-seed0"]
    assert sorted(status.missing) == ["plain-seed1", "untrained-seed1"]
    assert [failure.cell for failure in status.failed] == ["random-seed1"]
    assert status.running == {}
    shown = run("status", half_run).output
    assert "3 of 6 cells finished" in shown
    assert "failed: random-seed1: no memory" in shown
    assert "missing: plain-seed1" in shown
    assert re.search(r"about \d+ s per cell; about \d+ s left with 1 process\n", shown)
    assert "nothing is running" in shown


def test_what_a_living_process_holds_is_running_and_what_a_dead_one_held_is_not(half_run):
    dead = half_run / "locks" / "untrained-seed1-0123456789ab"
    dead.mkdir(parents=True)
    with hold_claim(half_run / "locks" / "plain-seed1-0123456789ab") as claim:
        (owner,) = claim.path.iterdir()
        machine = owner.name.split("-")[0]
        (dead / f"{machine}-{2**22 + 1}-1-00000000").write_text("0")  # beyond the largest number
        assert list(read_status(half_run).running) == ["plain-seed1-0123456789ab"]
        shown = run("status", half_run).output
        assert "running: plain-seed1-0123456789ab, 0 s" in shown
        assert "missing: plain-seed1" not in shown
        assert "nothing is running" not in shown
    assert read_status(half_run).running == {}


def test_a_folder_that_is_no_run_is_one_line(tmp_path, capsys):
    assert "has no plan.yaml" in line_of_error(capsys, "status", tmp_path)


@pytest.mark.parametrize("arguments", [["presets"], ["new", "plan.yaml"], ["status", "RUN"]])
def test_no_model_library_is_loaded(arguments, half_run, tmp_path, monkeypatch):
    code = """
import sys
from elusive.cli.main import cli
cli.main(sys.argv[1:], standalone_mode=False)
print("loaded:", *sys.modules)
"""
    words = [str(half_run) if word == "RUN" else word for word in arguments]
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split("loaded:")[1].split())
    assert loaded & {"torch", "transformers", "datasets"} == set()
