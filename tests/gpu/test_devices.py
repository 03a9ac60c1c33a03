"""Scores, perplexity and whole runs on a GPU: no tensor of the CPU meets one of the GPU."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import write_grid_plan

from elusive.augment.clues.top_tokens import read_attention_before_values
from elusive.augment.scores.log_probability import score_entropy, score_log_probability
from elusive.augment.scores.model_scores import Reading, score_attention, score_heads
from elusive.augment.scores.token_scores import TokenScores
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.common.chat.local import generate_replies
from elusive.common.dataset.records import Document
from elusive.common.errors import InputError
from elusive.common.lm.loading import LoadedModel, describe_device, load_model
from elusive.evaluate.answering.local import check_training_acts
from elusive.evaluate.answering.perplexity import compute_perplexity
from elusive.evaluate.cells.cell import compute_cell_id
from elusive.evaluate.config import TrainingConfig
from elusive.evaluate.plans import load_plan
from elusive.evaluate.run import run_plan
from elusive.evaluate.training.lora import open_lora_model

pytestmark = pytest.mark.gpu

SCORES = {
    "attention": score_attention,
    "attention before values": lambda documents, loaded: score_attention(
        documents, loaded, Reading(queries="before-values")
    ),
    "depth contrast": lambda documents, loaded: score_attention(
        documents, loaded, Reading(minus_depth=0.5, own_query=True)
    ),
    "log-probability": score_log_probability,
    "entropy": score_entropy,
    "heads": score_heads,
}


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    return list(generate_biographies(BiogenConfig(people=12, start=8000)))


@pytest.fixture(scope="module")
def loaded(device) -> LoadedModel:
    model = load_model("nano-large")
    assert model.model.device.type == device.type
    return model


@pytest.fixture(scope="module")
def on_cpu(loaded: LoadedModel) -> LoadedModel:
    return replace(loaded, model=copy.deepcopy(loaded.model).cpu())


@pytest.mark.parametrize("name", SCORES)
def test_scores_are_those_of_a_cpu(name: str, documents, loaded, on_cpu):
    here, there = (SCORES[name](documents, model) for model in (loaded, on_cpu))
    assert len(here) == len(there) == len(documents)
    for ours, theirs in zip(here, there, strict=True):
        assert ours.units == theirs.units
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=2e-3, rtol=2e-3)
        assert np.std(ours.scores) > 0.01


def test_attention_before_values_is_that_of_a_cpu(documents, loaded, on_cpu):
    def read(model: LoadedModel) -> list[TokenScores]:
        return [read.scores for read in read_attention_before_values(documents, model, Reading())]

    here, there = read(loaded), read(on_cpu)
    assert len(here) == len(there) > len(documents)
    for ours, theirs in zip(here, there, strict=True):
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=2e-3, rtol=2e-3)


def test_perplexity_is_that_of_a_cpu(documents, loaded, on_cpu):
    texts = [document.text for document in documents]
    here, there = (compute_perplexity(m.model, m.tokenizer, texts) for m in (loaded, on_cpu))
    assert here == pytest.approx(there, rel=1e-4)


def test_an_untrained_adapter_is_noticed_on_a_gpu_too(loaded):
    with (
        open_lora_model(loaded, TrainingConfig(), seed=0) as model,
        pytest.raises(InputError, match="does not change the model's logits"),
    ):
        check_training_acts(model, loaded.model, loaded.tokenizer, "Ada Byron")


def test_replies_of_a_local_chat_are_those_of_a_batch_of_one(device):
    prompts = ["Question: Where was", "Haley Cooley was born on", "Ada"]
    together = generate_replies("nano-large", prompts, 8)
    assert together == [generate_replies("nano-large", [prompt], 8)[0] for prompt in prompts]
    assert all(together)


def test_two_processes_share_a_gpu_and_a_run_is_that_of_one(device, tmp_path: Path):
    contrast = {"method": "contrast", "large": "nano-large", "small": "nano-small"}
    runs = []
    for jobs in (1, 2):
        folder = tmp_path / str(jobs)
        folder.mkdir()
        plan = write_grid_plan(
            folder, lambda name: "nano-large", arms=["plain", contrast], untrained=True
        )
        runs.append(run_plan(load_plan(plan), folder / "run", jobs))
    for run in runs:
        assert [failure.error for failure in run.failures] == []
        assert {cell.costs["device"] for cell in run.cells} == {describe_device(device)}
    first, second = (
        {compute_cell_id(cell.parameters): cell.metrics["log_probability"] for cell in run.cells}
        for run in runs
    )
    assert len(first) == 6
    assert first == pytest.approx(second, abs=0.02)
