"""Plans that cannot run are refused before anything is made, and by a dry run as well."""

from pathlib import Path

import pytest
import yaml
from commands import line_of_error, run, write_plan

from elusive.evaluate.plans import PLAN


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory, model_folder) -> Path:
    """A finished run of two arms."""
    root = tmp_path_factory.mktemp("run")
    plan = write_plan(root / "plan.yaml", model_folder("llama"))
    assert run("run", plan, "--out", root / "out").exit_code == 0
    return root / "out"


WRONG = [
    ({"model": "no-model"}, "no model 'no-model'"),
    ({"arms": ["contrast"]}, "arms: 'contrast' needs large: name a model under augment"),
    ({"arms": ["contrast"], "augment": {"large": "nano-lrge", "small": "nano-small"}}, "nano-lrge"),
    ({"training": {"format_replay": 500}}, "format_replay 500 exceeds"),
    ({"arms": [{"method": "plain", "training": {"format_replay": 400}}]}, "format_replay 400"),
    ({"answering": {"num_shots": 90}}, "num_shots 90 needs more than 90 people"),
    ({"answering": {"phrasing": "held-out"}}, "no questions in held-out phrasings"),
    ({"augment": "foo"}, "augment: got 'foo'; write settings"),
    ({"arms": [{"method": "d-ar", "training": "x"}]}, "training: got 'x'; write settings"),
    ({"dataset": {"people": 3}}, "holds a run on another dataset"),
    ({"dataset": "nowhere"}, "nowhere"),
    ({"dataset": 5}, "error: dataset: should be a folder, or settings"),
    ({"arms": [{"method_file": "nowhere.py:f"}]}, "there is no file nowhere.py"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_wrong_plan_leaves_that_of_a_finished_run(
    options, changes, message, finished_run, tmp_path, model_folder, capsys
):
    before = (finished_run / PLAN).read_text()
    plan = write_plan(tmp_path / "plan.yaml", model_folder("llama"), **changes)
    line = line_of_error(capsys, "run", plan, *options, "--out", finished_run)
    assert message in line
    assert (finished_run / PLAN).read_text() == before


def test_a_right_plan_replaces_that_of_a_finished_run(finished_run, tmp_path, model_folder):
    plan = write_plan(tmp_path / "plan.yaml", model_folder("llama"), arms=["plain"])
    assert run("run", plan, "--out", finished_run).exit_code == 0
    stored = yaml.safe_load((finished_run / PLAN).read_text())
    assert [arm["method"] for arm in stored["arms"]] == ["plain"]


def test_a_dry_run_asks_what_would_make_the_cells(tmp_path, model_folder, capsys):
    plan = write_plan(tmp_path / "plan.yaml", model_folder("llama"))
    options = ("--dry-run", "--address", "here", "--out", tmp_path / "out")
    assert "give it with --on ray only" in line_of_error(capsys, "run", plan, *options)
    assert not (tmp_path / "out").exists()
