"""Tables by kind of question, with the share of tokens predicted, and of missed questions alone."""

from dataclasses import replace

import pytest
from answered_cells import cell
from click.testing import CliRunner
from commands import write_grid_plan

from elusive.cli.main import cli
from elusive.common.errors import InputError
from elusive.evaluate.cells.cell_folder import CellResult, find_cells
from elusive.evaluate.compare.table import build_table, select_missed
from elusive.evaluate.compare.table_columns import flatten_row, format_cells

TARGETS = {"tokens": 0.6, "values": 0.5, "names": 0.9, "relations": 0.7}


@pytest.fixture
def cells() -> list[CellResult]:
    return [
        cell("untrained", 0, {"direct": [1, 0, 0, 0], "reverse": [0, 0, 0, 1]}),
        cell("untrained", 1, {"direct": [0, 1, 0, 0], "reverse": [0, 0, 0, 1]}),
        cell("random", 0, {"direct": [1, 1, 0, 1], "reverse": [1, 0, 0, 1]}, TARGETS),
        cell("random", 1, {"direct": [1, 1, 1, 1], "reverse": [0, 0, 0, 1]}, TARGETS),
    ]


def test_reverse_questions_stand_beside_direct_ones(cells):
    table = build_table(cells)
    header, rows = format_cells(table)
    shown = dict(zip(header, rows[1], strict=True))
    assert (shown["direct questions EM"], shown["reverse questions EM"]) == ("88", "38")
    assert flatten_row(table.rows[1])["em_reverse_questions"] == 3 / 8
    of_one_kind = [
        replace(c, predictions=[p for p in c.predictions if p.kind == "direct"]) for c in cells
    ]
    assert "direct questions EM" not in format_cells(build_table(of_one_kind))[0]


def test_what_training_predicts_is_shown_where_arms_may_differ(cells):
    header, rows = format_cells(build_table(cells))
    untrained, random = (dict(zip(header, row, strict=True)) for row in rows)
    assert random["value targets %"] == "50"
    assert random["relation targets %"] == "70"
    assert untrained["value targets %"] == ""
    assert flatten_row(build_table(cells).rows[1])["predicted_values"] == 0.5


def test_missed_questions_are_those_of_the_untrained_model_seed_by_seed(cells):
    chosen = select_missed(cells)
    counts = [len(cell.predictions) for cell in chosen]
    assert counts == [6, 6, 6, 6]
    asked = [[p.question_id for p in cell.predictions] for cell in chosen]
    assert asked[0] == asked[2] != asked[1] == asked[3]
    before, after = build_table(chosen).rows
    assert before.em.mean == 0
    assert after.em.mean == pytest.approx((3 + 3) / 12)
    assert after.questions == 6
    with pytest.raises(InputError, match="leave out --missed"):
        select_missed(cells[2:])


def test_the_command_counts_missed_questions_alone(tmp_path, model_folder):
    plan = write_grid_plan(tmp_path, model_folder, arms=["plain"], seeds=[0])
    run = CliRunner().invoke(cli, ["run", str(plan), "--out", str(tmp_path / "run")])
    assert run.exit_code == 0, run.output
    shown = CliRunner().invoke(cli, ["table", str(tmp_path / "run"), "--missed", "--format", "csv"])
    assert shown.exit_code == 0, shown.output
    rows = [line.split(",") for line in shown.output.splitlines()]
    before = dict(zip(rows[0], rows[1], strict=True))
    right = sum(p.em for c in find_cells(tmp_path / "run") if c.log is None for p in c.predictions)
    assert float(before["questions"]) == 6 - right
    assert float(before["em"]) == 0
