"""Cells without texts: their tables are those of the run, and those of the pages."""

import re
from pathlib import Path

import pytest
from commands import run, write_grid_plan
from compare_gains import compare_gains, read_arms
from keep_cells import keep_cells
from pretrainings import PRETRAININGS, list_lines

from elusive.common.intervals import format_estimate
from elusive.evaluate.cells.cell_folder import find_cells
from elusive.evaluate.compare.significance import compare_pairs
from elusive.evaluate.plans import load_plan
from elusive.evaluate.run import run_plan

DOCS = Path(__file__).resolve().parents[2] / "docs"


def build_table(folder: Path, columns: str) -> str:
    options = ("--metric", "forced_choice", "--baseline", "plain", "--format", "markdown")
    result = run("table", folder, *options, "--columns", columns)
    assert result.exit_code == 0, result.output
    return result.stdout


def list_texts(folder: Path) -> set[str]:
    """List the questions of a run, and their gold answers; no answers count as an empty one."""
    return {
        text
        for cell in find_cells(folder)
        for p in (*cell.predictions, *cell.known)
        for text in (p.question, *(p.answers or [""]))
    }


def test_kept_cells_give_the_table_of_their_run_and_have_no_texts(tmp_path, model_folder):
    plan, out = write_grid_plan(tmp_path, model_folder), tmp_path / "out"
    assert run_plan(load_plan(plan), out).failures == []
    kept = keep_cells(out, tmp_path / "kept")
    assert keep_cells(out, tmp_path / "kept") == []
    columns = "rank,em,f1,forced-choice,difference,p-holm,gold-log-prob"
    assert build_table(tmp_path / "kept", columns) == build_table(out, columns)
    assert list_texts(tmp_path / "kept") == {""}
    assert "" not in list_texts(out)
    jsons = "".join(path.read_text() for cell in kept for path in cell.glob("*.json"))
    assert [text for text in list_texts(out) if text in jsons] == []
    assert not list(tmp_path.glob("kept/**/adapter*"))
    keep_cells(out, tmp_path / "whole", with_texts=True)
    assert list_texts(tmp_path / "whole") == list_texts(out)


def test_the_page_of_names_has_what_models_pretrained_in_other_ways_learn(tmp_path):
    page = (DOCS / "findings-names.md").read_text(encoding="utf-8").splitlines()
    lines = list(list_lines(tmp_path))
    assert len(lines) == len(PRETRAININGS) * 10
    assert [line for line in lines if line not in page] == []


@pytest.mark.parametrize(
    "sources",
    [
        ("any order, anywhere (nano-large)", "any order, first"),
        ("any order, anywhere (nano-large)", "any order, first, seed 1"),
        ("any order, first, seed 1", "any order, first"),
    ],
)
def test_the_page_of_names_has_how_far_gains_differ_between_pretrainings(sources):
    page = " ".join((DOCS / "findings-names.md").read_text(encoding="utf-8").split())
    names = {"any order, anywhere (nano-large)": "50 people, the name opens the text, nano-large"}
    first, second = (
        read_arms(PRETRAININGS[source], names.get(source, "name-first, mixed-large"))
        for source in sources
    )
    for metric in ("forced_choice", "em"):
        gap = compare_gains(first, second, "permute", "plain", metric)
        assert format_estimate(gap, 100, 0) in page


def test_the_page_of_names_has_what_the_name_adds_in_the_order_of_the_text():
    page = " ".join((DOCS / "findings-names.md").read_text(encoding="utf-8").split())
    plain = read_arms(DOCS / "cells" / "nano-mixed", "name-first, mixed-large")["plain"]
    arms = {"plain": plain, "name": find_cells(DOCS / "cells" / "nano-mixed-in-order")}
    for metric in ("em", "forced_choice"):
        (gain,) = compare_pairs(arms, [("name", "plain")], metric)
        shown = format_estimate(gain.difference, 100, 0)
        assert f"{shown} points of {'EM' if metric == 'em' else 'forced choice'}" in page


@pytest.mark.parametrize("name", ["wikipedia-dump"])
def test_pages_have_the_tables_of_the_kept_cells(name):
    page = (DOCS / "findings-pretrained.md").read_text(encoding="utf-8")
    columns = "em,forced-choice,difference,gold-log-prob"
    rows = build_table(DOCS / "cells" / name, columns).splitlines()[2:]
    for row in rows:
        arm, *values = (re.sub(r"\*|\s*\(\d+\)", "", cell).strip() for cell in row.split("|")[1:-1])
        shown = [line for line in page.splitlines() if line.startswith(f"| {arm} |")]
        assert any(all(value in line for value in values) for line in shown), (arm, values)
