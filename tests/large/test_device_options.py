"""`--placement` and `--processes` of the commands that use models."""

from pathlib import Path

import numpy as np
import pytest
import torch
from commands import line_of_error, run

from elusive.augment.training_text import TrainingTextFolder
from elusive.evaluate.cells.cell_folder import load_cell

pytestmark = pytest.mark.skipif(
    torch.cuda.device_count() == 1, reason="two processes need two GPUs or none"
)
MODEL = "nano-small"
ATTENTION = ["--method", "attention", "--model", MODEL, "--copies", 1]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No scores of other tests, so that models are loaded."""
    monkeypatch.setenv("ELUSIVE_CACHE", str(tmp_path / "cache"))


def read_scores(folder: Path) -> list[np.ndarray]:
    return [np.array(row.scores) for row in TrainingTextFolder(folder).scores]


def test_scores_do_not_depend_on_the_devices(people_folder, tmp_path, monkeypatch):
    scores = {}
    for name, options in {
        "one": [],
        "auto": ["--placement", "auto"],
        "two": ["--processes", 2],
    }.items():
        monkeypatch.setenv("ELUSIVE_CACHE", str(tmp_path / f"cache-{name}"))
        out = tmp_path / name
        result = run("augment", people_folder, *ATTENTION, *options, "--limit", 2, "--out", out)
        assert result.exit_code == 0, result.output
        scores[name] = read_scores(out)
    for name in ("auto", "two"):
        for own, expected in zip(scores[name], scores["one"], strict=True):
            assert own == pytest.approx(expected, abs=1e-5)


def test_answers_do_not_depend_on_the_devices(people_folder, tmp_path):
    cells = []
    for name, options in {
        "one": [],
        "auto": ["--placement", "auto"],
        "two": ["--processes", 2],
    }.items():
        out = tmp_path / name
        asked = ["--num-shots", 1, "--limit", 2, "--split", "all"]
        result = run("evaluate", people_folder, "--model", MODEL, *asked, *options, "--out", out)
        assert result.exit_code == 0, result.output
        cells.append(load_cell(out))
    answers = [[prediction.prediction for prediction in cell.predictions] for cell in cells]
    assert answers[0] == answers[1] == answers[2]
    assert cells[0].parameters == cells[1].parameters == cells[2].parameters


def test_clues_are_those_of_one_device(people_folder, tmp_path):
    tables = []
    for name, options in {"one": [], "auto": ["--placement", "auto"]}.items():
        out = tmp_path / name
        model = ["--model", MODEL]
        result = run("clues", people_folder, *model, *options, "--limit", 3, "--out", out)
        assert result.exit_code == 0, result.output
        tables.append((out / "clues.csv").read_text())
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--processes", 2, "--workers", 2], "--workers 2 would load the models 2 times"),
        (["--processes", 2, "--placement", "auto"], "cannot be combined"),
        (
            ["--on", "ray", "--set", "resources.processes=2"],
            "--set resources.processes is for plans: `elusive augment` takes --processes",
        ),
        (
            ["--on", "ray", "--set", "resources.gpus=1", "--processes", 2],
            "processes 2 need a GPU each (got gpus 1)",
        ),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    people_folder, tmp_path, capsys, options, message
):
    out = tmp_path / "out"
    line = line_of_error(capsys, "augment", people_folder, *ATTENTION, *options, "--out", out)
    assert message in line


def test_rows_that_processes_cannot_share_are_refused(people_folder, tmp_path, capsys):
    arguments = ["evaluate", people_folder, "--train", tmp_path, "--model", MODEL]
    line = line_of_error(capsys, *arguments, "--processes", 2, "--out", tmp_path / "out")
    assert "processes 2 does not divide accumulation 1" in line
