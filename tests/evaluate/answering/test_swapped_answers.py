"""What the gold log-probability counts: `benchmarks/swapped_answers.py`."""

import importlib.util
from pathlib import Path
from statistics import fmean

import pytest
from click.testing import CliRunner
from commands import run, write_plan

from elusive.common.dataset.records import Question
from elusive.common.lm.loading import load_model
from elusive.evaluate.cells.cell_folder import find_cells
from elusive.evaluate.plans import load_run_dataset

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "swapped_answers.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("swapped_answers", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ask(person: str, answer: str) -> Question:
    return Question(f"q-{person}", f"d-{person}", person, "city", "Where?", [answer], "test")


def test_answers_come_from_another_person_and_differ(script):
    questions = [ask("Ann", "Rome"), ask("Bob", "Rome"), ask("Cid", "Oslo"), ask("Dan", "Bonn")]
    for seed in range(10):
        swapped = script.swap_answers(questions, seed)
        assert [question.entity for question in swapped] == ["Ann", "Bob", "Cid", "Dan"]
        for own, other in zip(questions, swapped, strict=True):
            assert own.answers != other.answers
            assert (own.question_id, own.question) == (other.question_id, other.question)


def test_questions_without_another_answer_are_left_out(script):
    assert script.swap_answers([ask("Ann", "Rome"), ask("Bob", "Rome")], 0) == []


def test_a_model_that_knows_nobody_gives_other_answers_as_much(script, tmp_path, model_folder):
    plan = write_plan(tmp_path / "plan.yaml", model_folder("llama"), arms=["plain"])
    assert run("run", plan, "--out", tmp_path / "run").exit_code == 0
    cells = find_cells(tmp_path / "run")
    dataset = load_run_dataset(tmp_path / "run", cells[0].parameters)
    loaded = load_model(cells[0].parameters["model"])
    for cell in cells:
        more = script.compare_with_swapped(cell, dataset, loaded, swaps=3)
        assert fmean(p.log_probability for p in cell.predictions) < -2
        assert abs(fmean(p.log_probability for p in more.predictions)) < 0.5
        assert all(0 <= p.f1 <= 1 for p in more.predictions)
    shown = CliRunner().invoke(script.main, [str(tmp_path / "run"), "--baseline", "plain"])
    assert shown.exit_code == 0, shown.output
    assert "untrained" in shown.output


def test_wrong_input_is_one_line_before_anything_is_scored(script, tmp_path, model_folder):
    plan = write_plan(tmp_path / "plan.yaml", model_folder("llama"), arms=["plain"])
    out = tmp_path / "run"
    assert run("run", plan, "--out", out).exit_code == 0
    wrong = CliRunner().invoke(script.main, [str(out), "--baseline", "plane"])
    assert wrong.exit_code == 2
    assert "did you mean 'plain'" in wrong.output
    (adapter,) = out.glob("cells/plain-*/adapter")
    adapter.rename(tmp_path / "adapter")
    lacking = CliRunner().invoke(script.main, [str(out)])
    assert lacking.exit_code == 2
    assert "has no adapter: run the plan again" in lacking.output
