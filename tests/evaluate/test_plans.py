"""Plans: several datasets and models, arms with settings of their own, presets."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from commands import FIELDS, TRAINING, run, write_grid_plan, write_plan

from elusive.biogen.config import BiogenConfig
from elusive.cli.main import cli
from elusive.common.errors import InputError
from elusive.evaluate.checks.unused_settings import list_unused_settings
from elusive.evaluate.jobs import list_jobs
from elusive.evaluate.plans import PRESETS, list_presets, load_plan
from elusive.evaluate.run import run_plan

PEOPLE = {"people": 3, "num_shot_people": 8, "dev_rate": 0, "fields": FIELDS}


def several(folder: Path, model_folder, **changes: object) -> Path:
    """Write a plan with two datasets and two models."""
    models = [str(model_folder("llama")), str(model_folder("qwen2"))]
    datasets = {"first": PEOPLE, "anywhere": PEOPLE | {"name_position": "any"}}
    own = {"dataset": None, "model": None, "datasets": datasets, "models": models, "seeds": [0]}
    return write_grid_plan(folder, model_folder, arms=["plain"], **own | changes)


def test_every_arm_is_run_on_each_dataset_for_each_model(tmp_path, model_folder):
    plan = several(tmp_path, model_folder, then=["figures"])
    out = tmp_path / "out"
    result = CliRunner().invoke(cli, ["run", str(plan), "--out", str(out)])
    assert result.exit_code == 0, result.output
    table = run_plan(load_plan(plan), out).build_table().to_pandas()
    assert len(table) == 8
    assert set(table["arm"]) == {"untrained", "plain"}
    assert table["benchmark"].nunique() == 4
    assert [name.split(",")[0] for name in table["benchmark"].unique()].count("anywhere") == 2
    written = (out / "table.md").read_text()
    assert written.count("## ") == 4
    assert (out / "table.csv").read_text().splitlines()[0].startswith("benchmark,arm,rank")
    assert len(list(out.glob("figures/*/figures.md"))) == 4


def test_what_follows_a_part_is_made_as_the_whole_plan_says(tmp_path, model_folder):
    plan = write_grid_plan(tmp_path, model_folder, arms=["plain"], seeds=[0], then=["clues"])
    arguments = ["run", str(plan), "--arm", "untrained", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    (folder,) = (tmp_path / "out" / "clues").iterdir()
    made = (folder / "manifest.json").read_text()
    result = CliRunner().invoke(cli, arguments[:2] + arguments[4:])
    assert result.exit_code == 0, result.output
    assert (folder / "manifest.json").read_text() == made


@pytest.mark.parametrize(
    "changes",
    [
        {
            "arms": [
                "plain",
                {"method": "random", "label": "a, b"},
                {"method": "random", "label": "a b"},
            ]
        },
        {"dataset": None, "datasets": {"a b": PEOPLE, "a, b": PEOPLE}},
    ],
)
def test_names_that_would_share_their_files_are_refused(changes, tmp_path, model_folder):
    """A failure of one would be taken for the other's."""
    with pytest.raises(InputError, match="would have the same files"):
        load_plan(write_grid_plan(tmp_path, model_folder, **changes))


def test_figures_of_other_cells_are_replaced_and_a_folder_of_other_files_is_not(
    tmp_path, model_folder
):
    out = tmp_path / "out"
    before, after = (
        load_plan(
            write_grid_plan(tmp_path, model_folder, arms=["plain"], seeds=seeds, then=["figures"])
        )
        for seeds in ([0], [0, 1])
    )
    run_plan(before, out)
    made_of = (out / "figures" / "manifest.json").read_text()
    run_plan(after, out)
    assert (out / "figures" / "manifest.json").read_text() != made_of
    shutil.rmtree(out / "figures")
    (out / "figures").mkdir()
    (out / "figures" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        run_plan(after, out)
    assert (out / "figures" / "mine.txt").read_text() == "mine"


def test_datasets_and_models_may_be_added_to_a_run(tmp_path, model_folder):
    out = tmp_path / "out"
    first = write_grid_plan(tmp_path, model_folder, arms=["plain"], seeds=[0], untrained=False)
    before = {path.name for path in run_plan(load_plan(first), out).folders}
    sources = {"dataset": PEOPLE, "other": PEOPLE | {"seed": 1}}
    more = several(tmp_path, model_folder, datasets=sources, untrained=False)
    after = run_plan(load_plan(more), out)
    assert len(after.folders) == 4
    assert before < {path.name for path in after.folders}, "what was there is not made again"
    changed = several(tmp_path, model_folder, datasets={"dataset": PEOPLE | {"seed": 5}})
    with pytest.raises(InputError, match="another dataset named 'dataset'"):
        run_plan(load_plan(changed), out)


@pytest.mark.parametrize("name", ["dataset", "model"])
def test_a_plan_names_one_or_several_and_not_both(name, tmp_path, model_folder):
    none = write_grid_plan(tmp_path, model_folder, **{name: None})
    with pytest.raises(
        InputError, match=rf"{name} and {name}s: a plan needs exactly one of them \(got neither\)"
    ):
        load_plan(none)
    both = write_grid_plan(tmp_path, model_folder, models=["a"], datasets={"a": PEOPLE})
    with pytest.raises(InputError, match=r"needs exactly one of them \(got both\)"):
        load_plan(both)


def test_an_arm_may_be_trained_in_its_own_way(tmp_path, model_folder):
    clean = {"method": "random", "label": "clean", "training": {"labels": "clean"}}
    plan = load_plan(write_grid_plan(tmp_path, model_folder, arms=["random", clean], seeds=[0]))
    labels = {job.label: job.settings.training.labels for job in list_jobs(plan)}
    assert labels == {"untrained": "dropped", "random": "dropped", "clean": "clean"}
    wrong = {"method": "random", "training": {"lables": "clean"}}
    with pytest.raises(InputError, match=r"unknown key 'lables': did you mean 'labels'"):
        load_plan(write_grid_plan(tmp_path, model_folder, arms=[wrong]))


def test_a_setting_of_a_plan_can_be_changed_on_the_command_line(tmp_path, model_folder):
    path = write_grid_plan(tmp_path, model_folder)
    changes = ("training.corrupt=mask", "seeds=[4]", "training.learning_rate=5e-3")
    plan = load_plan(path, changes)
    assert plan.training.corrupt == "mask"
    assert plan.training.learning_rate == 5e-3
    assert plan.seeds == (4,)
    assert plan.training.epochs == load_plan(path).training.epochs
    for wrong, line in (
        ("training.corupt=mask", "unknown key 'training.corupt': did you mean 'training.corrupt'"),
        ("training", "write SETTING=VALUE"),
        ("model.name=x", "'model' is not a group of settings"),
        ("seeds=[", "is not a YAML value"),
    ):
        with pytest.raises(InputError, match=line):
            load_plan(path, [wrong])


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"seeds": [0, 1, 0]}, r"seeds: \[0, 1, 0\] repeats a seed"),
        ({"seeds": [-1, 3]}, "seed -1: should be at least 0 and below"),
        ({"sweep": {"alpha": [0.6, 0.7]}}, "has no dev people to choose settings on"),
        ({"arms": ["questions"]}, "ask only those in held-out phrasings"),
        ({"models": ["a"]}, r"model and models: a plan needs exactly one of them \(got both\)"),
    ],
)
def test_what_would_fail_in_every_cell_is_said_of_the_plan(wrong, line, tmp_path, model_folder):
    changes = {"dataset": PEOPLE | {"dev_rate": 0}} | wrong
    with pytest.raises(InputError, match=line):
        load_plan(write_grid_plan(tmp_path, model_folder, **changes))


def test_labels_of_any_kind_become_file_names(tmp_path, model_folder):
    odd = {"method": "plain", "label": "<script>/../x | y"}
    plan = write_grid_plan(tmp_path, model_folder, arms=[odd], seeds=[0], untrained=False)
    (folder,) = run_plan(load_plan(plan), tmp_path / "out").folders
    assert folder.parent == tmp_path / "out" / "cells"
    assert json.loads((folder / "manifest.json").read_text())["parameters"]["label"] == odd["label"]


@pytest.mark.parametrize("name", list_presets())
def test_presets_are_found_by_name(name):
    plan = load_plan(Path(name))
    assert plan.arms
    needs_folder = name == "restate-wikipedia"  # which `elusive wikiqa` makes
    assert all(isinstance(s, BiogenConfig) != needs_folder for s in plan.sources.values())


@pytest.mark.parametrize("name", list_presets())
def test_presets_have_no_setting_without_effect(name):
    assert list_unused_settings(load_plan(Path(name))) == []


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        (
            {"arms": ["plain", {"method": "permute", "alpha": 0.4}]},
            ["the arm permute does not use alpha"],
        ),
        (
            {"arms": [{"method": "plain", "training": {"noise": 0.1}}, "random"]},
            ["the arm plain does not use noise"],
        ),
        ({"augment": {"copies": 2, "layers": "1"}}, ["no arm uses layers"]),
        (
            {"augment": {"copies": 2, "alpha": 0.4}, "training": {"one_in": 4}},
            ["no arm uses one_in"],
        ),
        ({"arms": [{"method": "plain", "training": {"objective": "d-ar", "noise": 0.1}}]}, []),
        ({"arms": []}, []),
    ],
)
def test_settings_without_effect_are_named(changes, lines, tmp_path, model_folder):
    """A plan that somebody believes to vary a setting may compare equal arms."""
    path = write_plan(tmp_path / "plan.yaml", model_folder("llama"), **changes)
    assert list_unused_settings(load_plan(path)) == lines
    dry = run("run", path, "--dry-run", "--out", tmp_path / "out")
    assert [line for line in dry.stderr.splitlines() if line.startswith("note: ")] == [
        f"note: {line}" for line in lines
    ]
    stored = tmp_path / "stored.yaml"  # a run's plan, in which everything is written out
    stored.write_text(yaml.safe_dump(load_plan(path).model_dump(mode="json")))
    assert list_unused_settings(load_plan(stored)) == lines


def test_an_unknown_preset_is_one_line():
    with pytest.raises(InputError, match="unknown plan 'ablaton': did you mean 'ablation'"):
        load_plan(Path("ablaton"))


def test_the_papers_plans_differ_from_nano_in_models_precision_and_devices_alone():
    names = [name for name in list_presets() if name.startswith("paper-")]
    assert len(names) == 4

    def content(name: str) -> dict:
        plan = yaml.safe_load((PRESETS / f"{name}.yaml").read_text())
        plan.pop("resources", None)
        augment = {key: value for key, value in plan["augment"].items() if key == "copies"}
        training = {k: v for k, v in plan["training"].items() if k != "quantization"}
        return plan | {"model": "", "augment": augment, "training": training}

    assert all(content(name) == content("test-augmentation") for name in names)


def test_training_settings_of_the_tests_are_the_plans(tmp_path, model_folder):
    plan = load_plan(write_grid_plan(tmp_path, model_folder))
    assert plan.training.model_dump() | TRAINING == plan.training.model_dump()
