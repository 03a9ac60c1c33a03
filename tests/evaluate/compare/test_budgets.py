"""Training budgets are shown and kept apart; versions and devices that differ are shown."""

from dataclasses import replace
from pathlib import Path

import pytest
from commands import run, write_plan

from elusive.common.dataset.records import Prediction
from elusive.evaluate.cells.cell_folder import CellResult, find_cells
from elusive.evaluate.compare.groups import group_benchmarks
from elusive.evaluate.plans import load_plan
from elusive.evaluate.run import run_plan
from elusive.evaluate.tables.formats import render_csv, render_latex, render_markdown
from elusive.evaluate.tables.table import build_table

ANSWER = Prediction("1", "P1", "major", "?", ["x"], "x", 1.0, 1.0, 1.0, 1.0, -0.1, 0)
STAGES = ("scoring", "dropping", "training", "answering")


def cell(
    label: str,
    copies: int = 10,
    training: dict[str, object] | None = None,
    chosen: dict[str, object] | None = None,
    device: str | None = "cpu (AVX2)",
    **versions: str,
) -> CellResult:
    """A cell of one answer; nothing was trained if `training` is empty."""
    parameters = {
        "label": label,
        "seed": 0,
        "dataset": "d",
        "dataset_name": "people",
        "model": "nano",
        "weights": "w",
        "augment": {"method": label, "copies": copies} if training else {"method": label},
        "training": training,
        "answering": {},
        "scoring": "s",
    } | ({"chosen": chosen} if chosen else {})
    costs = {
        "seconds": dict.fromkeys(STAGES, 1.0),
        "peak_memory_mib": dict.fromkeys(STAGES, 1.0),
        "drop_rate": 0.0,
        "training_tokens": 100,
        "questions": 1,
        "device": device,
    }
    return CellResult(Path(label), parameters, [ANSWER], [], {}, costs, {}, versions)


SIX, ONE = {"epochs": 6, "budget": "steps"}, {"epochs": 1, "budget": "steps"}
TOKENS = {"epochs": 6, "budget": "tokens"}


def group(*cells: CellResult) -> dict[str, list[str]]:
    """Labels of the cells of each benchmark."""
    return {
        name: [cell.parameters["label"] for cell in members]
        for name, members in group_benchmarks(list(cells)).items()
    }


def test_arms_of_other_exposures_or_of_equal_tokens_get_their_own_tables():
    before, plain, few = cell("untrained"), cell("plain", 10, SIX), cell("few", 1, SIX)
    tokens, short = cell("tokens", 10, TOKENS), cell("short", 10, ONE)
    assert group(before, plain) == {"people, nano": ["untrained", "plain"]}
    assert group(before, plain, few, tokens, short) == {
        "people, nano, 66 exposures": ["untrained", "plain"],
        "people, nano, 12 exposures": ["untrained", "few"],
        "people, nano, tokens of 66 exposures": ["untrained", "tokens"],
        "people, nano, 11 exposures": ["untrained", "short"],
    }


def test_as_many_exposures_by_more_copies_or_more_epochs_are_one_budget():
    assert len(group(cell("a", 1, SIX), cell("b", 11, ONE))) == 1


def test_a_sweep_that_chose_epochs_keeps_its_arms_together():
    choice: dict[str, object] = {
        "protocol": "best-on-dev",
        "metric": "em",
        "value": 1.0,
        "tries": 2,
    }
    swept = [
        cell(label, 10, {"epochs": epochs}, choice | {"settings": {"epochs": epochs}})
        for label, epochs in (("plain", 6), ("random", 10))
    ]
    assert group(*swept) == {"people, nano": ["plain", "random"]}
    assert [row.exposures for row in build_table(swept).rows] == [66, 110]
    tried = [
        replace(
            c, parameters=c.parameters | {"chosen": c.parameters["chosen"] | {"epochs": [6, 10]}}
        )
        for c in swept
    ]
    assert group(*tried) == {"people, nano": ["plain", "random"]}


def test_a_sweep_that_tried_no_epochs_keeps_budgets_apart():
    """A trial's settings name the epochs also where the plan gave one number to all."""
    choice: dict[str, object] = {"settings": {"epochs": 6, "learning_rate": 1e-3}, "epochs": []}
    plain, tokens = cell("plain", 10, SIX, choice), cell("tokens", 10, TOKENS, choice)
    short = cell("short", 10, ONE, choice | {"settings": {"epochs": 1}})
    assert list(group(plain, tokens, short)) == [
        "people, nano, 66 exposures",
        "people, nano, tokens of 66 exposures",
        "people, nano, 11 exposures",
    ]


def test_another_tokenizer_or_precision_is_another_benchmark():
    plain = cell("plain", 10, SIX)
    for name in ("settings", "precision"):
        other = replace(plain, parameters=plain.parameters | {name: "other"})
        assert len(group(plain, other)) == 2


@pytest.mark.parametrize("render", [render_markdown, render_csv, render_latex])
def test_every_table_shows_the_exposures(render):
    table = build_table([cell("untrained"), cell("plain", 10, SIX), cell("random", 10, TOKENS)])
    text = render(table)
    assert "exposures" in text
    assert text.count("66") == 2
    if render is not render_csv:
        assert "66 in tokens" in text


def test_versions_and_devices_that_differ_are_one_line_below_the_table():
    plain = cell("plain", 10, SIX, torch="2.9", numpy="2")
    other = cell("random", 10, SIX, device="NVIDIA H100", torch="2.10", numpy="2")
    line = "The cells were not made alike: device NVIDIA H100, cpu (AVX2); torch 2.10, 2.9."
    table = build_table([plain, other])
    assert table.differences == line
    assert render_markdown(table).splitlines()[-2:] == ["", line]
    assert render_latex(table).splitlines()[-1] == f"% {line}"
    assert build_table([plain]).differences == ""
    assert build_table([plain, replace(other, costs=plain.costs, versions={})]).differences == ""


def test_a_run_of_two_budgets_prints_two_tables_and_records_its_device(
    tmp_path, model_folder, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "250")
    more = {"method": "random", "label": "random-more", "copies": 4}
    plan = write_plan(tmp_path / "plan.yaml", model_folder("llama"), arms=["plain", more])
    result = run_plan(load_plan(plan), tmp_path / "out")
    assert result.failures == []
    for made in find_cells(tmp_path / "out"):
        assert made.costs["device"].startswith("cpu (")
        assert made.versions["torch"]
    output = run("table", tmp_path / "out").output
    name = f"people, {model_folder('llama')}".replace("people", "dataset")
    assert f"{name}, 3 exposures\n" in output
    assert f"{name}, 5 exposures\n" in output
    assert output.count(" untrained ") == 6, "three parts of two tables"
