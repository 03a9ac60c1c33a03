"""Leaderboards: from a run to tables; tampering is noticed; labels stay harmless."""

import json
import math
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from commands import run, write_grid_plan

from elusive.cli.main import cli
from elusive.common.dataset.records import Prediction, from_table, to_table
from elusive.common.errors import InputError
from elusive.common.folders import hash_file
from elusive.evaluate.cells.cell import compute_cell_id
from elusive.evaluate.cells.cell_folder import find_cells, load_cell
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
from elusive.report.leaderboard.entry import SCHEMA_FILE, hash_entry, render_schema

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
    for path in board.glob("entries/*.json"):
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
    assert {row.label: row for row in build_table(list(stored.values())).rows} == rows


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


def test_gold_answers_of_ones_own_are_noticed(board):
    """With the model's answers as gold answers, the answers would give all scores."""
    from elusive.evaluate.cells.metrics import compute_metrics
    from elusive.evaluate.cells.rescore import score_again

    entry = an_entry(board, "random")
    path = entry.with_suffix(".parquet")
    stored = from_table(pq.read_table(path), Prediction)
    cheated = score_again([replace(p, answers=[p.prediction]) for p in stored])
    pq.write_table(to_table(cheated, Prediction), path)
    known = json.loads(entry.read_text())["metrics"]["known"]
    changed(
        entry,
        honest=True,
        predictions_sha256=hash_file(path),
        metrics=compute_metrics(cheated) | {"known": known},
    )
    (line,) = problems(board)
    assert line.startswith(f"entries/{entry.name}: its questions or gold answers are not those")


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
