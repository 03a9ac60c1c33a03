"""The built-in models: what they know, and what training and scoring do on the nano family."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import rankdata

from elusive.augment.clues.targets import measure_clues
from elusive.augment.config import AugmentConfig
from elusive.augment.copies import build_training_texts
from elusive.augment.scores.arm_scores import Scorers, score_documents
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.biogen.questions import generate_questions, generate_shots
from elusive.common.lm.loading import load_model
from elusive.common.lm.references import BUILT_IN, BUILT_IN_NAMES
from elusive.evaluate.answering.batches import WHOLE_PROMPTS
from elusive.evaluate.answering.local import answer_questions
from elusive.evaluate.answering.prompts import split_shots
from elusive.evaluate.cells.cell_folder import load_cell
from elusive.evaluate.plans import Plan, load_plan
from elusive.evaluate.run import run_plan
from elusive.models.config import load_pretrain_plan
from elusive.models.population import build_population
from elusive.models.pretrain import measure_population_em, sample_questions

PRESETS = Path(__file__).parents[2] / "presets"
NEW_PEOPLE = {"start": 20_000, "dev_rate": 0}
PAIR = {"model": "nano-large", "large": "nano-large", "small": "nano-small"}
FAMILIES = {"nano": ("nano-large", "nano-small"), "micro": ("micro-large", "micro-small")}


@pytest.fixture(scope="module")
def nano():
    """The models by name."""
    return {name: load_model(name) for name in BUILT_IN_NAMES}


@pytest.fixture(scope="module")
def documents():
    """Texts about people of whom the models have not read, the name in any sentence."""
    return list(generate_biographies(BiogenConfig(people=60, start=20_000, name_position="any")))


def scored(method: str, documents, nano):
    config = AugmentConfig.model_validate({"method": method} | PAIR)
    scorers = Scorers(config, nano.__getitem__, lambda name: nano[name].tokenizer)
    return score_documents(documents, scorers)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_has_a_larger_and_a_smaller_model_of_one_vocabulary(family, nano):
    large, small = (nano[name] for name in FAMILIES[family])
    assert 2 <= large.model.num_parameters() / small.model.num_parameters() <= 10
    assert large.tokenizer.get_vocab() == small.tokenizer.get_vocab()


def test_the_models_of_micro_differ_in_depth_alone():
    large, small = (
        json.loads((BUILT_IN / name / "config.json").read_text()) for name in FAMILIES["micro"]
    )
    assert {key for key in large if large[key] != small[key]} == {"num_hidden_layers"}


def test_the_families_fit_into_the_package():
    assert [name for names in FAMILIES.values() for name in names] == [*BUILT_IN_NAMES]
    sizes = [path.stat().st_size for name in BUILT_IN_NAMES for path in (BUILT_IN / name).iterdir()]
    assert sum(sizes) < 60e6


@pytest.mark.parametrize("name", BUILT_IN_NAMES)
def test_their_plan_is_the_preset_and_their_card_says_how_to_make_them_again(name):
    plan = load_pretrain_plan(PRESETS / f"{name.split('-')[0]}-family.yaml")
    assert load_pretrain_plan(BUILT_IN / name / "plan.json") == plan
    card = (BUILT_IN / name / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlicense: ")
    for needed in ("elusive pretrain", "python benchmarks/families.py", f"{plan.tokens:,}", name):
        assert needed in card


@pytest.mark.parametrize(
    ("name", "least"),
    [("nano-large", 0.95), ("nano-small", 0.8), ("micro-large", 0.95), ("micro-small", 0.8)],
)
def test_they_answer_questions_about_their_population(name, least, nano):
    plan = load_pretrain_plan(BUILT_IN / name / "plan.json")
    population = build_population(plan)
    asked = sample_questions(population, plan)
    assert measure_population_em(nano[name].model, nano[name].tokenizer, population, asked) >= least


@pytest.mark.parametrize(
    "gold_of",
    [
        lambda gold, other: gold,
        lambda gold, other: gold[: len(gold) // 2],
        lambda gold, other: f"{gold} and more",
        lambda gold, other: f"{gold.split()[0]} {other.split()[-1]}",
        lambda gold, other: other,
    ],
    ids=["right", "cut", "too long", "half", "of another"],
)
def test_what_the_gold_answers_are_does_not_change_what_is_answered(gold_of, nano):
    """Known people and unknown ones, in one batch: the answers are those of plain decoding."""
    loaded = nano["nano-large"]
    population = load_pretrain_plan(BUILT_IN / "nano-large" / "plan.json").population
    asked_about = [
        population.model_copy(update={"people": 4, "start": start})
        for start in (0, NEW_PEOPLE["start"])
    ]
    about_both = [question for config in asked_about for question in generate_questions(config)]
    shown, _ = split_shots(list(generate_shots(population)), 5, 0)
    golds = [question.answers[0] for question in about_both]
    asked = [
        dataclasses.replace(question, answers=[gold_of(gold, other)])
        for question, gold, other in zip(about_both, golds, [*golds[1:], golds[0]], strict=True)
    ]
    model, tokenizer = loaded.model, loaded.tokenizer
    drafted = answer_questions(model, tokenizer, asked, shown, 16)
    plain = answer_questions(model, tokenizer, asked, shown, 16, WHOLE_PROMPTS)
    assert [p.prediction for p in drafted] == [p.prediction for p in plain]
    np.testing.assert_allclose(
        [p.log_probability for p in drafted], [p.log_probability for p in plain], atol=1e-4
    )


def test_training_lowers_the_loss_and_raises_what_is_known(tmp_path, nano):
    settings = {"people": 2, "wordings": 43, "multi": 16, "permute": True, "name_position": "any"}
    plan = Plan.model_validate(
        {
            "dataset": settings | NEW_PEOPLE,
            "model": "nano-large",
            "arms": [{"method": "plain", "copies": 1}],
            "training": {"epochs": 4, "learning_rate": 5e-3, "format_replay": 16},
        }
    )
    before, after = map(load_cell, run_plan(plan, tmp_path / "run").folders)
    assert after.log is not None
    assert after.log["last_loss"] < after.log["first_loss"] - 0.2
    em = [np.mean([p.em for p in cell.predictions]) for cell in (before, after)]
    gold = [np.mean([p.log_probability for p in cell.predictions]) for cell in (before, after)]
    assert em[1] > em[0] + 0.2
    assert gold[1] > gold[0] + 0.5


def test_the_oracle_keeps_names_and_values_and_drops_as_much_as_the_others(documents, nano):
    rates = {}
    for method in ("oracle", "random"):
        config = AugmentConfig.model_validate({"method": method, "copies": 20} | PAIR)
        texts = build_training_texts(documents, scored(method, documents, nano), config)
        copies = [text for text in texts if text.copy > 0]
        rates[method] = np.mean([text.drop_rate for text in copies])
        by_id = {document.doc_id: document for document in documents}
        lost = 0
        for text in copies:
            document = by_id[text.doc_id]
            gold = [*document.heads, *((fact.start, fact.end) for fact in document.facts)]
            for start, end in gold:
                lost += not any(first <= start and end <= last for first, last in text.kept)
        assert (lost == 0) == (method == "oracle")
    assert rates["oracle"] == pytest.approx(rates["random"], abs=0.01)


def test_contrast_ranks_are_not_position_ranks(documents, nano):
    """The paper's released code ranked by position, whatever the model read."""
    contrast = scored("contrast", documents, nano)
    correlations = [
        np.corrcoef(np.arange(len(s.scores)), rankdata(-s.scores))[0, 1] for s in contrast
    ]
    assert abs(np.mean(correlations)) < 0.7
    assert np.std(correlations) > 0.02


@pytest.mark.parametrize("method", ["attention", "contrast", "depth-contrast"])
def test_what_attention_has_learnt_finds_names_wherever_they_stand(method, documents, nano):
    # .69, .63 and .69 were measured on 100 people, with standard errors below .02.
    aurocs = [
        measure.auroc
        for document, scores in zip(documents, scored(method, documents, nano), strict=True)
        for measure in measure_clues(document, scores.units, scores.scores)
        if measure.target == "name"
    ]
    assert len(aurocs) == len(documents)
    assert np.mean(aurocs) > 0.57


def test_a_built_in_model_needs_no_network(monkeypatch):
    monkeypatch.setattr("elusive.common.lm.references._download", None)
    assert load_model("nano-small").model.config.model_type == "llama"


@pytest.mark.parametrize("preset", ["nano-demo", "nano"])
def test_the_presets_people_are_none_whom_the_models_know(preset):
    plan = load_plan(PRESETS / f"{preset}.yaml")
    assert isinstance(plan.dataset, BiogenConfig)
    new = {question.entity for question in generate_questions(plan.dataset)}
    new |= {shot.entity for shot in generate_shots(plan.dataset)}
    population = load_pretrain_plan(BUILT_IN / "nano-large" / "plan.json").population
    assert population.seed == plan.dataset.seed
    assert not new & {question.entity for question in generate_questions(population)}
