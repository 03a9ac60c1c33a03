"""Settings are chosen on dev people, equally often for every arm, interrupted or not."""

import json
import re
import shutil
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
from click.testing import CliRunner
from commands import FIELDS, write_grid_plan
from hypothesis import given
from hypothesis import strategies as st

from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.cli.main import cli
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.errors import InputError
from elusive.common.folders import write_manifest
from elusive.evaluate import run_folder
from elusive.evaluate.cells.cell_folder import CellResult, list_cells, load_cell
from elusive.evaluate.cells.metrics import write_predictions
from elusive.evaluate.checks.plan import check_questions
from elusive.evaluate.plans import load_plan
from elusive.evaluate.run import run_plan
from elusive.evaluate.sweep_config import SweepConfig, list_rates_around, list_second_settings

DATASET = {"people": 6, "num_shot_people": 8, "dev_rate": 0.5, "fields": FIELDS}
ARMS = ["plain", "random", "permute", "d-ar"]
SWEEP = {"learning_rate": [1e-4, 1e-2], "alpha": [0.3, 0.9], "noise": [0.1, 0.4]}
OWN = {"alpha": 0.7, "noise": 0.2}
"""Defaults of alpha and noise; neither is in the lists above."""


def swept(folder: Path, model_folder, arms: list, **sweep: object) -> Path:
    options = {"dataset": DATASET, "seeds": [0], "sweep": SWEEP | sweep}
    return write_grid_plan(folder, model_folder, arms=arms, untrained=False, **options)


def record(out: Path) -> dict[str, dict]:
    return {arm["arm"]: arm for arm in json.loads((out / "sweep.json").read_text())}


def load_trials(out: Path) -> list[CellResult]:
    return [load_cell(path) for path in out.glob("sweep/cells/[!.]*")]


def settings_of(cell: CellResult) -> tuple:
    """Learning rate, epochs and, where the arm has one, alpha or noise."""
    training = cell.parameters["training"]
    own = {"random": cell.parameters["augment"].get("alpha"), "d-ar": training.get("noise")}
    rate, epochs = training["learning_rate"], training["epochs"]
    return rate, epochs, own.get(cell.parameters["label"])


def values_by_settings(trials: list[CellResult], arm: str) -> dict[tuple, float]:
    """Mean forced choice over the seeds of each setting that was tried for an arm."""
    values = defaultdict(dict)
    for cell in trials:
        if cell.parameters["label"] == arm:
            seed = cell.parameters["seed"]
            values[settings_of(cell)][seed] = cell.metrics["forced_choice"]
    assert all(set(by_seed) == {1000, 1001} for by_seed in values.values())
    return {settings: fmean(by_seed.values()) for settings, by_seed in values.items()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model_folder) -> tuple[Path, str]:
    """The folder of a finished sweep, and what the command printed."""
    folder = tmp_path_factory.mktemp("sweep")
    plan = swept(folder, model_folder, ARMS)
    shown = CliRunner().invoke(cli, ["run", str(plan), "--out", str(folder / "out")])
    assert shown.exit_code == 0, shown.output
    return folder / "out", shown.output


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_has_equally_many_trials_and_keeps_the_best_mean(arm, finished):
    out, printed = finished
    values = values_by_settings(load_trials(out), arm)
    chosen = record(out)[arm]
    assert len(values) == len(chosen["trials"]) == chosen["tries"] == 4
    assert chosen["value"] == max(values.values())
    own = chosen["settings"].get("alpha", chosen["settings"].get("noise"))
    settings = (chosen["settings"]["learning_rate"], chosen["settings"]["epochs"], own)
    assert values[settings] == max(values.values()), "settings may share the best value"
    assert re.search(rf"{arm} .*4 on dev", printed)


@pytest.mark.parametrize(("arm", "setting"), [("random", "alpha"), ("d-ar", "noise")])
def test_an_arms_own_settings_are_tried_at_the_best_learning_rate(arm, setting, finished):
    values = values_by_settings(load_trials(finished[0]), arm)
    first = {key: value for key, value in values.items() if key[2] == OWN[setting]}
    assert {rate for rate, _, _ in first} == set(SWEEP["learning_rate"])
    best_rate = max(first, key=first.__getitem__)[0]
    second = values.keys() - first.keys()
    assert second == {(best_rate, 1, value) for value in SWEEP[setting]}


@pytest.mark.parametrize("arm", ["plain", "permute"])
def test_an_arm_without_settings_of_its_own_tries_more_learning_rates(arm, finished):
    values = values_by_settings(load_trials(finished[0]), arm)
    first = {key: value for key, value in values.items() if key[0] in SWEEP["learning_rate"]}
    best_rate = max(first, key=first.__getitem__)[0]
    second = sorted(rate for rate, _, _ in values.keys() - first.keys())
    assert second == list_rates_around(best_rate, SWEEP["learning_rate"], 2)


def test_the_best_on_dev_people_is_confirmed_on_test_people(finished):
    out, _ = finished
    trials, cells = load_trials(out), [load_cell(path) for path in out.glob("cells/[!.]*")]
    assert {cell.parameters["answering"]["split"] for cell in trials} == {"dev"}
    assert {cell.parameters["answering"]["split"] for cell in cells} == {"test"}
    dev = {p.entity for cell in trials for p in cell.predictions}
    assert dev.isdisjoint({p.entity for cell in cells for p in cell.predictions})
    for cell in cells:
        chosen = record(out)[cell.parameters["label"]]
        assert cell.parameters["training"]["learning_rate"] == chosen["settings"]["learning_rate"]
        assert cell.parameters["chosen"] == {
            name: chosen[name] for name in cell.parameters["chosen"]
        }
        assert {"tries", "seeds", "protocol", "metric", "settings"} <= set(
            cell.parameters["chosen"]
        )
    random = next(cell for cell in cells if cell.parameters["label"] == "random")
    assert random.parameters["augment"]["alpha"] == record(out)["random"]["settings"]["alpha"]


def test_a_dry_run_counts_trials_and_the_most_epochs_that_may_be_chosen(tmp_path, model_folder):
    plan = swept(tmp_path, model_folder, ["random"], seeds=[3, 4, 5], epochs=[1, 40])
    shown = CliRunner().invoke(cli, ["run", str(plan), "--dry-run", "--out", str(tmp_path / "out")])
    # 6 people, each with an original and 2 copies, 40 times; 2 questions are replayed.
    assert f"random-seed0: {(6 * 3 * 40 + 2 + 3) // 4} steps" in shown.output
    line = r"before them, 6 trials x 3 seeds for each arm: up to about \d+ s\n"
    assert re.search(line, shown.output)


def test_a_dry_run_of_the_control_alone_needs_no_trials(tmp_path):
    out = str(tmp_path / "out")
    command = ["run", "test-augmentation", "--arm", "untrained", "--dry-run", "--out", out]
    shown = CliRunner().invoke(cli, command)
    assert shown.exit_code == 0, shown.output
    assert "up to about 0 s" in shown.output


def test_a_dry_run_sees_the_trials_that_are_finished(finished, tmp_path):
    out = shutil.copytree(finished[0], tmp_path / "out")
    done, plan = list_cells(out / "sweep"), str(out / "plan.yaml")
    shown = CliRunner().invoke(cli, ["run", plan, "--dry-run", "--out", str(out)])
    total = len(done)
    assert f"{total} of {total} are finished, the others up to about 0 s\n" in shown.output
    removed = next(path for path in done if path.name.startswith("random-"))
    shutil.rmtree(removed)
    only_random = ["run", plan, "--arm", "random", "--dry-run", "--out", str(out)]
    shown = CliRunner().invoke(cli, only_random)
    assert "7 of 8 are finished, the others up to about" in shown.output


def test_an_interrupted_sweep_resumes_and_ends_alike(tmp_path, model_folder, monkeypatch):
    plan = load_plan(swept(tmp_path, model_folder, ["random"]))
    real, made = run_folder.make_cell, []

    def interrupted(cell, *arguments) -> bool:
        made.append(cell)
        if len(made) in (2, 8):  # in stage 1, and the seventh of eight trial cells, in stage 2
            raise KeyboardInterrupt
        return real(cell, *arguments)

    run_plan(plan, tmp_path / "whole")
    monkeypatch.setattr(run_folder, "make_cell", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run_plan(plan, tmp_path / "cut")
    run_plan(plan, tmp_path / "cut")
    assert record(tmp_path / "cut") == record(tmp_path / "whole")
    cells = [{p.name for p in (tmp_path / n).glob("**/cells/[!.]*")} for n in ("cut", "whole")]
    assert cells[0] == cells[1]
    assert len(made) == 9 + 2, "only the two cells that were cut off are made twice"


def test_a_run_of_one_arm_keeps_the_trials_of_the_others(finished, tmp_path):
    out = shutil.copytree(finished[0], tmp_path / "out")
    before = record(out)
    assert len(before) > 1
    shown = CliRunner().invoke(
        cli, ["run", str(out / "plan.yaml"), "--arm", "random", "--out", str(out)]
    )
    assert shown.exit_code == 0, shown.output
    assert record(out) == before


def test_rescoring_keeps_the_trials_too(finished, tmp_path, monkeypatch):
    """Scored again, a sweep whose choice does not depend on the scores makes nothing again."""
    out = shutil.copytree(finished[0], tmp_path / "out")
    num_trials, before = len(load_trials(out)), record(out)
    monkeypatch.setattr("elusive.common.answers.normalize_answer", lambda text, _="en": "same")
    changed = CliRunner().invoke(cli, ["rescore", str(out)])
    assert changed.exit_code == 0, changed.output
    assert changed.stdout.startswith(f"{len(ARMS) + num_trials} of {len(ARMS) + num_trials} cells")
    assert "`elusive run` chooses again" in changed.stderr
    assert all(cell.metrics["em"] == 1.0 for cell in load_trials(out))
    monkeypatch.setattr(run_folder, "make_cell", None)
    assert run_plan(load_plan(out / "plan.yaml"), out).failures == []
    assert record(out) == before


@pytest.mark.slow
def test_trials_made_side_by_side_choose_the_same(tmp_path, model_folder, finished):
    plan = load_plan(swept(tmp_path, model_folder, ["random"]))
    assert run_plan(plan, tmp_path / "out", jobs=2).failures == []
    assert record(tmp_path / "out") == {"random": record(finished[0])["random"]}
    assert not (tmp_path / "out" / "sweep" / "dataset").exists(), "all share the run's dataset"


def test_failed_trials_are_named_and_the_others_decide(tmp_path, model_folder):
    lists = {"learning_rate": [1e-4, 1e30], "alpha": [0.3], "noise": []}
    plan = swept(tmp_path, model_folder, ["random"], **lists)
    out = tmp_path / "out"
    shown = CliRunner().invoke(cli, ["run", str(plan), "--out", str(out)])
    assert shown.exit_code == 0, shown.output
    chosen = record(out)["random"]
    assert (chosen["tries"], chosen["failed"]) == (2, 1)
    names = [name for trial in chosen["trials"] for name in trial["failed"]]
    prefix = "random-alpha=0.7-beta=0.05-learning_rate=1e+30-epochs=1"
    assert names == [f"{prefix}-seed1000", f"{prefix}-seed1001"]
    assert sorted(path.stem for path in out.glob("sweep/failed/*.json")) == names
    assert "2 on dev, 1 failed" in shown.output
    lists = {"learning_rate": [1e30, 1e31], "alpha": [], "noise": []}
    hopeless = load_plan(swept(tmp_path, model_folder, ["random"], **lists))
    with pytest.raises(InputError, match=r"all trials of arm 'random' failed: see .*failed"):
        run_plan(hopeless, tmp_path / "hopeless")


def test_the_papers_protocol_is_marked_and_of_equal_trials_the_first_is_chosen(
    tmp_path, model_folder
):
    plan = swept(tmp_path, model_folder, ["random"], protocol="best-on-test", metric="em")
    out = tmp_path / "out"
    shown = CliRunner().invoke(cli, ["run", str(plan), "--out", str(out)])
    assert "4 on TEST" in shown.output
    assert {cell.parameters["answering"]["split"] for cell in load_trials(out)} == {"test"}
    chosen = record(out)["random"]
    assert {trial["value"] for trial in chosen["trials"]} == {0.0}
    assert chosen["settings"] == chosen["trials"][0]["settings"]


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


def test_a_forced_choice_needs_two_entities(tmp_path, model_folder):
    generate_dataset(BiogenConfig.model_validate(DATASET), tmp_path / "people")
    dataset = DatasetFolder(tmp_path / "people")
    plan = load_plan(swept(tmp_path, model_folder, ["random"]))
    one = [q for q in dataset.questions if q.split == "test"]
    one += [q for q in dataset.questions if q.split == "dev"][:1]
    with pytest.raises(InputError, match="dev questions of dataset 'bio' have no answers of two"):
        check_questions(plan, "bio", one, dataset.shots)


def test_trials_of_an_earlier_version_are_named(tmp_path, model_folder):
    plan = load_plan(swept(tmp_path, model_folder, ["random"]))
    run_plan(plan, tmp_path / "out")
    for path in (tmp_path / "out/sweep/cells").glob("*/"):
        cell = load_cell(path)
        answers = [replace(p, forced_choice=None) for p in cell.predictions]
        write_predictions(path, answers, [], None)
        write_manifest(path, "cell", cell.parameters, versions=cell.versions)
    with pytest.raises(InputError, match="has no forced_choice, because an earlier version made"):
        run_plan(plan, tmp_path / "out")


def test_a_compared_seed_decides_no_settings(tmp_path, model_folder):
    plan = load_plan(swept(tmp_path, model_folder, ["random"], seeds=[0, 7]))
    with pytest.raises(InputError, match=r"sweep.seeds and seeds share 0: .* such as \[1000, 1001"):
        run_plan(plan, tmp_path / "out")
    assert not (tmp_path / "out" / "sweep").exists()


@pytest.mark.parametrize(
    ("sweep", "line"),
    [
        ({"alpha": {"low": 0.2, "high": 0.9}}, r"sweep.alpha: should be a list \(got \{"),
        ({"alpha": [0.2, 1.5]}, r"alpha: input should be less than or equal to 1 \(got 1.5\)"),
        ({"learning_rate": [0.0]}, r"learning_rate: input should be greater than 0 \(got 0.0\)"),
        ({"beta": [0.1, 0.1]}, r"sweep.beta: \[0.1, 0.1\] repeats a value"),
        ({"seeds": [3]}, "sweep.seeds: the list should have at least 2 items"),
        ({"seeds": [3, 3]}, r"sweep.seeds: \[3, 3\] repeats a value"),
        ({name: [] for name in SWEEP}, "sweep: there is nothing to choose from"),
        ({"trials": 8}, "unknown key 'sweep.trials'"),
    ],
)
def test_wrong_lists_are_refused_before_anything_is_made(sweep, line, tmp_path, model_folder):
    with pytest.raises(InputError, match=line):
        load_plan(swept(tmp_path, model_folder, ["random"], **sweep))


listed = st.lists(st.floats(1e-6, 1), max_size=4, unique_by=lambda rate: float(f"{rate:.2g}"))


@given(listed, st.data())
def test_further_learning_rates_lie_between_the_neighbors_of_the_best(rates, data):
    best = data.draw(st.sampled_from(rates) if rates else st.just(1e-3))
    count = data.draw(st.integers(0, 12))
    further = list_rates_around(best, rates, count)
    assert len(further) == len({best, *further}) - 1 == count
    assert further == sorted(further)
    assert sum(rate < best for rate in further) == count // 2
    nearest = {
        "below": max((rate for rate in rates if rate < best), default=0.0),
        "above": min((rate for rate in rates if rate > best), default=float("inf")),
    }
    assert all(nearest["below"] < rate < nearest["above"] for rate in further)


@given(
    alphas=st.lists(st.sampled_from([0.5, 0.6, 0.7]), unique=True),
    betas=st.lists(st.sampled_from([0.03, 0.05]), unique=True),
    noises=st.lists(st.sampled_from([0.1, 0.2, 0.3]), unique=True),
    selected=st.lists(st.sampled_from([0.4, 0.6]), unique=True),
)
def test_every_kind_of_arm_tries_equally_many_new_settings(alphas, betas, noises, selected):
    sweep = SweepConfig(
        learning_rate=(1e-3, 1e-2),
        alpha=tuple(alphas),
        beta=tuple(betas),
        noise=tuple(noises),
        selected=tuple(selected),
    )
    owns = [{}, {"alpha": 0.7, "beta": 0.05}, {"noise": 0.2}, {"selected": 0.6}]
    for own in owns:
        best = own | {"learning_rate": 1e-3, "epochs": 3}
        settings = list_second_settings(best, sweep)
        assert len({tuple(s.items()) for s in [best, *settings]}) == 1 + sweep.num_second_trials
    dropping = list_second_settings(owns[1] | {"learning_rate": 1e-3, "epochs": 3}, sweep)
    tried = {(s["alpha"], s["beta"]) for s in dropping} | {(0.7, 0.05)}
    assert tried == {(a, b) for a in alphas or [0.7] for b in betas or [0.05]} | {(0.7, 0.05)}


def test_a_default_of_an_objective_is_tried_once(tmp_path, model_folder):
    """Stage 1 trains with the default; stage 2 does not list it again."""
    sweep = {"learning_rate": [1e-3], "noise": [0.1, 0.2]}
    plan = load_plan(swept(tmp_path, model_folder, ["d-ar"], **sweep))
    run_plan(plan, tmp_path / "run")
    (chosen,) = json.loads((tmp_path / "run" / "sweep.json").read_text())
    cells = list((tmp_path / "run" / "sweep" / "cells").iterdir())
    assert len(cells) == 2 * len(chosen["trials"])
