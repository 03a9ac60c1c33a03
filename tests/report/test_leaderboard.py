"""Leaderboards: from a run to tables; tampering is noticed; labels stay harmless."""

import json
import math
import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from commands import line_of_error, run, write_grid_plan

from elusive.augment.training_text import find_training_texts
from elusive.cli.main import cli
from elusive.common.dataset.records import Prediction, from_table, to_table
from elusive.common.errors import InputError
from elusive.common.folders import hash_file
from elusive.evaluate.cells.cell import compute_cell_id
from elusive.evaluate.cells.cell_folder import find_cells, load_cell
from elusive.evaluate.cells.metrics import compute_mean_scores, compute_metrics
from elusive.evaluate.cells.rescore import score_again
from elusive.evaluate.compare.table import build_table
from elusive.evaluate.plans import load_plan
from elusive.evaluate.run import run_plan
from elusive.report.leaderboard.board import add_cells, init_board
from elusive.report.leaderboard.board_check import check_board
from elusive.report.leaderboard.build import (
    build_board,
    build_board_table,
    rank_benchmarks,
    render_board,
)
from elusive.report.leaderboard.entry import SCHEMA_FILE, build_entry, hash_entry, render_schema
from elusive.report.leaderboard.entry_check import find_schema_problems
from elusive.report.page.benchmark_data import build_benchmark_data

KNOWN = {"people": 2, "start": 50, "num_shot_people": 8, "dev_rate": 0}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model_folder) -> Path:
    """A run of three arms and two seeds that also asks what the model knew before training."""
    folder = tmp_path_factory.mktemp("run")
    plan = write_grid_plan(folder, model_folder, known=KNOWN)
    assert run_plan(load_plan(plan), folder / "out").failures == []
    return folder / "out"


@pytest.fixture
def board(finished, tmp_path) -> Path:
    """A leaderboard of that run."""
    init_board(tmp_path / "board")
    add_cells(find_cells(finished), tmp_path / "board", "Ann", date(2026, 1, 2))
    return tmp_path / "board"


def an_entry(board: Path, label: str = "plain", seed: int = 0) -> Path:
    """Return the file of an entry."""
    for path in board.glob("entries/????????????.json"):
        parameters = json.loads(path.read_text())["parameters"]
        if (parameters["label"], parameters["seed"]) == (label, seed):
            return path
    raise AssertionError(f"no entry of {label}")


def changed(path: Path, honest: bool = False, **values: object) -> None:
    """Change parts of an entry; if `honest`, mend its digest, too."""
    entry = json.loads(path.read_text()) | values
    if honest:
        entry["digest"] = hash_entry(entry)
    path.write_text(json.dumps(entry))


def problems(board: Path) -> list[str]:
    """Return the lines of `elusive leaderboard check`, which must exit with code 1."""
    result = CliRunner().invoke(cli, ["leaderboard", "check", str(board)])
    assert result.exit_code == 1, result.output
    return result.stdout.splitlines()


def test_the_published_schema_is_that_of_the_model():
    command = "write it: elusive leaderboard schema > report/leaderboard/entry.schema.json"
    assert SCHEMA_FILE.read_text(encoding="utf-8") == render_schema(), command
    assert run("leaderboard", "schema").output == render_schema()


def test_a_run_becomes_a_checked_and_built_leaderboard(finished, tmp_path):
    board = tmp_path / "board"
    added = run("leaderboard", "add", finished, "--to", board, "--by", "Ann")
    assert added.exit_code == 0, added.output
    assert "6 entries added, 0 already there" in added.output
    assert "## How to submit" in (board / "README.md").read_text()
    assert (board / "entry.schema.json").read_text() == render_schema()
    checked = run("leaderboard", "check", board)
    assert (checked.exit_code, checked.output) == (
        0,
        f"{board}: all 6 entries are valid\n",
    )
    built = run("leaderboard", "build", board, "--out", tmp_path / "site")
    assert built.exit_code == 0, built.output
    table = pq.read_table(tmp_path / "site" / "leaderboard.parquet")
    assert sorted(table["arm"].to_pylist()) == ["plain", "random", "untrained"]
    assert (tmp_path / "site" / "index.html").stat().st_size > 1000
    assert "| plain " in (tmp_path / "site" / "leaderboard.md").read_text()


def read_board(board):
    return check_board(board).cells


def test_a_leaderboard_gives_back_the_cells_that_were_added(finished, board):
    stored = {cell.folder.name: cell for cell in read_board(board)}
    for cell in find_cells(finished):
        loaded = stored[compute_cell_id(cell.parameters)]
        assert loaded.predictions == cell.predictions
        assert (loaded.known, loaded.metrics, loaded.costs) == (
            cell.known,
            cell.metrics,
            cell.costs,
        )
        assert loaded.log == cell.log
    rows = {row.label: row for row in build_table(find_cells(finished)).rows}
    listed = build_table([replace(cell, trust=None) for cell in stored.values()]).rows
    assert {row.label: row for row in listed} == rows


def test_adding_again_changes_nothing(finished, board):
    before = {path: path.read_bytes() for path in board.rglob("*") if path.is_file()}
    result = run("leaderboard", "add", finished, "--to", board, "--by", "Bob")
    assert "0 entries added, 6 already there" in result.output
    assert {path: path.read_bytes() for path in board.rglob("*") if path.is_file()} == before


def test_a_cell_that_differs_from_its_entry_is_refused(finished, board):
    cells = find_cells(finished)
    costs = cells[0].costs | {"drop_rate": 0.123}
    with pytest.raises(InputError, match=r"differs from its entry .* in costs: keep the entry"):
        add_cells([replace(cells[0], costs=costs)], board)


def test_cells_are_added_all_or_none(finished, tmp_path):
    cells = find_cells(finished)
    init_board(tmp_path / "board")
    wrong = replace(cells[-1], metrics=cells[-1].metrics | {"em": 0.987})
    with pytest.raises(InputError, match=r"\$\.metrics\.em: is 0\.987, the answers give"):
        add_cells([*cells[:-1], wrong], tmp_path / "board")
    assert list((tmp_path / "board" / "entries").iterdir()) == []


def test_a_cell_of_an_older_version_is_refused_in_one_line(finished, tmp_path):
    cell = find_cells(finished)[0]
    parameters = {key: value for key, value in cell.parameters.items() if key != "dataset_name"}
    with pytest.raises(InputError, match=r"cannot become an entry \(parameters\.dataset_name: "):
        add_cells([replace(cell, parameters=parameters)], tmp_path / "board")


def test_paths_of_the_machine_are_not_published(board, finished, model_folder):
    assert str(model_folder("llama")) in str([cell.parameters for cell in find_cells(finished)])
    entries = [path.read_text() for path in board.glob("entries/*.json")]
    assert all(str(model_folder("llama").parent) not in text for text in entries)
    assert all(json.loads(text)["parameters"]["model"] == "llama-0" for text in entries)


def test_losses_that_are_no_numbers_survive(finished, tmp_path):
    cell = next(cell for cell in find_cells(finished) if cell.log)
    assert cell.log is not None
    log = cell.log | {"losses": [1.0, math.nan], "last_loss": math.inf}
    init_board(tmp_path)
    add_cells([replace(cell, log=log)], tmp_path)
    (loaded,) = read_board(tmp_path)
    assert loaded.log is not None
    assert loaded.log["losses"][0] == 1.0
    assert math.isnan(loaded.log["losses"][1])
    assert math.isnan(loaded.log["last_loss"])


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


def forge(entry: Path, known: bool = False, **changes: object) -> None:
    """Take the model's answers as gold answers, so that all are right, and mend all hashes."""
    path = entry.with_name(entry.stem + (".known.parquet" if known else ".parquet"))
    stored = from_table(pq.read_table(path), Prediction)
    forged = score_again([replace(p, answers=[p.prediction or "?"]) for p in stored])
    pq.write_table(to_table(forged, Prediction), path)
    metrics = json.loads(entry.read_text())["metrics"]
    if known:
        perplexity = metrics["known"]["perplexity"]
        metrics["known"] = compute_mean_scores(forged) | {"perplexity": perplexity}
    else:
        metrics = compute_metrics(forged) | {"known": metrics["known"]}
    name = "known_sha256" if known else "predictions_sha256"
    changed(entry, honest=True, **{name: hash_file(path)}, metrics=metrics, **changes)


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


def strip_to_earlier_version(path: Path) -> Path:
    """Turn an entry into one of a version that hashed less, under its own id."""
    entry = json.loads(path.read_text())
    for name in ("settings", "precision", "threads"):
        del entry["parameters"][name]
    del entry["gold"], entry["costs"]["device"]
    entry["cell"] = compute_cell_id(entry["parameters"])
    entry["digest"] = hash_entry(entry)
    renamed = path.with_name(f"{entry['cell']}.json")
    renamed.write_text(json.dumps(entry))
    for suffix in (".parquet", ".known.parquet"):
        path.with_name(path.stem + suffix).rename(renamed.with_name(renamed.stem + suffix))
    path.unlink()
    return renamed


def test_entries_of_an_earlier_version_are_valid_and_marked(board, tmp_path):
    paths = sorted(board.glob("entries/*.json"))
    for path in paths[:-1]:
        strip_to_earlier_version(path)
    assert sum("nothing proves" in line for line in problems(board)) == len(paths) - 1
    strip_to_earlier_version(paths[-1])
    build_board(board, tmp_path / "site")
    text = (tmp_path / "site" / "leaderboard.md").read_text()
    assert "Entries of an earlier version have no proof of their gold answers" in text


def verify(finished: Path, entry: Path, *arguments: object):
    """Verify an entry against the dataset of its run."""
    return run("leaderboard", "verify", entry, "--dataset", finished / "dataset", *arguments)


def find_cell(finished: Path, entry: Path) -> Path:
    """Find the cell of an entry in its run."""
    (folder,) = finished.glob(f"cells/*-{entry.stem}")
    return folder


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
    assert any("log-probabilities of 2 of 3 arms" in line for line in after)
    assert "log-probabilities of 2 of 3 arms" in (tmp_path / "site" / "index.html").read_text()


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


@pytest.mark.parametrize("what", ["log_probability", "prediction"])
def test_made_up_answers_are_not_verified(board, finished, model_folder, what):
    entry = an_entry(board, "untrained")
    path = entry.with_suffix(".parquet")
    stored = from_table(pq.read_table(path), Prediction)
    change = {"log_probability": -0.01} if what == "log_probability" else {"prediction": "Rome"}
    made_up = score_again([replace(p, **change) for p in stored])
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


def test_settings_that_were_chosen_on_test_are_accepted_and_marked(finished, tmp_path):
    """Chosen or not, and on whom, are different rows, even where the settings are the same."""
    choice = {"metric": "em", "value": 0.5, "tries": 4, "settings": {"learning_rate": 1e-3}}
    cells = find_cells(finished)
    swept = [
        replace(
            cell,
            parameters=cell.parameters | {"label": name, "chosen": choice | {"protocol": protocol}},
            predictions=[replace(p, prediction=f"{name} {p.prediction}") for p in cell.predictions],
        )
        for cell in cells
        if cell.parameters["label"] == "random"
        for name, protocol in (("fair", "best-on-dev"), ("tuned", "best-on-test"))
    ]
    ids = {compute_cell_id(cell.parameters) for cell in (*cells, *swept)}
    assert len(ids) == len(cells) + len(swept)
    for cell in swept:
        assert not list(find_schema_problems(build_entry(cell, None, date(2026, 1, 2))))
    benchmarks = rank_benchmarks([*cells, *swept], "em")
    text = render_board(benchmarks)
    assert "The settings of tuned were chosen on the people who are asked about" in text
    assert sum("4 on TEST" in line for line in text.splitlines()) == 1
    assert sum("4 on dev" in line for line in text.splitlines()) == 1
    data = build_benchmark_data("b", [*cells, *swept])
    assert any("The settings of tuned were chosen" in line for line in data["cautions"])
    assert {row["arm"] for row in data["rows"] if "TEST" in row["chosen"]} == {"tuned"}


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


def test_labels_stay_harmless_in_markdown(board):
    label = '<script>alert("x")</script>|\\|[a](b)\n![i](http://x)`'
    cells = [
        replace(cell, parameters=cell.parameters | {"label": label, "dataset_name": "<b>|"})
        if cell.parameters["label"] == "random"
        else replace(cell, parameters=cell.parameters | {"dataset_name": "<b>|"})
        for cell in read_board(board)
    ]
    text = render_board(rank_benchmarks(cells, "em"))
    assert "<script" not in text
    assert "<b>" not in text
    assert "](" not in text.replace("\\](", "")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 5
    bare = [row.replace("\\\\", "").replace("\\|", "") for row in rows]
    assert len({row.count("|") for row in bare}) == 1, "as many columns in every row"


def test_a_table_of_all_benchmarks_has_a_row_for_each_arm_with_its_numbers(board):
    cells = read_board(board)
    elsewhere = [
        replace(cell, parameters=cell.parameters | {"weights": "other", "model": "other"})
        for cell in cells
    ]
    tables = rank_benchmarks([*cells, *elsewhere], "log_probability")
    rows = build_board_table(tables).to_pylist()
    assert len(rows) == 6
    assert {row["benchmark"] for row in rows} == {"dataset, llama-0", "dataset, other"}
    for row in rows:
        assert row["log_probability_low"] <= row["log_probability"] <= row["log_probability_high"]
        assert row["seed_numbers"] == [0, 1]
        assert len(row["cells"]) == 2
    assert render_board(tables).count("\n## ") == 2


def test_a_board_of_one_seed_has_no_ranks_and_is_sorted_by_score(board):
    cells = read_board(board)
    one_seed = [
        replace(cell, parameters=cell.parameters | {"model": "one"})
        for cell in cells
        if cell.parameters["seed"] == 0
    ]
    one_seed = [replace(c, parameters=c.parameters | {"weights": "one"}) for c in one_seed]
    tables = rank_benchmarks([*cells, *one_seed], "log_probability")
    rows = build_board_table(tables).to_pylist()
    ranks = {(row["model"], row["seeds"]): row["rank"] for row in rows}
    assert ranks["one", 1] is None
    assert all(rank for (model, _), rank in ranks.items() if model != "one")
    scores = [row["log_probability"] for row in rows if row["model"] == "one"]
    assert scores == sorted(scores, reverse=True)
    text = render_board(tables)
    assert "With one seed" in text
    assert "Rank: 1 +" in text
    assert sum("| rank " in line for line in text.splitlines()) == 1


def test_a_folder_of_other_things_is_no_leaderboard(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InputError, match=r"holds other files \(notes\.txt\)"):
        init_board(tmp_path)
    with pytest.raises(InputError, match="is not a leaderboard"):
        check_board(tmp_path)


def test_a_readme_of_ones_own_is_kept(tmp_path):
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / ".git").mkdir()
    assert init_board(tmp_path)
    assert not init_board(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_several_benchmarks_get_a_table_each(finished, tmp_path, model_folder):
    import shutil

    other = {"model": str(model_folder("llama", 1)), "arms": ["plain"], "seeds": [0]}
    plan = write_grid_plan(tmp_path, model_folder, **other)
    assert run_plan(load_plan(plan), tmp_path / "out").failures == []
    for cell in finished.glob("cells/[!.]*"):
        shutil.copytree(cell, tmp_path / "out" / "cells" / cell.name)
    names = [f"dataset, {model_folder('llama', number)}" for number in (0, 1)]
    both = run("table", tmp_path / "out", "--format", "markdown")
    assert both.exit_code == 0, both.output
    assert all(both.output.count(f"## {name}\n") == 1 for name in names)
    selected = run("table", tmp_path / "out", "--format", "markdown", "--benchmark", names[0])
    alone = run("table", finished, "--format", "markdown")
    assert selected.output == alone.output
    with pytest.raises(InputError, match="unknown benchmark 'other': allowed are dataset"):
        CliRunner().invoke(
            cli, ["table", str(finished), "--benchmark", "other"], catch_exceptions=False
        )


def test_a_single_cell_can_be_submitted(finished, tmp_path):
    cell = next(finished.glob("cells/plain-seed0-*"))
    added = run("leaderboard", "add", cell, "--to", tmp_path / "board")
    assert added.output.splitlines()[-1].endswith("1 entries added, 0 already there")
    (loaded,) = read_board(tmp_path / "board")
    assert loaded.metrics == load_cell(cell).metrics
    entry = json.loads(next(tmp_path.glob("board/entries/*.json")).read_text())
    assert "submitted_by" not in entry
