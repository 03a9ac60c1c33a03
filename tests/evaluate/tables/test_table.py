"""Tables by kind of question, with the share of tokens predicted, and of missed questions alone."""

import re
from dataclasses import replace

import pytest
from answered_cells import cell
from click.testing import CliRunner
from commands import write_grid_plan

from elusive.cli.main import cli
from elusive.common.errors import InputError
from elusive.common.text_tables import render_terminal_table
from elusive.evaluate.cells.cell_folder import CellResult, find_cells
from elusive.evaluate.compare.groups import group_arms
from elusive.evaluate.compare.selection import select_kinds, select_missed
from elusive.evaluate.tables.columns import flatten_row, format_cells
from elusive.evaluate.tables.formats import RENDERERS, render_note, render_tables
from elusive.evaluate.tables.table import build_comparable_table, build_table

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
    shown = dict(zip(header, rows[0], strict=True))
    assert (shown["direct questions EM"], shown["reverse questions EM"]) == ("88", "38")
    assert flatten_row(table.rows[0])["em_reverse_questions"] == 3 / 8
    of_one_kind = [
        replace(c, predictions=[p for p in c.predictions if p.kind == "direct"]) for c in cells
    ]
    assert "direct questions EM" not in format_cells(build_table(of_one_kind))[0]


def choose(cell: CellResult, *shares: float | None) -> CellResult:
    """Give the first answers of a cell a forced choice."""
    chosen = [replace(p, forced_choice=s) for p, s in zip(cell.predictions, shares, strict=False)]
    return replace(cell, predictions=chosen + cell.predictions[len(chosen) :])


def test_arms_are_ranked_by_forced_choice_where_questions_have_one(cells):
    shares = [(0.5, None), (0.75, None), (1.0, None), (0.5, None)]
    table = build_table(
        [choose(c, *s) for c, s in zip(cells, shares, strict=True)], None, "forced_choice"
    )
    random, untrained = (flatten_row(row) for row in table.rows)
    assert (random["arm"], random["forced_choice"]) == ("random", 0.75)
    assert (untrained["forced_choice"], untrained["difference"]) == (0.625, -0.125)
    header, rows = format_cells(table)
    shown = dict(zip(header, rows[1], strict=True))
    assert shown["forced choice %"].startswith("62 [")
    assert shown["forced_choice vs random"].startswith("-12 [")


def test_arms_whose_cells_an_earlier_version_made_have_no_forced_choice(cells):
    header, _ = format_cells(build_table(cells))
    assert "forced choice %" not in header
    mixed = [choose(c, 1.0) for c in cells[:3]] + cells[3:]
    table = build_table(mixed)
    shown = {row.label: row.forced_choice for row in table.rows}
    assert shown["random"] is None
    assert shown["untrained"] is not None
    assert flatten_row(table.rows[0])["forced_choice_low"] is None
    for render in RENDERERS.values():
        assert render(table)
    with pytest.raises(InputError, match="'forced_choice': 1 of 4 cells lack it, first random"):
        build_table(mixed, metric="forced_choice")
    newer = [choose(c, 1.0) if c.parameters["label"] == "untrained" else c for c in cells]
    table = build_comparable_table(newer, metric="forced_choice")
    assert [row.label for row in table.rows] == ["untrained"]
    assert table.left_out == (
        "random: its cells lack forced_choice, as those of earlier versions do",
    )
    with pytest.raises(InputError, match="the baseline 'random' is not in the table"):
        build_comparable_table(newer, "random", "forced_choice")


def test_what_training_predicts_is_shown_where_arms_may_differ(cells):
    header, rows = format_cells(build_table(cells))
    random, untrained = (dict(zip(header, row, strict=True)) for row in rows)
    assert random["value targets %"] == "50"
    assert random["relation targets %"] == "70"
    assert untrained["value targets %"] == ""
    assert flatten_row(build_table(cells).rows[0])["predicted_values"] == 0.5


def test_missed_questions_are_those_of_the_untrained_model_seed_by_seed(cells):
    chosen = select_missed(cells)
    counts = [len(cell.predictions) for cell in chosen]
    assert counts == [6, 6, 6, 6]
    asked = [[p.question_id for p in cell.predictions] for cell in chosen]
    assert asked[0] == asked[2] != asked[1] == asked[3]
    after, before = build_table(chosen).rows
    assert before.em.mean == 0
    assert after.em.mean == pytest.approx((3 + 3) / 12)
    assert after.questions == 6
    with pytest.raises(InputError, match="leave out --missed"):
        select_missed(cells[2:])


def test_questions_of_one_kind_have_a_table_of_their_own(cells):
    reverse = select_kinds(cells, ["reverse"])
    assert {p.kind for cell in reverse for p in cell.predictions} == {"reverse"}
    by_kind = {row.label: row for row in build_table(cells).rows}
    for row in build_table(reverse).rows:
        count = sum(p.kind == "reverse" for p in cells[0].predictions)
        assert row.questions == count < by_kind[row.label].questions
    assert select_kinds(cells, ["direct", "reverse"]) == cells
    with pytest.raises(InputError, match="unknown kind 'revers': did you mean 'reverse'"):
        select_kinds(cells, ["revers"])


def test_labels_that_look_numbered_stay_apart():
    """`random` keeps its name, as it is the baseline, and no arm takes the place of another."""
    labels = ["random (2)", "random (clean)", "random"]
    arms = group_arms([cell(label, 0, {"direct": [1, 0]}) for label in labels])
    assert set(arms) == set(labels)
    twice = [cell("random", 0, {"direct": [1, 0]}) for _ in range(3)]
    apart = [
        replace(c, parameters=c.parameters | {"weights": str(number)})
        for number, c in enumerate([*twice, cell("random (2)", 0, {"direct": [0, 0]})])
    ]
    assert set(group_arms(apart)) == {"random", "random (2)", "random (3)", "random (2) (2)"}


def test_arms_of_one_label_are_named_by_what_differs_and_none_is_the_baseline(cells):
    """After a plan was edited, its folder holds the arm as it was, too."""
    both = [c for c in cells if c.parameters["label"] == "untrained"] + [
        replace(
            c, parameters=c.parameters | {"augment": c.parameters["augment"] | {"alpha": alpha}}
        )
        for c in cells
        for alpha in (0.7, 0.9)
        if c.parameters["label"] == "random"
    ]
    table = build_table(both)
    assert {row.label for row in table.rows} == {
        *("untrained", "random, alpha 0.7", "random, alpha 0.9")
    }
    assert table.baseline is None
    with pytest.raises(InputError, match="unknown baseline 'random'"):
        build_table(both, "random")


def test_what_was_not_asked_is_blank_and_small_p_values_are_no_zeros(cells):
    metrics = {"known": {"em": 0.5, "perplexity": 2.0}}
    table = build_table([*cells[:2], *(replace(c, metrics=metrics) for c in cells[2:])])
    header, rows = format_cells(table)
    shown = [row[header.index("known EM %")] for row in rows]
    assert shown == ["50", ""]
    small = replace(table, rows=[replace(row, p_value=1e-7) for row in table.rows])
    header, rows = format_cells(small)
    assert {row[header.index("p (Holm)")] for row in rows} == {"<.0001"}


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


def test_the_best_arm_comes_first_in_every_format(cells):
    table = build_table(cells)
    assert [row.label for row in table.rows] == ["random", "untrained"]
    for layout in RENDERERS:
        shown = render_tables({"": table}, layout)
        assert shown.index("random") < shown.index("untrained"), layout


def test_the_best_of_a_column_is_bold(cells):
    markdown = render_tables({"": build_table(cells)}, "markdown").splitlines()
    names = [name.strip() for name in markdown[0].split("|")]
    best, other = (
        dict(zip(names, (cell.strip() for cell in line.split("|")), strict=True))
        for line in markdown[2:4]
    )
    assert best["EM %"].startswith("**62 [")
    assert best["EM %"].endswith("]**")
    assert not other["EM %"].startswith("**")
    assert best["gold log-prob"].startswith("**")  # both have -1.00
    assert other["gold log-prob"].startswith("**")
    assert "**" not in best["seeds"]
    latex = render_tables({"": build_table(cells)}, "latex")
    assert r"\textbf{62 [" in latex
    assert r"EM \%" in latex


def test_latex_has_the_columns_of_a_paper_unless_others_are_named(cells):
    table = build_table(cells)
    header = render_tables({"": table}, "latex").splitlines()[3]
    assert header == (
        r"arm & rank & EM \% & F1 \% & gold log-prob & em vs random & p (Holm) & dropped \% "
        r"& exposures \\"
    )
    assert "$-$1.00 [$-$1.00" in render_tables({"": table}, "latex")
    chosen = render_tables({"": table}, "latex", ("em", "tokens-s")).splitlines()[3]
    assert chosen == r"arm & EM \% & tokens/s \\"


@pytest.mark.parametrize("layout", ["terminal", "markdown", "latex"])
def test_columns_are_chosen_by_name(layout, cells):
    shown = render_tables({"": build_table(cells)}, layout, ("p-holm", "difference", "costs"))
    order = ["(Holm)", "em vs random", "scoring"]
    assert [name for name in order if name in shown] == order
    assert "F1" not in shown
    with pytest.raises(InputError, match=r"unknown column 'gold': .*did you mean 'gold-log-prob'"):
        render_tables({"": build_table(cells)}, layout, ("gold",))


def test_columns_of_csv_are_its_own(cells):
    shown = render_tables({"": build_table(cells)}, "csv", ("em", "p_value")).splitlines()
    assert shown[0] == "arm,em,p_value"
    with pytest.raises(InputError, match="unknown column of CSV 'p-holm'"):
        render_tables({"": build_table(cells)}, "csv", ("p-holm",))


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width, cells, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    long = [
        replace(c, parameters=c.parameters | {"label": f"{c.parameters['label']}-{'x' * 60}-end"})
        for c in cells
    ]
    table = build_table(long, baseline=long[2].parameters["label"])
    note = render_note(table, ("d_z", "opens %"))
    shown = render_tables(
        {"people, /home/somebody/models/" + "y" * 99: table, "b": table}, "terminal"
    )
    assert note in shown
    lines = shown.replace(note, "").splitlines()
    assert max(map(len, lines)) <= width
    assert "…" in shown
    assert "-end" in shown
    names = " ".join(line for line in lines if not line.startswith(("random", "untrained")))
    for name in ("gold log-prob", "p (Holm)", "contains", "points/min"):
        assert all(word in names for word in name.split()), name


def test_labels_in_brackets_and_emoji_codes_stay_as_they_are():
    labels = ["random [mask]", "random [/b]", "[x](y)", ":smile:"]
    shown = render_terminal_table(["arm", "EM %"], [[label, "1"] for label in labels], 80)
    assert all(f" {label} " in shown for label in labels)


def test_nothing_is_cut_from_the_header_of_a_table():
    header = ["scorer", "name in top 10 %", *(f"measure {n} of ten" for n in range(10))]
    shown = render_terminal_table(header, [["attention", *(["0.50 [0.40, 0.60]"] * 11)]], 80)
    assert "…" not in shown
    assert shown.count("measure") == 10
    assert shown.count("attention") > 1
    assert max(map(len, shown.splitlines())) <= 80


def test_arms_that_differ_in_the_middle_of_their_names_are_told_apart():
    arms = [f"permute + restate by {finder} in place of pronouns" for finder in ("head", "name")]
    shown = render_terminal_table(["arm", "EM %"], [[arm, "1"] for arm in arms], 60)
    assert all(arm in shown for arm in arms)


def test_a_column_that_only_some_tables_have_is_left_out(cells):
    one_seed = build_table([cell for cell in cells if cell.parameters["seed"] == 0])
    shown = render_tables({"": one_seed}, "markdown", ("rank", "em", "known-em"))
    assert [name.strip() for name in shown.splitlines()[0].split("|")[1:-1]] == ["arm", "EM %"]


@pytest.fixture
def unfinished(cells) -> list[CellResult]:
    """Two arms with both seeds, and one with the first."""
    return [*cells, cell("oracle", 0, {"direct": [1, 1, 1, 1], "reverse": [1, 1, 1, 1]}, TARGETS)]


@pytest.mark.parametrize("layout", ["terminal", "markdown", "latex"])
def test_an_unfinished_arm_is_named_below_the_table(unfinished, layout):
    table = build_comparable_table(unfinished)
    assert [row.label for row in table.rows] == ["random", "untrained"]
    shown = RENDERERS[layout](table)
    assert "not in the table: oracle: not finished for seed 1" in shown


def test_an_unfinished_baseline_is_refused_with_the_reason(unfinished):
    reason = "not in the table (oracle: not finished for seed 1): finish the run, or choose another"
    with pytest.raises(InputError, match=re.escape(reason)):
        build_comparable_table(unfinished, baseline="oracle")
