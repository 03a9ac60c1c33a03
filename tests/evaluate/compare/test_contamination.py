"""Warnings if a model may know the answers before it is trained."""

from dataclasses import replace
from pathlib import Path

import pytest
from answered_cells import cell
from commands import run, write_plan

from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.common.dataset.folder import load_dataset_folder
from elusive.evaluate.checks.contamination import warn_about_population
from elusive.evaluate.compare.selection import select_missed
from elusive.evaluate.tables.formats import render_tables
from elusive.evaluate.tables.table import build_table


@pytest.mark.parametrize(
    ("settings", "num_known"),
    [
        ({"start": 0, "people": 5}, 5),
        ({"start": 798, "people": 5}, 2),
        ({"start": 800, "people": 5}, 0),
        ({"start": 0, "people": 5, "seed": 1}, 0),
        ({"start": 0, "people": 5, "middle_names": True}, 0),
        ({"start": 3, "people": 5, "permute": True, "fields": ("major",)}, 5),
    ],
)
def test_people_whom_a_built_in_model_read_about_are_counted(settings, num_known, tmp_path):
    generate_dataset(BiogenConfig(num_shot_people=2, **settings), tmp_path / "people")
    dataset = load_dataset_folder(tmp_path / "people")
    warning = warn_about_population(dataset, "nano-large")
    if num_known:
        assert f"pretrained on {num_known} of the 5 people of people" in warning
        assert "--start 800" in warning
    else:
        assert warning == ""
    assert warn_about_population(dataset, str(tmp_path / "no-model")) == ""


@pytest.mark.parametrize("layout", ["terminal", "markdown", "latex"])
def test_a_table_warns_if_the_model_knew_the_answers(layout):
    known = [cell("untrained", 0, {"direct": [1, 1, 1, 0]}), cell("plain", 0, {"direct": [1] * 4})]
    text = render_tables({"b": build_table(known)}, layout)
    assert "the model answers 75" in text
    unknown = [cell("untrained", 0, {"direct": [0] * 4}), known[1]]
    assert "before any training" not in render_tables({"b": build_table(unknown)}, layout)
    missed = select_missed(known)
    assert "before any training" not in render_tables({"b": build_table(missed)}, layout)
    relabeled = [replace(c, parameters=c.parameters | {"label": "x"}) for c in known[1:]]
    assert build_table(relabeled).warning == ""


def test_a_run_warns_before_it_starts(tmp_path: Path):
    dataset = {"people": 3, "start": 0}
    plan = write_plan(tmp_path / "plan.yaml", Path("nano-small"), dataset=dataset, arms=["plain"])
    done = run("run", plan, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "nano-small was pretrained on 3 of the 3 people of dataset" in done.stderr
