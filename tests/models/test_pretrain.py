"""Families from scratch: the same for the same seed, resumed where they stopped, loadable."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner

from elusive.cli.main import cli
from elusive.common.errors import InputError
from elusive.common.lm.loading import load_model
from elusive.common.lm.packing import IGNORED
from elusive.models.config import ModelShape, PretrainPlan, load_pretrain_plan
from elusive.models.population import Rows, build_population, generate_tokenizer_texts
from elusive.models.pretrain import CHECKPOINT, LOG, pretrain_model
from elusive.models.tokenizer import train_tokenizer

POPULATION = {"people": 8, "wordings": 3, "multi": 3, "num_shot_people": 8, "dev_rate": 0}
SHAPE = {"width": 32, "layers": 2, "heads": 2, "intermediate": 64}
PLAN = {
    "population": POPULATION,
    "models": [{"name": "tiny", **SHAPE}],
    "vocabulary": 600,
    "tokens": 12_000,
    "row_tokens": 512,
    "evaluations": 3,
    "evaluation_questions": 6,
}


@pytest.fixture(scope="module")
def plan() -> PretrainPlan:
    return PretrainPlan.model_validate(PLAN)


@pytest.fixture(scope="module")
def material(plan):
    """Population and tokenizer of the plan."""
    return build_population(plan), train_tokenizer(generate_tokenizer_texts(plan), plan.vocabulary)


@pytest.fixture(scope="module")
def family(tmp_path_factory) -> Path:
    """A family made by the command."""
    root = tmp_path_factory.mktemp("family")
    (root / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    result = CliRunner().invoke(
        cli, ["pretrain", str(root / "plan.yaml"), "--out", str(root / "out")]
    )
    assert result.exit_code == 0, result.output
    return root


def test_a_family_opens_with_transformers_and_has_learnt(family):
    loaded = load_model(str(family / "out" / "tiny"), torch.float32)
    ids = loaded.tokenizer("Ada was born.")["input_ids"]
    assert ids[0] == loaded.tokenizer.bos_token_id
    entries = [
        json.loads(line) for line in (family / "out" / "tiny" / LOG).read_text().splitlines()
    ]
    assert [entry["tokens"] // 4_000 for entry in entries] == [1, 2, 3]
    assert entries[-1]["loss"] < entries[0]["loss"] - 0.5
    card = (family / "out" / "tiny" / "README.md").read_text()
    assert f"| {entries[-1]['tokens']:,} | {entries[-1]['loss']} |" in card


def test_a_family_that_is_there_is_not_made_again(family):
    weights = family / "out" / "tiny" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    command = ["pretrain", str(family / "plan.yaml"), "--out", str(family / "out")]
    assert CliRunner().invoke(cli, command).exit_code == 0
    assert weights.stat().st_mtime_ns == before


def test_a_resumed_family_goes_on_with_its_tokenizer(family, plan, tmp_path, monkeypatch):
    from elusive.models import family as module

    first = module._make_tokenizer(plan, tmp_path / "tokenizer")
    monkeypatch.setattr(module, "generate_tokenizer_texts", lambda plan: ["other text than before"])
    resumed = module._make_tokenizer(plan, tmp_path / "tokenizer")
    assert resumed.get_vocab() == first.get_vocab()
    assert resumed("Ada Byron was born.")["input_ids"] == first("Ada Byron was born.")["input_ids"]


def test_another_plan_is_refused(family):
    command = ["pretrain", str(family / "plan.yaml"), "--out", str(family / "out")]
    result = CliRunner().invoke(cli, [*command, "--set", "tokens=13000"])
    assert isinstance(result.exception, InputError)
    assert "a family of another plan (different tokens)" in str(result.exception)


def read_log(out: Path) -> list[dict]:
    """What was logged, but for the speed."""
    entries = [json.loads(line) for line in (out / LOG).read_text().splitlines()]
    return [{key: value for key, value in e.items() if "second" not in key} for e in entries]


def test_a_resumed_training_ends_with_the_same_weights_and_log(plan, material, tmp_path):
    whole = pretrain_model(plan.models[0], plan, material[0], material[1], tmp_path / "whole")

    class Killed(Exception):
        pass

    def kill(count: int) -> None:
        read.append(count)
        if sum(read) > 5_000:
            raise Killed

    read: list[int] = []
    with pytest.raises(Killed):
        pretrain_model(plan.models[0], plan, material[0], material[1], tmp_path / "parts", kill, 0)
    assert (tmp_path / "parts" / CHECKPOINT).exists()
    counts: list[int] = []
    resumed = pretrain_model(
        plan.models[0], plan, material[0], material[1], tmp_path / "parts", counts.append
    )
    assert counts[0] > 4_000
    assert read_log(tmp_path / "parts") == read_log(tmp_path / "whole")
    for first, second in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(first, second)


def test_rows_do_not_depend_on_each_other_and_mix_questions_in(plan, material):
    population, tokenizer = material
    rows = Rows(population, tokenizer, plan)
    assert Rows(population, tokenizer, plan).build_row(40) == rows.build_row(40)
    sequences = [sequence for number in range(60) for sequence in rows.build_row(number)]
    blocks = [sequence for sequence in sequences if IGNORED in sequence.labels]
    tokens, in_blocks = (sum(len(s.input_ids) for s in some) for some in (sequences, blocks))
    assert in_blocks / tokens == pytest.approx(plan.question_share, abs=0.05)
    text = tokenizer.decode(blocks[0].input_ids, skip_special_tokens=True)
    assert text.count("Question: ") == text.count("\nAnswer: ") == plan.block_questions
    predicted = [token for token in blocks[0].labels if token != IGNORED]
    assert "Question" not in tokenizer.decode(predicted)
    assert tokenizer.decode(predicted).count("\n") == plan.block_questions


def test_new_names_cost_as_many_tokens_as_known_ones(plan, material):
    population, tokenizer = material
    lengths = [len(tokenizer(question.entity)["input_ids"]) for question in population.questions]
    texts = [tokenizer.decode(tokenizer(t)["input_ids"], True) for t in population.texts]
    assert texts == population.texts
    assert 2 < sum(lengths) / len(lengths) < 12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": []}, "models: the list should have at least 1 item"),
        ({"models": [{"name": "a"}, {"name": "a"}]}, "models: two are named 'a'"),
        ({"models": [{"name": "a", "width": 30, "heads": 4}]}, "should divide half of width 30"),
        ({"block_questions": 9}, "is more than the people to be asked about, 8"),
        ({"first_people": 9}, "is more than the population's people 8"),
        ({"vocabulary": 10}, "vocabulary: input should be greater than or equal to 300"),
        ({"token": 5}, "unknown key 'token': did you mean 'tokens'?"),
        ({"population": {"poeple": 5}}, "did you mean 'population.people'?"),
    ],
)
def test_bad_plans_are_one_line(changes, message, tmp_path):
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLAN | changes))
    with pytest.raises(InputError) as error:
        load_pretrain_plan(tmp_path / "plan.yaml")
    assert message in str(error.value)


def test_the_preset_is_a_plan():
    path = Path(__file__).parents[2] / "presets" / "nano-family.yaml"
    assert {shape.name for shape in load_pretrain_plan(path).models} == {"nano-large", "nano-small"}
    assert ModelShape(name="a").width == 256


def test_one_preset_gives_both_pretrainings_that_the_findings_compare():
    path = Path(__file__).parents[2] / "presets" / "nano-fixed.yaml"
    changes = ("models=[{name: mixed-large}]", "population.permute=true")
    fixed, mixed = load_pretrain_plan(path), load_pretrain_plan(path, changes)
    assert fixed.models[0].model_copy(update={"name": "mixed-large"}) == mixed.models[0]
    population = fixed.population.model_copy(update={"permute": True})
    assert fixed.model_copy(update={"models": mixed.models, "population": population}) == mixed


def test_people_join_one_by_one(plan, material):
    growing = plan.model_copy(update={"first_people": 6, "joining": 0.5, "tokens": 40_000})
    rows = Rows(material[0], material[1], growing)
    middle = growing.tokens // growing.row_tokens // 2
    joined = [rows.compute_joined_rate(number) for number in (0, middle + 1, 10_000)]
    assert joined == [0.75, 1.0, 1.0]
    assert 0.75 < rows.compute_joined_rate(middle // 2) < 1

    names = {question.entity for question in material[0].questions}
    decode = material[1].decode

    def named(numbers: range) -> set[str]:
        texts = [decode(s.input_ids) for number in numbers for s in rows.build_row(number)]
        return {name for name in names if any(name in text for text in texts)}

    assert len(named(range(1))) <= 7
    assert len(named(range(middle, 2 * middle))) == 8
