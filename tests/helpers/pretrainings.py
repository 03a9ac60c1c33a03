"""The tables of docs/findings-names.md that compare pretrainings of one model."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.intervals import Estimate, format_estimate
from elusive.evaluate.cells.cell_folder import CellResult, find_cells
from elusive.evaluate.cells.metrics import has_metric
from elusive.evaluate.compare.groups import group_arms
from elusive.evaluate.compare.mentions import PLACES, select_mentions
from elusive.evaluate.compare.seed_noise import estimate_arms
from elusive.evaluate.compare.significance import Comparison, compare_pairs
from elusive.evaluate.plans import load_plan
from elusive.evaluate.tables.table import ArmRow, build_comparable_table
from elusive.report.leaderboard.build import load_board_cells

DOCS = Path(__file__).resolve().parents[2] / "docs"
PRETRAININGS = {
    "any order, anywhere (nano-large)": DOCS / "board",
    "any order, first": DOCS / "cells" / "nano-mixed",
    "any order, first, seed 1": DOCS / "cells" / "nano-mixed-1",
    "one order, first": DOCS / "cells" / "nano-fixed",
    "one order, first, seed 1": DOCS / "cells" / "nano-fixed-1",
}
"""Where the cells of each are, by the order of the facts and the place of the name."""
REORDERED = DOCS / "cells" / "nano-reordered"
"""Cells of texts in eleven orders, each of which begins with the name, for all of them."""
FIRST_KEPT = DOCS / "cells" / "nano-permute-rest"
"""Cells of new orders of all sentences but the first, for all of them."""
REST, REST_NAMED = "permute-rest", "permute-rest + restate by last-subject in place of pronouns"
NAMED = DOCS / "cells" / "nano-named-subject"
"""Cells of texts in new orders with the name that the rule finds, of all but nano-large."""
NAMED_SUBJECT = "permute + restate by named-subject in place of pronouns"
GOLD = "permute + restate by oracle in place of pronouns"
A, B = "name-first", "distractors"
PLACES_OF = {A: ("", "in", "before"), B: ("", *PLACES)}
"""Where the name is, seen from the sentence that states the fact; the first stands for all."""
EM, CHOICE = "em", "forced_choice"


@cache
def make_datasets(folder: Path) -> dict[str, DatasetFolder]:
    """Make the datasets of the preset."""
    for name, config in load_plan(Path("restate-grid")).sources.items():
        assert isinstance(config, BiogenConfig)
        generate_dataset(config, folder / name)
    return {name: DatasetFolder(folder / name) for name in (A, B)}


@cache
def read_cells(source: Path) -> list[CellResult]:
    """Read kept cells, or those of nano-large on the leaderboard."""
    if (source / "entries").is_dir():
        cells = load_board_cells(source)
        return [cell for cell in cells if cell.parameters["model"] == "nano-large"]
    return find_cells(source)


@cache
def build_rows(
    source: Path, dataset: DatasetFolder, metric: str, baseline: str, place: str = ""
) -> dict[str, ArmRow]:
    """Build the row of each arm."""
    cells = [
        cell
        for cell in read_cells(source)
        if cell.parameters["dataset"] == dataset.content_hash
        and has_metric(cell.predictions, metric)
    ]
    if place:
        cells = select_mentions(cells, dataset, {PLACES[place]})
    return {row.label: row for row in build_comparable_table(cells, baseline, metric).rows}


def show(estimate: Estimate | None) -> str:
    """Format points."""
    assert estimate is not None
    return format_estimate(estimate, 100, 0)


def list_lines(folder: Path) -> Iterator[str]:
    """List the lines of all tables.

    Args:
        folder: for the datasets.
    """
    yield from _list_scores(folder)
    for metric in (CHOICE, EM):
        yield from _list_gains_by_place(folder, metric)
    yield from _list_name_gains(folder)
    for more, pairs in (
        (REORDERED, [("reordered", "plain"), ("reordered", "permute")]),
        (FIRST_KEPT, [(REST, "plain"), (REST, "permute")]),
        (FIRST_KEPT, [(REST_NAMED, "plain"), (REST_NAMED, GOLD)]),
    ):
        yield from _list_more(folder, A, more, pairs)
    pairs = [(NAMED_SUBJECT, other) for other in ("plain", "permute", GOLD)]
    yield from _list_more(folder, B, NAMED, pairs)


def _list_scores(folder: Path) -> Iterator[str]:
    for metric in (CHOICE, EM):
        for name, source in PRETRAININGS.items():
            values = [
                show(getattr(build_rows(source, dataset, metric, "plain")[arm], metric))
                for dataset in make_datasets(folder).values()
                for arm in ("plain", "permute", GOLD)
            ]
            yield f"| {name} | {' | '.join(values)} |"


def _list_gains_by_place(folder: Path, metric: str) -> Iterator[str]:
    for name, source in PRETRAININGS.items():
        values = [
            show(build_rows(source, dataset, metric, "plain", place)["permute"].difference)
            for key, dataset in make_datasets(folder).items()
            for place in PLACES_OF[key]
        ]
        yield f"| {name} | {' | '.join(values)} |"


def _list_name_gains(folder: Path) -> Iterator[str]:
    for baseline in ("permute", "plain"):
        for name, source in PRETRAININGS.items():
            values = []
            for dataset in make_datasets(folder).values():
                for metric in (CHOICE, EM):
                    row = build_rows(source, dataset, metric, baseline)[GOLD]
                    values.append(show(row.difference))
            yield f"| {name} | {' | '.join(values)} |"


def compare_more(
    source: Path, more: Path, dataset: DatasetFolder, metric: str, pairs: list[tuple[str, str]]
) -> tuple[dict[str, Estimate], list[Comparison]]:
    """Compare arms of one pretraining, whose further cells are in a folder of all pretrainings.

    Args:
        source: cells of the pretraining.
        more: cells of all pretrainings, each of which belongs to the model of its weights.
        dataset: about whose people the arms are.
        metric: that is compared.
        pairs: labels of arms; the plain text of `REORDERED` is "reordered".
    """
    cells = [
        cell for cell in read_cells(source) if cell.parameters["dataset"] == dataset.content_hash
    ]
    weights = cells[0].parameters["weights"]
    added = [cell for cell in find_cells(more) if cell.parameters["weights"] == weights]
    own = [cell for cell in added if cell.parameters["dataset"] == dataset.content_hash]
    arms = dict(group_arms([*cells, *own]))
    if more == REORDERED:
        arms["reordered"] = [_name_questions_by_person(cell) for cell in added]
    arms = {name: arms[name] for name in dict.fromkeys(name for pair in pairs for name in pair)}
    return estimate_arms(arms, metric), compare_pairs(arms, pairs, metric)


def _name_questions_by_person(cell: CellResult) -> CellResult:
    """Name questions as where each person has a single text, not by the first of several."""
    predictions = [
        replace(p, question_id=p.question_id.replace("-0/", "/")) for p in cell.predictions
    ]
    return replace(cell, predictions=predictions)


def _list_more(folder: Path, key: str, more: Path, pairs: list[tuple[str, str]]) -> Iterator[str]:
    """List forced choice and EM of an arm and its differences from others, by pretraining."""
    dataset = make_datasets(folder)[key]
    for name, source in PRETRAININGS.items():
        values = []
        for metric in (CHOICE, EM):
            estimates, comparisons = compare_more(source, more, dataset, metric, pairs)
            values += [show(estimates[pairs[0][0]])]
            values += [show(other.difference) for other in comparisons]
        yield f"| {name} | {' | '.join(values)} |"
