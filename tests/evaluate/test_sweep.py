"""Settings are chosen on dev people, equally often for every arm, interrupted or not."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from commands import FIELDS, write_grid_plan

from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.cli.main import cli
from elusive.common.errors import InputError
from elusive.evaluate import sweep as sweeping
from elusive.evaluate.cells.cell_folder import load_cell
from elusive.evaluate.plans import load_plan
from elusive.evaluate.run import run_plan

DATASET = {"people": 6, "num_shot_people": 8, "dev_rate": 0.5, "fields": FIELDS}
SWEEP = {"trials": 4, "alpha": [0.3, 0.9], "learning_rate": [1e-4, 1e-2]}


def swept(folder: Path, model_folder, **sweep: object) -> Path:
    options = {"dataset": DATASET, "seeds": [0], "sweep": SWEEP | sweep}
    return write_grid_plan(folder, model_folder, **options)


def swept_random(folder: Path, model_folder, **sweep: object) -> Path:
    """Write a plan that sweeps one arm only."""
    options = {"dataset": DATASET, "seeds": [0], "sweep": SWEEP | sweep}
    return write_grid_plan(folder, model_folder, arms=["random"], untrained=False, **options)


def record(out: Path) -> dict[str, dict]:
    return {arm["arm"]: arm for arm in json.loads((out / "sweep.json").read_text())}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model_folder) -> tuple[Path, str]:
    """The folder of a finished sweep, and what the command printed."""
    folder = tmp_path_factory.mktemp("sweep")
    plan = swept(folder, model_folder)
    shown = CliRunner().invoke(cli, ["run", str(plan), "--out", str(folder / "out")])
    assert shown.exit_code == 0, shown.output
    return folder / "out", shown.output


def test_the_best_on_dev_people_is_confirmed_on_test_people(finished):
    out, printed = finished
    assert "4 on dev" in printed
    trials = [load_cell(path) for path in out.glob("sweep/cells/[!.]*")]
    assert {cell.parameters["answering"]["split"] for cell in trials} == {"dev"}
    cells = [load_cell(path) for path in out.glob("cells/[!.]*")]
    assert {cell.parameters["answering"]["split"] for cell in cells} == {"test"}
    dev = {p.entity for cell in trials for p in cell.predictions}
    assert dev.isdisjoint({p.entity for cell in cells for p in cell.predictions})

    chosen = record(out)
    random_trials = [cell for cell in trials if cell.parameters["label"] == "random"]
    best = max(random_trials, key=lambda cell: cell.metrics["log_probability"])
    assert len(random_trials) == chosen["random"]["tries"] == 4
    assert chosen["random"]["value"] == best.metrics["log_probability"]
    assert chosen["random"]["settings"] == {
        "alpha": best.parameters["augment"]["alpha"],
        "learning_rate": best.parameters["training"]["learning_rate"],
    }
    confirmed = next(cell for cell in cells if cell.parameters["label"] == "random")
    assert confirmed.parameters["augment"]["alpha"] == chosen["random"]["settings"]["alpha"]
    assert confirmed.parameters["chosen"]["tries"] == 4


def test_a_dry_run_says_how_long_trials_take(tmp_path, model_folder):
    plan = swept(tmp_path, model_folder)
    shown = CliRunner().invoke(cli, ["run", str(plan), "--dry-run", "--out", str(tmp_path / "out")])
    assert re.search(r"before them, up to 4 trials for each arm: about \d+ s, ", shown.output)


def test_only_arms_that_drop_have_an_alpha_to_choose(finished):
    plain = record(finished[0])["plain"]
    assert set(plain["settings"]) == {"learning_rate"}
    assert plain["tries"] == 2, "every choice once"


def test_an_interrupted_sweep_goes_on_and_ends_alike(tmp_path, model_folder, monkeypatch):
    ranges = {"alpha": {"low": 0.2, "high": 0.9}, "learning_rate": None, "trials": 3}
    plan = load_plan(swept_random(tmp_path, model_folder, **ranges))
    run_plan(plan, tmp_path / "whole")
    real, tried = sweeping._run_trial, []

    def interrupted(*arguments) -> None:
        tried.append(arguments)
        if len(tried) == 2:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(sweeping, "_run_trial", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, tmp_path / "cut")
    run_plan(plan, tmp_path / "cut")
    assert record(tmp_path / "cut") == record(tmp_path / "whole")
    assert len(tried) == 4, "the trial that was cut off is made again, the others are not"


def test_the_papers_protocol_is_marked(tmp_path, model_folder):
    plan = swept_random(tmp_path, model_folder, protocol="best-on-test", trials=1)
    out = tmp_path / "out"
    shown = CliRunner().invoke(cli, ["run", str(plan), "--out", str(out)])
    assert "on TEST" in shown.output
    trials = [load_cell(path) for path in out.glob("sweep/cells/[!.]*")]
    assert {cell.parameters["answering"]["split"] for cell in trials} == {"test"}


def test_choosing_on_nobody_is_refused(tmp_path, model_folder):
    generate_dataset(BiogenConfig.model_validate(DATASET | {"dev_rate": 0}), tmp_path / "nobody")
    folder = str(tmp_path / "nobody")
    nobody = write_grid_plan(tmp_path, model_folder, dataset=folder, sweep=SWEEP)
    with pytest.raises(InputError, match="has no dev questions to choose settings on"):
        run_plan(load_plan(nobody), tmp_path / "out")
    both = write_grid_plan(
        tmp_path, model_folder, dataset=DATASET, sweep=SWEEP, answering={"split": "all"}
    )
    with pytest.raises(InputError, match="the people on whom settings were chosen"):
        run_plan(load_plan(both), tmp_path / "both")


def test_a_range_upside_down_is_refused(tmp_path, model_folder):
    with pytest.raises(InputError, match="low must not exceed high"):
        load_plan(swept(tmp_path, model_folder, alpha={"low": 0.9, "high": 0.2}))
