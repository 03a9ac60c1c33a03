"""The cells of several runs, for one page: each once, with labels that tell the runs apart."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from elusive.evaluate.cells.cell import compute_cell_id
from elusive.evaluate.cells.cell_folder import CellResult, find_cells
from elusive.evaluate.compare.groups import group_arms, group_benchmarks


def load_runs(runs: Sequence[Path]) -> list[CellResult]:
    """Read the finished cells of some runs.

    A cell that several runs hold counts once. Where one label stands for different settings in
    different runs, the names of the runs are added to it: `plain (first)`, `plain (second)`.

    Args:
        runs: folders of runs, or of single cells.

    Raises:
        InputError: a folder has no finished cells, or a cell is damaged.
    """
    by_id: dict[str, CellResult] = {}
    runs_of: dict[Path, str] = {}
    for run, name in zip(runs, _name_runs(runs), strict=True):
        for cell in find_cells(run):
            by_id.setdefault(compute_cell_id(cell.parameters), cell)
            runs_of.setdefault(cell.folder, name)
    cells = list(by_id.values())
    return _tell_apart(cells, runs_of) if len(runs) > 1 else cells


def _name_runs(runs: Sequence[Path]) -> list[str]:
    """Name runs by their folders, and by the folders above them where these are equal."""
    resolved = [run.resolve() for run in runs]
    names = [run.name for run in resolved]
    if len(set(names)) < len(names):
        return [f"{run.parent.name}/{run.name}" for run in resolved]
    return names


def _tell_apart(cells: list[CellResult], runs_of: dict[Path, str]) -> list[CellResult]:
    labels: dict[Path, str] = {}
    for members in group_benchmarks(cells).values():
        by_label: dict[str, list[list[CellResult]]] = defaultdict(list)
        for arm in group_arms(members).values():
            by_label[arm[0].parameters["label"]].append(arm)
        for label, arms in by_label.items():
            names = [sorted({runs_of[cell.folder] for cell in arm}) for arm in arms]
            if len(arms) > 1 and len({*map(tuple, names)}) == len(arms):
                for arm, own in zip(arms, names, strict=True):
                    labels |= {cell.folder: f"{label} ({', '.join(own)})" for cell in arm}
    return [
        replace(cell, parameters=cell.parameters | {"label": labels[cell.folder]})
        if cell.folder in labels
        else cell
        for cell in cells
    ]
