"""Answers on a GPU: those of a CPU, with and without the prefix's cache."""

import copy

import numpy as np
import pytest
import torch
from tiny import tiny_model
from training_rows import some_questions

from elusive.common.dataset.records import Prediction, Question, Shot
from elusive.common.lm.loading import LoadedModel, load_model
from elusive.common.lm.references import BUILT_IN
from elusive.evaluate.answering.batches import (
    ALONE,
    EQUAL_LENGTHS,
    SHARED_PREFIX,
    WHOLE_PROMPTS,
    Batching,
)
from elusive.evaluate.answering.local import answer_questions
from elusive.evaluate.answering.prompts import split_shots
from elusive.models.config import load_pretrain_plan
from elusive.models.population import build_population
from elusive.models.pretrain import NUM_SHOTS, sample_questions

pytestmark = pytest.mark.gpu

COUNT = 64
Asked = tuple[list[Question], list[Shot]]


@pytest.fixture(scope="module")
def asked() -> Asked:
    """Questions about people whom nano-large knows, and shots."""
    plan = load_pretrain_plan(BUILT_IN / "nano-large" / "plan.json")
    population = build_population(plan)
    shots, _ = split_shots(population.shots, NUM_SHOTS, 0)
    return sample_questions(population, plan)[:COUNT], shots


def ask(
    loaded: LoadedModel, asked: Asked, batch_size: int = 16, batching: Batching = SHARED_PREFIX
):
    return answer_questions(loaded.model, loaded.tokenizer, *asked, batch_size, batching)


def compare(first: list[Prediction], second: list[Prediction]) -> tuple[float, float]:
    """Share of equal answers, and the largest difference of log-probabilities in nats."""
    same = np.mean([a.prediction == b.prediction for a, b in zip(first, second, strict=True)])
    logs = [
        np.array([prediction.log_probability for prediction in part]) for part in (first, second)
    ]
    return float(same), float(np.abs(logs[0] - logs[1]).max())


def test_answers_are_those_of_a_cpu(asked: Asked, device):
    loaded = load_model("nano-large", dtype=torch.float32)
    assert loaded.model.device.type == device.type
    answers = ask(loaded, asked)
    loaded.model.to("cpu")  # type: ignore[arg-type]
    same, apart = compare(answers, ask(loaded, asked))
    assert same == 1
    assert apart < 1e-2
    assert np.mean([answer.em for answer in answers]) > 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_answers_do_not_depend_on_the_cache_or_the_batch(asked: Asked, dtype, device):
    """bfloat16 rounds logits to 3 digits, and a batch of another size to other ones."""
    loaded = load_model("nano-large", dtype=dtype)
    alone = ask(loaded, asked, 1, ALONE)
    for batch_size, batching in ((1, SHARED_PREFIX), (16, SHARED_PREFIX), (16, WHOLE_PROMPTS)):
        same, apart = compare(ask(loaded, asked, batch_size, batching), alone)
        assert same >= (1 if dtype == torch.float32 else 0.9)
        assert apart < (1e-2 if dtype == torch.float32 else 0.5)


@pytest.mark.parametrize("name", ["llama", "qwen2", "gemma2", "gpt2"])
def test_tiny_models_answer_as_on_a_cpu(name: str, tokenizer, device):
    questions, shots = some_questions()
    model = tiny_model(name)
    shared = EQUAL_LENGTHS if name == "gemma2" else SHARED_PREFIX
    on_cpu = answer_questions(copy.deepcopy(model), tokenizer, questions, shots, 1, ALONE)
    model.to(device)  # type: ignore[arg-type]
    for batch_size, batching in ((1, ALONE), (4, shared), (4, WHOLE_PROMPTS)):
        other = answer_questions(model, tokenizer, questions, shots, batch_size, batching)
        same, apart = compare(other, on_cpu)
        assert same == 1
        assert apart < 1e-2
