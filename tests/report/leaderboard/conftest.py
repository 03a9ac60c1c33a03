"""A small run and the leaderboard of it, for all tests of leaderboards."""

from datetime import date
from pathlib import Path

import pytest
from commands import write_grid_plan

from elusive.evaluate.cells.cell_folder import find_cells
from elusive.evaluate.plans import load_plan
from elusive.evaluate.run import run_plan
from elusive.report.leaderboard.board import add_cells, init_board

KNOWN = {"people": 2, "start": 50, "num_shot_people": 8, "dev_rate": 0}


@pytest.fixture(scope="session")
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
