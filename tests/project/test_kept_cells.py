"""Cells without texts: their tables are those of the run, and those of the pages."""

import re
from pathlib import Path

import pytest
from commands import run, write_grid_plan
from keep_cells import keep_cells

from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.evaluate.cells.cell_folder import find_cells
from elusive.evaluate.compare.mentions import PLACES
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


def test_the_page_of_names_has_what_another_pretraining_gains_by_place_of_the_name(tmp_path):
    page = (DOCS / "findings-names.md").read_text(encoding="utf-8")
    given = []
    for name, config in load_plan(Path("restate-grid")).sources.items():
        assert isinstance(config, BiogenConfig)
        generate_dataset(config, tmp_path / name)
        given += ["--dataset", tmp_path / name]
    asked = {"name-first, fixed-large": ("in", "before"), "distractors, fixed-large": tuple(PLACES)}
    common = (*given, "--baseline", "plain", "--format", "markdown", "--columns", "difference")
    for metric in ("forced_choice", "em"):
        gains = []
        for benchmark, places in asked.items():
            for place in places:
                chosen = ("--metric", metric, "--benchmark", benchmark, "--mention", place)
                table = run("table", DOCS / "cells" / "nano-fixed", *chosen, *common).stdout
                (gain,) = re.findall(r"^\| permute +\| (.*?) *\|", table, re.MULTILINE)
                gains.append(gain)
        assert f"| one order | {' | '.join(gains)} |" in page


def test_the_page_of_names_has_what_another_pretraining_learns():
    page = (DOCS / "findings-names.md").read_text(encoding="utf-8")
    columns = "em,forced-choice,known-em"
    table = build_table(DOCS / "cells" / "nano-fixed", columns)
    cells: dict[str, list[str]] = {}
    for row in table.splitlines():
        arm, *values = (cell.strip(" *") for cell in row.split("|")[1:-1] or [""])
        if values and arm != "arm" and "---" not in arm:
            name = "permute + gold name" if "oracle" in arm else arm
            cells.setdefault(name, [])[:0] = values  # the page has the second benchmark first
    assert sorted(cells) == ["permute", "permute + gold name", "plain", "untrained"]
    for name, values in cells.items():
        assert f"| {name} | {' | '.join(values)} |" in page


@pytest.mark.parametrize("name", ["wikipedia-dump"])
def test_pages_have_the_tables_of_the_kept_cells(name):
    page = (DOCS / "findings-pretrained.md").read_text(encoding="utf-8")
    columns = "em,forced-choice,difference,gold-log-prob"
    rows = build_table(DOCS / "cells" / name, columns).splitlines()[2:]
    for row in rows:
        arm, *values = (re.sub(r"\*|\s*\(\d+\)", "", cell).strip() for cell in row.split("|")[1:-1])
        shown = [line for line in page.splitlines() if line.startswith(f"| {arm} |")]
        assert any(all(value in line for value in values) for line in shown), (arm, values)
