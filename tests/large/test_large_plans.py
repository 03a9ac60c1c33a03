"""Plans of large models: how many cards they need, and what is refused before anything is made."""

import re
from pathlib import Path

import pytest
import torch
from commands import FIELDS, line_of_error, run

from elusive.common.errors import InputError, validate_config
from elusive.common.large.devices import Devices
from elusive.common.large.sizes import build_empty_model, read_known_models
from elusive.evaluate.checks.memory import check_memory
from elusive.evaluate.engines.grid import choose_resources
from elusive.evaluate.jobs import list_jobs
from elusive.evaluate.model_memory import (
    count_cards,
    divide,
    estimate_scoring,
    estimate_training,
    measure_shape,
)
from elusive.evaluate.plans import Plan, load_plan
from elusive.evaluate.run_folder import RunFolder

LARGE = "meta-llama/Meta-Llama-3-70B"
PEOPLE = {"people": 20, "num_shot_people": 20, "fields": FIELDS}


def build_plan(**changes: object) -> Plan:
    settings = {"model": LARGE, "dataset": PEOPLE, "arms": ["plain"]}
    return validate_config(Plan, settings | changes)


PUBLISHED = {
    LARGE: 70_553_706_496,
    "meta-llama/Meta-Llama-3-8B": 8_030_261_248,
    "google/gemma-2-2b": 2_614_341_888,
    "google/gemma-2-9b": 9_241_705_984,
    "mistralai/Mistral-7B-v0.1": 7_241_732_096,
    "HuggingFaceTB/SmolLM2-135M": 134_515_008,
    "Qwen/Qwen2.5-7B": 7_615_616_512,
    "Qwen/Qwen3-8B-Base": 8_190_735_360,
}
"""Numbers of weights that the Hub shows of their safetensors files."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_known_models_have_the_published_number_of_weights(name):
    empty = build_empty_model(name)
    assert empty.source == "from the table of known models"
    assert empty.model.num_parameters() == PUBLISHED[name]
    assert {weight.device.type for weight in empty.model.parameters()} == {"meta"}


def test_all_models_of_presets_are_known_or_local():
    plans = [load_plan(Path(name)) for name in ("paper-llama3-70b", "paper-gemma2-9b")]
    for plan in plans:
        assert {*plan.trained, *plan.list_scorers()} <= read_known_models().keys()


def test_weights_of_a_need_are_bytes_of_the_parameters():
    need = estimate_scoring(LARGE, 100)
    assert need.weights == pytest.approx(2 * PUBLISHED[LARGE] / 2**30)
    plan = build_plan(training={"quantization": "8bit", "lora_rank": 16})
    training = estimate_training(LARGE, plan.training, plan.answering, 100)
    assert training.weights == pytest.approx(need.weights / 2)
    # Each layer adapts q, k, v, o, gate, up and down, whose sides add up to this.
    sides = 2 * 8192 + 2 * (8192 + 1024) + 2 * 8192 + 3 * (8192 + 28672)
    assert training.trained == pytest.approx(80 * 16 * sides * 16 / 2**30)


def test_more_cards_need_less_each_and_processes_need_more_than_layers():
    need = estimate_scoring(LARGE, 100)
    layers = [divide(need, LARGE, Devices("auto"), cards).total for cards in (1, 2, 4, 8)]
    assert layers == sorted(layers, reverse=True)
    row = 800.0
    shared = divide(need, LARGE, Devices(processes=4), 4, row)
    assert shared.total > divide(need, LARGE, Devices("auto"), 4).total
    assert count_cards(need, LARGE, 80) == 2
    assert count_cards(need, LARGE, 1) is None


def test_the_cache_of_keys_is_that_of_grouped_heads():
    assert measure_shape(LARGE).key_width == 2 * 8 * 128
    assert measure_shape("google/gemma-2-2b").key_width == 2 * 4 * 256


def test_a_dry_run_says_which_cards_the_largest_preset_needs(tmp_path):
    output = run("run", "paper-llama3-70b", "--dry-run", "--out", tmp_path / "out").output
    assert re.search(rf"{LARGE}: 70,553\.7 million weights, from the table of known models", output)
    assert re.search(r"scoring on each of 2 cards, layers spread: \d\d\.\d GiB \(6", output)
    assert re.search(r"training on each of 2 cards, layers spread: \d\d\.\d GiB \(3", output)
    assert re.search(r"cards needed.*: 7 of 24 GB, 4 of 40 GB, 2 of 80 GB", output)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("resources", "line"),
    [
        ({"memory_gib": 64}, r"^64 GiB of memory .* too little for .*70B, which needs at least"),
        (
            {"gpus": 1, "gpu_memory_gib": 80},
            r"70B needs at least \d+\.\d GiB on the GPU of 80 GiB",
        ),
        (
            {"gpus": 1, "gpu_memory_gib": 80, "placement": "auto"},
            r"70B needs at least \d+\.\d GiB on the GPU of 80 GiB: set resources.placement",
        ),
    ],
)
def test_models_larger_than_the_memory_given_are_refused_in_one_line(resources, line):
    with pytest.raises(InputError, match=line) as error:
        check_memory(build_plan(resources=resources), on_this_machine=False)
    assert "\n" not in str(error.value)


def test_models_are_not_refused_on_enough_cards():
    resources = {"gpus": 2, "gpu_memory_gib": 80, "placement": "auto"}
    check_memory(build_plan(resources=resources), on_this_machine=False)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the model may fit on the GPUs")
def test_a_run_on_a_machine_that_is_too_small_is_refused_before_anything_is_made(tmp_path, capsys):
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"model: {LARGE}\ndataset: {{people: 20}}\narms: [plain]\n")
    line = line_of_error(capsys, "run", plan, "--out", tmp_path / "out")
    assert "are too little for meta-llama/Meta-Llama-3-70B" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"resources": {"processes": 2}}, "processes 2 does not divide accumulation 1"),
        (
            {"resources": {"processes": 2}, "training": {"quantization": "4bit"}},
            "processes 2 cannot share weights in 4bit",
        ),
        (
            {"resources": {"processes": 2, "placement": "auto"}},
            "placement 'auto' and processes 2 cannot be combined",
        ),
        ({"resources": {"processes": 4, "gpus": 2}}, "processes 4 need a GPU each"),
        ({"resources": {"models": {"llama": {}}}}, "unknown model under resources 'llama'"),
    ],
)
def test_a_plan_whose_models_cannot_be_shared_is_refused(changes, line):
    with pytest.raises(InputError, match=line):
        build_plan(**changes)


def test_a_scoring_model_has_devices_of_its_own():
    small = "meta-llama/Meta-Llama-3-8B"
    plan = build_plan(
        arms=[{"method": "contrast", "large": LARGE, "small": small}, "random"],
        model=small,
        resources={"gpus": 1, "models": {LARGE: {"placement": "auto", "gpus": 2}}},
    )
    assert plan.resources.get_devices(LARGE) == Devices("auto")
    assert plan.resources.get_devices(small) == Devices()
    jobs = {job.label: job for job in list_jobs(plan)}
    chosen = {
        (name, is_cell): choose_resources(plan, job, is_cell).gpus
        for name, job in jobs.items()
        for is_cell in (True, False)
    }
    assert chosen == {
        ("untrained", True): 1,
        ("untrained", False): 0,
        ("contrast", True): 1,
        ("contrast", False): 2,
        ("random", True): 1,
        ("random", False): 0,
    }


def test_the_id_of_a_cell_does_not_depend_on_devices(model_folder, tmp_path):
    changes = {"model": str(model_folder("llama")), "training": {"accumulation": 2}}
    devices = ({}, {"placement": "auto"}, {"processes": 2})
    runs = [RunFolder(build_plan(**changes, resources=d), tmp_path / "out") for d in devices]
    jobs = [[job for job in list_jobs(run.plan) if job.arm is None] for run in runs]
    folders = {run.find_cell_folder(job) for run, (job,) in zip(runs, jobs, strict=True)}
    texts = [[job for job in list_jobs(run.plan) if job.arm] for run in runs]
    folders |= {run.find_text_folder(job) for run, (job,) in zip(runs, texts, strict=True)}
    assert len(folders) == 2
