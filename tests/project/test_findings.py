"""The tables of findings are what the cells of docs/board give today."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.common.dataset.folder import DatasetFolder
from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.cells.metrics import has_metric
from elusive.evaluate.compare.mentions import PLACES, select_mentions
from elusive.evaluate.plans import load_plan
from elusive.evaluate.tables.table import ResultTable, build_table
from elusive.report.leaderboard.board import list_entry_paths, read_answers, read_entry
from elusive.report.leaderboard.entry import build_cell

DOCS = Path(__file__).resolve().parents[2] / "docs"
NAMES, PRETRAINED = "findings-names.md", "findings-pretrained.md"
IN_PLACE = "permute + restate by {} in place of pronouns"
GOLD, HEAD = IN_PLACE.format("oracle"), "permute + restate by one head of SmolLM2"
ARMS = {
    **{f"`{name}`": IN_PLACE.format(name) for name in ("name-list", "last-subject", "first-words")},
    **{
        f"`{name}`": IN_PLACE.format(name)
        for name in ("most-frequent", "random-span", "named-subject")
    },
    "gold name (`oracle`)": GOLD,
    "gold name": GOLD,
    "permute + gold name": GOLD,
    "`agreement`, read by SmolLM2": "permute + restate by agreement under SmolLM2",
    "one head of SmolLM2": HEAD,
    "permute + one head of SmolLM2": "permute + restate by one head",
    "`depth-contrast` of nano-large": IN_PLACE.format("depth-contrast"),
    "attention of micro-large": IN_PLACE.format("attention"),
    "contrast of micro-large and micro-small": IN_PLACE.format("contrast"),
    "permute alone": "permute",
    "gold name, order as it was": "restate by oracle in place of pronouns",
    "one head of SmolLM2, order as it was": "restate by one head of SmolLM2",
    "contrast (dropping), clean labels": "contrast with clean labels",
    "contrast (dropping 41 and 47%)": "contrast",
    **{f"{name} (dropping)": name for name in ("random", "contrast", "position")},
}
"""Names of rows, and the arms that they are."""
A, B = ("restate-grid", "name-first"), ("restate-grid", "distractors")
GENDER = ("restate-gender", "gender")
AMONG = ("restate-smollm2", "distractors")
EM, CHOICE = "em", "forced_choice"
TABLES = [
    (
        NAMES,
        "| gold name (`oracle`) |",
        0,
        "nano-large",
        [(A, EM, ""), (B, EM, ""), (GENDER, EM, "")],
    ),
    (
        *(NAMES, "| gold name (`oracle`) |", 1, "nano-large"),
        [(A, EM, "in"), (A, EM, "before"), (B, EM, "in"), (B, EM, "before"), (B, EM, "none")]
        + [(GENDER, EM, place) for place in PLACES],
    ),
    (
        *(NAMES, "| gold name |", 0, "nano-large"),
        [(A, CHOICE, place) for place in ("", "in", "before")]
        + [(B, CHOICE, place) for place in ("", *PLACES)],
    ),
    (
        *(NAMES, "| gold name (`oracle`) |", 3, "micro-large"),
        [(A, EM, ""), None, (A, CHOICE, ""), None, (B, EM, ""), None, (B, CHOICE, "")],
    ),
    (
        *(PRETRAINED, "| permute + gold name |", 0, "smollm2-135m"),
        [(AMONG, EM, ""), (AMONG, CHOICE, ""), None, (AMONG, CHOICE, "in"), None],
    ),
]
"""Page, first row, which of such tables, model, and what each column after the first shows."""


@cache
def read_cells() -> list[CellResult]:
    paths = list_entry_paths(DOCS / "board")
    return [
        build_cell(read_entry(p), p, read_answers(p.with_suffix(".parquet")), []) for p in paths
    ]


@cache
def make_dataset(preset: str, name: str, folder: Path) -> DatasetFolder:
    source = load_plan(Path(preset)).sources[name]
    assert isinstance(source, BiogenConfig)
    generate_dataset(source, folder / f"{preset}-{name}")
    return DatasetFolder(folder / f"{preset}-{name}")


@cache
def build(dataset: DatasetFolder, model: str, metric: str, place: str) -> ResultTable:
    cells = [
        cell
        for cell in read_cells()
        if cell.parameters["dataset"] == dataset.content_hash
        and cell.parameters["model"] == model
        and has_metric(cell.predictions, metric)
    ]
    if place:
        cells = select_mentions(cells, dataset, {PLACES[place]})
    return build_table(cells, None, metric)


def list_rows(page: str, first: str, number: int) -> Iterator[list[str]]:
    """Yield the cells of each row of a table, from its first row on."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    start = [index for index, line in enumerate(lines) if line.startswith(first)][number]
    for line in lines[start:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table[0]}-{table[2]}-{table[3]}")
def test_tables_are_those_of_the_leaderboards_cells(table, tmp_path_factory):
    page, first, number, model, columns = table
    folder, wrong, checked = tmp_path_factory.getbasetemp(), [], 0
    for row, *values in list_rows(page, first, number):
        for column, shown in zip(columns, values, strict=False):
            if column is None or not re.match(r"\d", shown):
                continue
            (preset, name), metric, place = column
            built = build(make_dataset(preset, name, folder), model, metric, place)
            arm = next(r for r in built.rows if r.label == ARMS.get(row, row))
            estimate = getattr(arm, metric)
            expected = "{:.0f} [{:.0f}, {:.0f}]".format(
                *(100 * abs(x) for x in (estimate.mean, estimate.low, estimate.high))
            )
            checked += 1
            match = re.match(r"(\d+ \[\d+, \d+\])(?: \((\d+)\))?", shown)
            if not match or match[1] != expected or (match[2] and int(match[2]) != arm.rank):
                wrong.append((row, column, shown, f"{expected} ({arm.rank})"))
    assert wrong == []
    assert checked >= 8
