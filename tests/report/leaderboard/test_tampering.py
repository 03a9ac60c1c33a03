"""Changed, forged, missing and broken entries are noticed."""

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from commands import line_of_error, run
from entries import an_entry, changed, forge, problems, strip_to_earlier_version

from elusive.common.dataset.records import Prediction, from_table, to_table
from elusive.common.errors import InputError
from elusive.common.folders import hash_file
from elusive.evaluate.cells.cell import compute_cell_id
from elusive.report.leaderboard.build import build_board
from elusive.report.leaderboard.entry import hash_entry


def test_changed_answers_are_noticed(board):
    path = an_entry(board).with_suffix(".parquet")
    predictions = from_table(pq.read_table(path), Prediction)
    predictions[0] = replace(predictions[0], prediction="something else")
    pq.write_table(to_table(predictions, Prediction), path)
    assert problems(board)[0] == (
        f"entries/{path.stem}.json: its answers were changed after the entry was made: {path.name}"
    )


def test_changed_answers_are_noticed_by_their_scores_when_the_hash_is_mended(board):
    entry = an_entry(board)
    path = entry.with_suffix(".parquet")
    predictions = from_table(pq.read_table(path), Prediction)
    better = [replace(p, em=1.0, f1=1.0) for p in predictions]
    pq.write_table(to_table(better, Prediction), path)
    changed(entry, honest=True, predictions_sha256=hash_file(path))
    lines = problems(board)
    assert len(lines) == 1
    assert f"the texts of {len(better)} answers give other scores" in lines[0]


@pytest.mark.parametrize("known", [False, True])
def test_gold_answers_of_ones_own_are_noticed(board, known):
    entry = an_entry(board, "random")
    forge(entry, known)
    lines = problems(board)
    name = "known" if known else "dataset"
    assert lines[0] == (
        f"entries/{entry.name}: $.gold.{name}: its questions or gold answers are not proven: the "
        "dataset has other answers"
    )


@pytest.mark.parametrize("known", [False, True])
def test_gold_answers_of_ones_own_are_noticed_in_the_only_entries_of_a_dataset(board, known):
    """No other entry is needed, because the proof belongs to the dataset's hash."""
    paths = sorted(board.glob("entries/*.json"))
    for path in paths:
        forge(path, known)
    lines = problems(board)[: len(paths)]
    assert all("the dataset has other answers" in line for line in lines)


def test_an_entry_without_its_proof_is_noticed(board, finished):
    entry = an_entry(board, "random")
    forge(entry, gold={})
    lines = problems(board)
    assert lines[0].startswith(f"entries/{entry.name}: nothing proves that its gold answers are ")
    result = run("leaderboard", "check", board, "--dataset", finished / "dataset")
    assert "questions differ from those of the dataset, first" in result.output
    assert f"entries/{entry.name}: nothing proves" in result.output, "of the known ones"


def test_a_dataset_at_hand_takes_the_place_of_a_proof(board, finished):
    for path in board.glob("entries/*.json"):
        changed(path, honest=True, gold={})
    assert len(problems(board)) == 6
    datasets = ["--dataset", finished / "dataset", "--dataset", finished / "known"]
    result = run("leaderboard", "check", board, *datasets)
    assert result.exit_code == 0, result.output
    assert run("leaderboard", "build", board, *datasets).exit_code == 0


def test_a_dataset_that_no_entry_was_measured_on_is_one_line(board, people_folder, capsys):
    line = line_of_error(capsys, "leaderboard", "check", board, "--dataset", people_folder)
    assert "no entry was measured on" in line


def test_entries_of_an_earlier_version_are_valid_and_marked(board, tmp_path):
    paths = sorted(board.glob("entries/*.json"))
    for path in paths[:-1]:
        strip_to_earlier_version(path)
    assert sum("nothing proves" in line for line in problems(board)) == len(paths) - 1
    strip_to_earlier_version(paths[-1])
    build_board(board, tmp_path / "site")
    text = (tmp_path / "site" / "leaderboard.md").read_text()
    assert "Entries of an earlier version have no proof of their gold answers" in text


@pytest.mark.parametrize("honest", [False, True])
def test_changed_metrics_are_noticed(board, honest):
    path = an_entry(board)
    metrics = json.loads(path.read_text())["metrics"]
    metrics["by"]["field"]["major"]["em"] = metrics["em"] = 0.75
    changed(path, honest, metrics=metrics)
    (line,) = problems(board)
    assert f"entries/{path.name}: $.metrics.by.field.major.em: is 0.75, the answers give" in line
    assert line.endswith("(and 1 more)")


def test_changed_parameters_are_noticed(board):
    path = an_entry(board)
    parameters = json.loads(path.read_text())["parameters"]
    parameters["training"]["epochs"] = 99
    changed(path, honest=True, parameters=parameters)
    lines = problems(board)
    assert f"entries/{path.name}: $.cell: is {path.stem!r}, but the parameters give " in lines[0]


def test_changed_costs_and_names_are_noticed(board):
    for path, (part, name, value) in zip(
        sorted(board.glob("entries/*.json")),
        [("costs", "training_tokens", 1), ("parameters", "label", "best")],
        strict=False,
    ):
        changed(path, **{part: json.loads(path.read_text())[part] | {name: value}})
    lines = [line for line in problems(board) if "$.digest: something in the entry" in line]
    assert len(lines) == 2


@pytest.mark.parametrize("suffix", [".parquet", ".known.parquet"])
def test_missing_answers_are_noticed(board, suffix):
    path = an_entry(board)
    path.with_name(path.stem + suffix).unlink()
    lines = problems(board)
    assert lines[0] == f"entries/{path.name}: its answers are missing: {path.stem}{suffix}"


def test_answers_without_an_entry_are_noticed(board):
    an_entry(board).rename(board / "elsewhere.json")
    assert [line.split(": ")[1] for line in problems(board)[:2]] == ["answers without an entry"] * 2


@pytest.mark.parametrize("content", ["{", "", "[1, 2]", '{"cell": 3}', "null", "\x00"])
def test_broken_entries_are_noticed(board, content):
    path = an_entry(board)
    path.write_text(content)
    assert all("Traceback" not in line for line in problems(board))
    assert problems(board)[0].startswith(f"entries/{path.name}: ")


def test_unknown_and_wrong_keys_are_noticed_with_their_path(board):
    path = an_entry(board)
    entry = json.loads(path.read_text())
    costs = entry["costs"] | {"drop_rate": 1.5, "dollars": 3}
    changed(path, costs=costs)
    lines = problems(board)
    assert f"entries/{path.name}: $.costs.drop_rate: 1.5 is greater than the maximum of 1" in lines
    assert any("$.costs: Additional properties" in line and "dollars" in line for line in lines)


def test_an_arm_that_lacks_a_seed_is_noticed_and_not_built(board, tmp_path):
    path = an_entry(board, "random", 1)
    for file in board.glob(f"entries/{path.stem}.*"):
        file.unlink()
    assert problems(board) == ["'dataset, llama-0': arm 'random' has seeds 0, others have 0, 1"]
    with pytest.raises(InputError, match="has 1 problem, such as"):
        build_board(board, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_an_entry_of_too_many_brackets_is_one_line(board):
    an_entry(board).write_text("[" * 100_000)
    assert any("not valid JSON" in line for line in problems(board))


def test_a_cell_that_is_there_twice_is_noticed(board):
    path = an_entry(board)
    copied = path.with_name("0123456789ab.json")
    copied.write_text(path.read_text())
    for suffix in (".parquet", ".known.parquet"):
        source = path.with_name(path.stem + suffix)
        copied.with_name(copied.stem + suffix).write_bytes(source.read_bytes())
    lines = problems(board)
    assert any("is not the name of the file" in line for line in lines)
    assert any("the same cell as" in line for line in lines)


def test_answers_copied_to_another_seed_are_noticed(board):
    path = an_entry(board)
    entry = json.loads(path.read_text())
    entry["parameters"]["seed"] = 77
    entry["cell"] = compute_cell_id(entry["parameters"])
    entry["digest"] = hash_entry(entry)
    copied = path.with_name(f"{entry['cell']}.json")
    copied.write_text(json.dumps(entry))
    for suffix in (".parquet", ".known.parquet"):
        source = path.with_name(path.stem + suffix)
        copied.with_name(copied.stem + suffix).write_bytes(source.read_bytes())
    assert any("the same answers as" in line for line in problems(board))
