"""Resources in plans, and engines that are not there."""

import sys

import pytest
from commands import line_of_error, write_grid_plan

from elusive.common.errors import InputError
from elusive.evaluate.jobs import list_jobs
from elusive.evaluate.plans import load_plan


def test_a_model_can_need_other_resources_and_texts_need_no_gpu(tmp_path, model_folder):
    models = [str(model_folder("llama")), str(model_folder("qwen2"))]
    resources = {"gpus": 1, "minutes": 30, "models": {models[1]: {"gpus": 4}}}
    options = {"model": None, "models": models, "resources": resources}
    plan = load_plan(write_grid_plan(tmp_path, model_folder, **options))
    first, second = (plan.resources.get_for(model) for model in models)
    assert (first.gpus, first.minutes, second.gpus, second.minutes) == (1, 30, 4, 30)
    assert plan.resources.get_for(models[1], has_gpus=False).gpus == 0


def test_resources_change_no_cell(tmp_path, model_folder):
    plan = load_plan(write_grid_plan(tmp_path, model_folder))
    other = load_plan(write_grid_plan(tmp_path, model_folder, resources={"gpus": 2}))
    assert plan != other
    assert list_jobs(plan) == list_jobs(other)


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"gpu": 1}, r"unknown key 'resources.gpu': did you mean 'resources.gpus'\?"),
        ({"cpus": 0}, r"resources.cpus: .*greater than or equal to 1 \(got 0\)"),
        ({"models": {"nano-smal": {}}}, "unknown model under resources 'nano-smal'"),
        ({"models": {"nano-small": {"gpu": 1}}}, "unknown key 'gpu': did you mean 'gpus'"),
    ],
)
def test_wrong_resources_are_named(resources, message, tmp_path, model_folder):
    plan = write_grid_plan(tmp_path, model_folder, model="nano-small", resources=resources)
    with pytest.raises(InputError, match=message):
        load_plan(plan)


@pytest.mark.parametrize(("on", "package"), [("slurm", "submitit"), ("ray", "ray")])
def test_a_missing_engine_is_named_with_what_installs_it(
    on, package, tmp_path, model_folder, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, package, None)
    plan = write_grid_plan(tmp_path, model_folder)
    line = line_of_error(capsys, "run", plan, "--on", on, "--out", tmp_path / "out")
    assert f"pip install {package}" in line
    assert not (tmp_path / "out").exists()


def test_an_address_without_ray_is_refused(tmp_path, model_folder, capsys):
    plan = write_grid_plan(tmp_path, model_folder)
    line = line_of_error(capsys, "run", plan, "--address", "here:1", "--out", tmp_path / "out")
    assert "give it with --on ray only" in line
