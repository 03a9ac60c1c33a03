"""The one table of arms: everything that knows an arm knows it from there."""

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from commands import write_plan

from elusive.augment.arms import ARMS, CLUE_FINDERS, Arm, list_arms
from elusive.augment.config import AugmentConfig
from elusive.augment.rewrites import NEW_WORDS, REARRANGEMENTS
from elusive.augment.scores.arm_scores import SCORES, _score_each
from elusive.augment.sentences.choice import NAME_FINDERS
from elusive.augment.sentences.span_scores import DOCUMENT_SCORES, SPAN_SCORES, UNIT_SCORES
from elusive.cli.main import cli
from elusive.common.errors import InputError, validate_config
from elusive.evaluate.cells.cell import get_arm
from elusive.evaluate.cells.cell_folder import find_cells
from elusive.evaluate.compare.groups import group_arms
from elusive.evaluate.config import TrainingConfig
from elusive.evaluate.plans import load_plan
from elusive.evaluate.training.objectives import OBJECTIVES
from elusive.report.page.settings import describe_arms

ROOT = Path(__file__).resolve().parents[2]


def test_functions_register_under_the_names_of_the_table():
    assert set(SCORES) == set(list_arms("score"))
    assert set(REARRANGEMENTS | NEW_WORDS) == set(list_arms("rewrite"))
    assert set(OBJECTIVES) == set(list_arms("objective"))


def test_models_and_defaults_of_the_table_are_settings():
    for name, arm in ARMS.items():
        config = TrainingConfig if arm.kind == "objective" else AugmentConfig
        assert {*arm.models, *arm.defaults} <= set(config.model_fields), name
        if arm.kind == "objective":
            objective = TrainingConfig(objective=name, reference="nano-small")
            for setting, default in arm.defaults.items():
                assert objective.get_setting(setting) == default or setting == "reference"


@pytest.mark.parametrize("page", ["docs/augment.md"])
def test_pages_give_the_meanings_of_the_table(page: str):
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (.*?) \|", (ROOT / page).read_text(), re.MULTILINE)
    shown = {name: meaning for name, meaning in rows if name in ARMS}
    assert shown == {name: arm.meaning for name, arm in ARMS.items()}
    assert list(shown) == list(ARMS), "in the order of the table"


def test_the_page_gives_the_meanings_of_all_ways_to_find_a_clue():
    page = (ROOT / "docs" / "augment.md").read_text()
    rows = re.findall(r"^\| `--restate-by ([a-z-]+)` \| (.*?) \| (.*?) ?\|", page, re.MULTILINE)
    expected = [
        (name, meaning, ", ".join(f"`--{role}`" for role in models))
        for name, (meaning, models) in CLUE_FINDERS.items()
    ]
    assert rows == expected
    assert {*DOCUMENT_SCORES, *UNIT_SCORES, *SPAN_SCORES, *NAME_FINDERS} == set(CLUE_FINDERS)


def test_an_arm_is_added_by_a_line_of_the_table_and_a_function(
    monkeypatch, tmp_path, people_folder, model_folder
):
    """The command line, plans, tables and the report page know it at once."""

    def count_vowels(document, units, scorers):
        return np.array([len(re.findall("[aeiou]", document.text[s:e])) for s, e in units])

    monkeypatch.setitem(ARMS, "vowels", Arm("score", "units with more vowels are kept more often"))
    monkeypatch.setitem(SCORES, "vowels", _score_each(count_vowels))
    monkeypatch.setattr("elusive.augment.config.METHODS", list_arms("score", "rewrite"))
    options = ("--method", "vowels", "--copies", "2", "--out", str(tmp_path / "text"))
    result = CliRunner().invoke(cli, ["augment", str(people_folder), *options])
    assert result.exit_code == 0, result.output
    plan = write_plan(tmp_path / "plan.yaml", model_folder("llama"), arms=["vowels", "plain"])
    result = CliRunner().invoke(cli, ["run", str(plan), "--out", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    arms = group_arms(find_cells(tmp_path / "run"))
    assert list(arms) == ["untrained", "plain", "vowels"]
    meanings = {arm["arm"]: arm["meaning"] for arm in describe_arms(arms)["arms"]}
    assert meanings["vowels"] == "units with more vowels are kept more often"


def test_an_objective_is_an_arm_of_a_plan_and_shares_its_text_with_plain(tmp_path, model_folder):
    arms = ["plain", "d-ar", {"method": "attention-dropout", "training": {"noise": 0.5}}]
    path = write_plan(tmp_path / "plan.yaml", model_folder("llama"), arms=arms, seeds=[0])
    plan = load_plan(path)
    assert [arm.name for arm in plan.arms] == ["plain", "d-ar", "attention-dropout"]
    assert [arm.method for arm in plan.arms] == ["plain"] * 3
    result = CliRunner().invoke(cli, ["run", str(path), "--out", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    cells = {get_arm(cell.parameters): cell for cell in find_cells(tmp_path / "run")}
    assert set(cells) == {"untrained", "plain", "d-ar", "attention-dropout"}
    trained = [cell for name, cell in cells.items() if name != "untrained"]
    assert len({cell.parameters["train"] for cell in trained}) == 1
    assert len(list((tmp_path / "run" / "train").iterdir())) == 1
    assert cells["d-ar"].parameters["training"]["noise"] == 0.2
    assert cells["attention-dropout"].parameters["training"]["noise"] == 0.5
    assert "noise" not in cells["plain"].parameters["training"]
    assert len({tuple(cell.log["losses"]) for cell in trained if cell.log}) == 3


def test_objectives_and_their_settings_in_the_wrong_place_are_one_line(tmp_path, model_folder):
    with pytest.raises(InputError, match=r"'d-ar' acts in training.*--objective d-ar"):
        validate_config(AugmentConfig, {"method": "d-ar"})
    arm = {"method": "d-ar", "noise": 0.3}
    plan = write_plan(tmp_path / "plan.yaml", model_folder("llama"), arms=[arm])
    with pytest.raises(InputError, match=r"write training: \{noise: 0.3\}"):
        load_plan(plan)
