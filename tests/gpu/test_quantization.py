"""A base of 8 or 4 bits on a GPU: it scores, trains and answers much like the whole one."""

import numpy as np
import pytest
import torch
from short_training import train_briefly

from elusive.augment.scores.model_scores import score_attention
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.common.lm.loading import LoadedModel, load_model
from elusive.common.lm.references import BUILT_IN
from elusive.evaluate.answering.local import answer_questions
from elusive.evaluate.answering.prompts import split_shots
from elusive.models.config import load_pretrain_plan
from elusive.models.population import build_population
from elusive.models.pretrain import NUM_SHOTS, sample_questions

pytestmark = pytest.mark.gpu

BITS = ("8bit", "4bit")
DTYPES = (torch.float32, torch.bfloat16)


@pytest.fixture(autouse=True)
def _bitsandbytes() -> None:
    pytest.importorskip("bitsandbytes")


@pytest.fixture(params=[(bits, dtype) for bits in BITS for dtype in DTYPES], ids=str)
def loaded(request, device) -> LoadedModel:
    bits, dtype = request.param
    loaded = load_model("nano-large", dtype, bits)
    assert loaded.model.device.type == device.type
    kinds = {type(module).__name__ for module in loaded.model.modules()}
    assert {"8bit": "Linear8bitLt", "4bit": "Linear4bit"}[bits] in kinds
    return loaded


def test_scores_rank_tokens_as_the_whole_model_does(loaded):
    documents = list(generate_biographies(BiogenConfig(people=6, start=8000)))
    scored = [score_attention(documents, model) for model in (loaded, load_model("nano-large"))]
    for packed, whole in zip(*scored, strict=True):
        assert np.isfinite(packed.scores).all()
        assert np.corrcoef(packed.scores, whole.scores)[0, 1] > 0.9


def test_it_answers_what_the_whole_model_knows(loaded):
    plan = load_pretrain_plan(BUILT_IN / "nano-large" / "plan.json")
    population = build_population(plan)
    shots, _ = split_shots(population.shots, NUM_SHOTS, 0)
    questions = sample_questions(population, plan)[:64]
    answers = answer_questions(loaded.model, loaded.tokenizer, questions, shots, 16)
    assert np.mean([answer.em for answer in answers]) > 0.3
    assert np.isfinite([answer.log_probability for answer in answers]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bits", BITS)
def test_training_starts_near_the_whole_model_and_falls(bits: str, dtype, device):
    whole, packed = train_briefly(dtype), train_briefly(dtype, bits)
    assert packed.losses[0] == pytest.approx(whole.losses[0], rel=0.1)
    assert packed.losses[0] != whole.losses[0]
    assert packed.last_loss < 0.95 * packed.first_loss
