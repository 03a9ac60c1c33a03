"""From a run to a leaderboard and its tables; labels stay harmless."""

import json
import math
from dataclasses import replace
from datetime import date

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from commands import line_of_error, run, write_grid_plan

from elusive.cli.main import cli
from elusive.common.errors import InputError
from elusive.evaluate.cells.cell import compute_cell_id
from elusive.evaluate.cells.cell_folder import find_cells, load_cell
from elusive.evaluate.plans import load_plan
from elusive.evaluate.run import run_plan
from elusive.evaluate.tables.table import build_table
from elusive.report.leaderboard.board import add_cells, init_board
from elusive.report.leaderboard.board_check import check_board
from elusive.report.leaderboard.build import (
    build_board_table,
    rank_benchmarks,
    render_board,
)
from elusive.report.leaderboard.entry import SCHEMA_FILE, build_entry, render_schema
from elusive.report.leaderboard.entry_check import find_schema_problems
from elusive.report.page.benchmark_data import build_benchmark_data


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


def test_a_table_of_a_leaderboard_is_that_of_its_run(finished, board, capsys):
    """By place of the name, too, for which a leaderboard alone has no texts."""
    dataset = finished / "dataset"
    for options in ((), ("--mention", "before")):
        given = ("--dataset", dataset) if options else ()
        of_run, of_board = (
            run(
                "table",
                folder,
                "--format",
                "csv",
                "--columns",
                "arm,rank,em,em_low,forced_choice",
                *options,
                *more,
            )
            for folder, more in ((finished, ()), (board, given))
        )
        assert of_board.exit_code == 0, of_board.output
        assert of_board.stdout == of_run.stdout
    note = run("table", board, "--dataset", dataset).stderr
    assert "note: a table without --mention does not use --dataset" in note
    line = line_of_error(
        capsys, "table", finished, "--mention", "in", "--dataset", finished / "known"
    )
    assert "its dataset (content hash" in line
    next(board.glob("entries/*.parquet")).unlink()
    assert f"`elusive leaderboard check {board}`" in line_of_error(capsys, "table", board)


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


def test_benchmarks_of_an_earlier_version_are_ranked_by_exact_match(board):
    cells = read_board(board)
    former = [
        replace(
            cell,
            parameters=cell.parameters | {"weights": "old", "model": "old"},
            predictions=[replace(p, forced_choice=None) for p in cell.predictions],
        )
        for cell in cells
    ]
    tables = rank_benchmarks([*cells, *former], "forced_choice")
    assert {table.name: table.results.metric for table in tables} == {
        "dataset, llama-0": "forced_choice",
        "dataset, old": "em",
    }
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


def test_a_page_is_not_written_into_a_dataset(board, people_folder, capsys):
    before = sorted(people_folder.iterdir())
    line = line_of_error(capsys, "leaderboard", "build", board, "--out", people_folder)
    assert f"would lie in {people_folder}, a finished dataset" in line
    assert sorted(people_folder.iterdir()) == before
    line = line_of_error(capsys, "leaderboard", "build", board, "--out", board / "entries")
    assert "holds the leaderboard's entries alone" in line


def test_cells_that_also_ask_what_was_known_are_a_benchmark_of_their_own(
    board, tmp_path, model_folder
):
    """Their answers to the other questions are the same, which is no fault of either."""
    plan = write_grid_plan(tmp_path, model_folder)
    assert run_plan(load_plan(plan), tmp_path / "out").failures == []
    added = run("leaderboard", "add", tmp_path / "out", "--to", board)
    assert "6 entries added" in added.output, added.output
    assert run("leaderboard", "check", board).output.endswith("all 12 entries are valid\n")
    names = [benchmark.name for benchmark in rank_benchmarks(read_board(board), "em")]
    assert sorted(name.split(", ")[-1].split()[0] for name in names) == ["known", "no"]


def test_a_readme_of_ones_own_is_kept(tmp_path):
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / ".git").mkdir()
    assert init_board(tmp_path)
    assert not init_board(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_several_benchmarks_get_a_table_each(finished, tmp_path, model_folder):
    import shutil

    other = {"model": str(model_folder("llama", 1)), "arms": ["plain"], "seeds": [0]}
    other["untrained"] = False
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
    missed = run("table", tmp_path / "out", "--missed", "--format", "markdown")
    assert missed.stdout == run("table", finished, "--missed", "--format", "markdown").stdout
    assert f"note: no table of {names[1]!r}: the model before training was not" in missed.stderr
    with pytest.raises(InputError, match="unknown benchmark 'other': allowed are 'dataset, "):
        CliRunner().invoke(
            cli, ["table", str(finished), "--benchmark", "other"], catch_exceptions=False
        )


def test_a_single_cell_can_be_submitted(finished, tmp_path):
    cell = next(finished.glob("cells/plain-seed0-*"))
    added = run("leaderboard", "add", cell, "--to", tmp_path / "board")
    assert added.output.splitlines()[-1].endswith("1 entry added, 0 already there")
    (loaded,) = read_board(tmp_path / "board")
    assert loaded.metrics == load_cell(cell).metrics
    entry = json.loads(next(tmp_path.glob("board/entries/*.json")).read_text())
    assert "submitted_by" not in entry
