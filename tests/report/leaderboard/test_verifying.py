"""Answers that the model gives again, or that training repeats, are verified."""

import json
import re
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from answered_cells import answer
from commands import line_of_error, run, write_grid_plan
from entries import an_entry, changed, find_cell, problems, verify

from elusive.augment.training_text import find_training_texts
from elusive.common.dataset.records import Prediction, from_table, to_table
from elusive.common.folders import hash_file
from elusive.evaluate.cells.cell_folder import find_cells
from elusive.evaluate.cells.metrics import compute_metrics
from elusive.evaluate.cells.rescore import score_again
from elusive.evaluate.plans import load_plan
from elusive.evaluate.run import run_plan
from elusive.report.leaderboard.board import add_cells, init_board
from elusive.report.leaderboard.build import build_board
from elusive.report.leaderboard.verification import compare_answers


def test_answers_that_the_model_gives_again_are_verified_and_shown(tmp_path, model_folder):
    """With a model of the package, which computes in float32 on all machines."""
    run_folder, board = tmp_path / "run", tmp_path / "board"
    plan = write_grid_plan(tmp_path, model_folder, model="nano-small")
    assert run_plan(load_plan(plan), run_folder).failures == []
    init_board(board)
    add_cells(find_cells(run_folder), board)
    build_board(board, tmp_path / "before")
    for entry in [an_entry(board, "random", seed) for seed in (0, 1)]:
        adapter = find_cell(run_folder, entry) / "adapter"
        result = verify(run_folder, entry, "--adapter", adapter)
        assert result.exit_code == 0, result.output
        record = json.loads(entry.with_name(f"{entry.stem}.verified.json").read_text())
        assert (record["how"], record["questions"]) == ("asked again with the adapter", 6)
        assert record["different_answers"] == 0
        assert record["largest_difference"] < 1e-4
    untrained = an_entry(board, "untrained")
    result = verify(run_folder, untrained, "--questions", 2, "--seed", 3, "--by", "Bob")
    assert result.exit_code == 0, result.output
    record = json.loads(untrained.with_name(f"{untrained.stem}.verified.json").read_text())
    assert 2 <= record["questions"] < 6
    assert record["verified_by"] == "Bob"
    result = run("leaderboard", "check", board)
    assert result.exit_code == 0, result.output
    build_board(board, tmp_path / "site")
    rows = pq.read_table(tmp_path / "site" / "leaderboard.parquet").to_pylist()
    assert {row["arm"]: row["verified"] for row in rows} == {
        "random": "2 of 2",
        "plain": "0 of 2",
        "untrained": "1 of 2",
    }
    before, after = (
        (tmp_path / name / "leaderboard.md").read_text().splitlines() for name in ("before", "site")
    )
    marked = [
        sorted(line.split()[1] for line in lines if re.search(r"\](\*\*)? \* +\|", line))
        for lines in (before, after)
    ]
    assert marked == [["plain", "random", "untrained"], ["plain", "untrained"]]
    assert any("log-probabilities and forced choices of 2 of 3 arms" in line for line in after)
    assert (
        "log-probabilities and forced choices of 2 of 3 arms"
        in (tmp_path / "site" / "index.html").read_text()
    )


def test_a_model_with_the_text_at_hand_is_asked_again_with_it(tmp_path, model_folder):
    run_folder, board = tmp_path / "run", tmp_path / "board"
    people = {"people": 3, "start": 3000, "num_shot_people": 8, "dev_rate": 0}  # unknown to it
    plan = write_grid_plan(
        tmp_path,
        model_folder,
        dataset=people,
        model="nano-small",
        seeds=[0],
        controls=["open-book"],
    )
    run_plan(load_plan(plan).model_copy(update={"arms": ()}), run_folder)
    init_board(board)
    add_cells(find_cells(run_folder), board)
    result = verify(run_folder, an_entry(board, "open-book"))
    assert result.exit_code == 0, result.output


def test_a_cell_that_is_trained_again_is_verified(board, finished, model_folder):
    entry = an_entry(board, "plain")
    parameters = json.loads(entry.read_text())["parameters"]
    (text,) = [
        folder.path
        for digest, folder in find_training_texts(finished).items()
        if digest == parameters["train"]
    ]
    arguments = ["--model", model_folder("llama"), "--train", text]
    result = verify(finished, entry, *arguments)
    assert result.exit_code == 0, result.output
    record = json.loads(entry.with_name(f"{entry.stem}.verified.json").read_text())
    assert record["how"] == "trained again"
    assert record["questions"] == 6
    assert record["largest_difference"] <= record["tolerance"]


@pytest.mark.parametrize("what", ["log_probability", "prediction", "forced_choice"])
def test_made_up_answers_are_not_verified(board, finished, model_folder, what):
    entry = an_entry(board, "untrained")
    path = entry.with_suffix(".parquet")
    stored = from_table(pq.read_table(path), Prediction)
    values = {"log_probability": -0.01, "prediction": "Rome", "forced_choice": 0.875}
    made_up = score_again([replace(p, **{what: values[what]}) for p in stored])
    pq.write_table(to_table(made_up, Prediction), path)
    known = json.loads(entry.read_text())["metrics"]["known"]
    metrics = compute_metrics(made_up) | {"known": known}
    changed(entry, honest=True, predictions_sha256=hash_file(path), metrics=metrics)
    assert run("leaderboard", "check", board).exit_code == 0, "only the model can tell"
    result = verify(finished, entry, "--model", model_folder("llama"), "--seed", 1)
    assert result.exit_code == 1
    assert {
        "log_probability": "a log-probability differs by",
        "prediction": "6 of 6 answers differ, 1 may",
        "forced_choice": "6 of 6 choices differ, 1 may",
    }[what] in result.stdout
    assert not list(board.glob("entries/*.verified.json"))


def test_a_verification_of_other_answers_is_noticed(board, finished, model_folder):
    entry = an_entry(board, "untrained")
    assert verify(finished, entry, "--model", model_folder("llama")).exit_code == 0
    record = entry.with_name(f"{entry.stem}.verified.json")
    values = json.loads(record.read_text())
    record.write_text(json.dumps(values | {"predictions_sha256": "0" * 64}))
    (line,) = problems(board)
    assert line == (
        f"entries/{entry.name}: its verification {record.name}: is about other answers: verify the "
        "entry again"
    )
    record.write_text(json.dumps(values | {"largest_difference": 3.0}))
    assert "a log-probability differs by 3 nats" in problems(board)[0]
    record.write_text("{")
    assert "its verification" in problems(board)[0]
    record.rename(record.with_name("0123456789ab.verified.json"))
    assert problems(board) == [
        "entries/0123456789ab.verified.json: a verification without an entry"
    ]


@pytest.mark.parametrize(
    ("label", "arguments", "message"),
    [
        ("plain", [], "the cell was trained: name its adapter with --adapter DIR, or its"),
        ("untrained", ["--adapter", "ADAPTER"], "the cell was not trained: leave out"),
        ("untrained", ["--model", "OTHER"], "--model: has weights "),
        ("untrained", ["--dataset", "KNOWN"], "has content hash"),
        ("plain", ["--train", "OTHER_TEXT"], "--train: has train "),
    ],
)
def test_a_verification_with_the_wrong_things_is_one_line(
    label, arguments, message, board, finished, model_folder, capsys
):
    adapter = next(finished.glob("cells/plain-*/adapter"))
    places = {
        "ADAPTER": adapter,
        "OTHER": model_folder("llama", 1),
        "KNOWN": finished / "known",
        "OTHER_TEXT": next(finished.glob("train/random-seed1-*")),
    }
    given = [places.get(argument, argument) for argument in arguments]
    defaults = {"--dataset": finished / "dataset", "--model": model_folder("llama")}
    for name, value in defaults.items():
        given += [] if name in given else [name, value]
    assert message in line_of_error(capsys, "leaderboard", "verify", an_entry(board, label), *given)


def test_choices_that_are_left_out_are_no_choices():
    """A submitter cannot leave out the wrong ones, which would raise the mean."""
    again = [answer(person, "direct", 0.0) for person in range(4)]
    again = [replace(p, forced_choice=person / 4) for person, p in enumerate(again)]
    chosen = [replace(p, forced_choice=None) if person < 2 else p for person, p in enumerate(again)]
    assert compare_answers(chosen, again)["different_choices"] == 2
    former = [replace(p, forced_choice=None) for p in again]
    assert compare_answers(former, again)["different_choices"] == 0, "entries of version 0.1"
