"""Rows in which nothing is trained: before training, with a new adapter, with the text at hand."""

import pytest
from click.testing import CliRunner
from commands import write_grid_plan

from elusive.cli.main import cli
from elusive.common.errors import InputError
from elusive.evaluate.answering import local
from elusive.evaluate.cells.cell_folder import find_cells
from elusive.evaluate.plans import load_plan
from elusive.evaluate.run import run_plan
from elusive.evaluate.tables.table import build_table

CONTROLS = ["untrained", "zero-delta", "open-book"]


def test_controls_are_asked_like_trained_arms(tmp_path, model_folder, monkeypatch):
    asked: dict[str, list[str]] = {}
    whole = local.answer_questions

    def watch(model, tokenizer, questions, *arguments, **settings):
        name = CONTROLS[len(asked)]
        asked[name] = [question.question for question in questions]
        return whole(model, tokenizer, questions, *arguments, **settings)

    monkeypatch.setattr("elusive.evaluate.answering.backends.answer_questions", watch)
    plan = load_plan(
        write_grid_plan(
            tmp_path, model_folder, arms=["plain"], seeds=[0], controls=["zero-delta", "open-book"]
        )
    )
    run_plan(plan.model_copy(update={"arms": ()}), tmp_path / "run")
    cells = {cell.parameters["label"]: cell for cell in find_cells(tmp_path / "run")}
    assert set(cells) == set(CONTROLS)
    assert len({cell.folder.name for cell in cells.values()}) == 3
    # 1) A new adapter changes nothing.
    before, new = cells["untrained"].predictions, cells["zero-delta"].predictions
    assert new == before
    # 2) With the text in front of each question, the model reads it; the record keeps the question.
    for with_text, without in zip(asked["open-book"], asked["untrained"], strict=True):
        assert with_text.endswith(f". {without}")
    read = cells["open-book"].predictions
    assert [p.question for p in read] == [p.question for p in before]
    assert [p.log_probability for p in read] != [p.log_probability for p in before]
    labels = [row.label for row in build_table(list(cells.values())).rows]
    assert labels == CONTROLS


def test_a_control_can_be_chosen_by_name_and_the_rest_made_later(tmp_path, model_folder):
    plan = write_grid_plan(tmp_path, model_folder, seeds=[0], controls=["open-book"])
    arguments = ["run", str(plan), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(cli, [*arguments, "--arm", "open-book"])
    assert result.exit_code == 0, result.output
    assert [path.name[:9] for path in (tmp_path / "run" / "cells").iterdir()] == ["open-book"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "run" / "cells").iterdir())) == 4


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"controls": ["open-bok"]}, "controls"),
        ({"controls": ["zero-delta"], "training": {"tuning": "full"}}, "needs LoRA"),
        ({"arms": [{"method": "plain", "label": "open-book"}]}, "nothing is trained"),
    ],
)
def test_wrong_controls_are_one_line(changes, line, tmp_path, model_folder):
    with pytest.raises(InputError, match=line):
        load_plan(write_grid_plan(tmp_path, model_folder, **changes))
