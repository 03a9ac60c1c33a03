"""Packed rows, LoRA training, and answering with and without the prefix's cache."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import VOCABULARY, tiny_model
from training_rows import some_questions, some_rows

from elusive.common.dataset.records import Question, Shot, TrainingText
from elusive.common.errors import InputError
from elusive.common.lm.loading import LoadedModel, load_model
from elusive.common.lm.packed_attention import IMPLEMENTATION, SHORT, build_border_columns
from elusive.common.lm.packing import IGNORED, build_text_sequence
from elusive.evaluate.answering.batches import ALONE, WHOLE_PROMPTS
from elusive.evaluate.answering.batching_probe import find_batching
from elusive.evaluate.answering.local import answer_questions, check_training_acts
from elusive.evaluate.answering.prompt_format import PromptFormat
from elusive.evaluate.answering.prompts import (
    get_topic,
    render_few_shot_prefix,
    split_shots,
)
from elusive.evaluate.cells.cell import compute_cell_id
from elusive.evaluate.config import TrainingConfig
from elusive.evaluate.training.lora import open_lora_model, open_tuned_model
from elusive.evaluate.training.sequences import build_replay_sequence, pack_epochs
from elusive.evaluate.training.train import train

LENGTHS = [7, 1, 12]


def random_sequences(lengths: list[int]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(2, VOCABULARY, (1, length), generator=generator) for length in lengths]


@pytest.mark.parametrize("name", ["llama", "qwen2"])
@pytest.mark.parametrize("written_out", [True, False])
def test_logits_of_cut_attention_equal_those_of_separate_sequences(name, written_out, monkeypatch):
    monkeypatch.setattr("elusive.common.lm.packed_attention.SHORT", SHORT if written_out else 0)
    sequences = random_sequences(LENGTHS)
    model = tiny_model(name)
    with torch.no_grad():
        apart = torch.cat([model(input_ids=sequence).logits for sequence in sequences], dim=1)
    model.set_attn_implementation(IMPLEMENTATION)
    positions = torch.cat([torch.arange(length) for length in LENGTHS])[None]
    with torch.no_grad():
        packed = model(
            input_ids=torch.cat(sequences, dim=1),
            position_ids=positions,
            use_cache=False,
            **build_border_columns(LENGTHS),
        ).logits
    torch.testing.assert_close(packed, apart, atol=1e-4, rtol=1e-4)


def test_cut_attention_refuses_what_it_cannot_do():
    model = tiny_model("gemma2")
    model.set_attn_implementation(IMPLEMENTATION)
    with pytest.raises(InputError, match="cannot be cut at borders: it uses sliding_window"):
        model(input_ids=random_sequences([7])[0], **build_border_columns([7]))


def test_texts_come_every_epoch_and_replay_once_and_none_is_predicted_from_another(tokenizer):
    sequences = [
        build_text_sequence(text, tokenizer) for text in ("Ada was born.", "He did.", "Rome")
    ]
    rows = list(
        pack_epochs(lambda epoch: sequences[:2], sequences[2:], 2, 2, np.random.default_rng(0))
    )
    assert len(rows) == 3
    tokens = [token for row in rows for token in row["input_ids"][0].tolist()]
    texts, replay = [s.input_ids for s in sequences[:2]], sequences[2].input_ids
    assert sorted(tokens) == sorted([*texts[0], *texts[1]] * 2 + replay)
    for row in rows:
        starts = row["position_ids"] == 0
        assert (row["labels"][starts] == IGNORED).all()
        rest = ~starts
        assert (row["labels"][rest] == row["input_ids"][rest]).all()


def test_only_the_answer_of_a_replayed_question_is_predicted(tokenizer):
    shot = Shot("Ada", "company", "Which company did Ada work for?", "Hill-Irwin")
    sequence = build_replay_sequence(shot, PromptFormat(tokenizer))
    predicted = [token for token in sequence.labels if token != IGNORED]
    assert tokenizer.decode(predicted) == " Hill-Irwin\n"
    assert tokenizer.decode(sequence.input_ids).startswith("Question: Which company")


def test_prompts_and_replay_show_different_people():
    shots = [Shot(f"P{i}", "major", "?", "x") for i in range(9)]
    prompt, rest = split_shots(shots, 5, seed=1)
    assert len({shot.entity for shot in prompt}) == 5
    assert not {shot.entity for shot in prompt} & {shot.entity for shot in rest}
    assert split_shots(shots, 5, seed=1)[0] == prompt
    assert split_shots(shots, 5, seed=2)[0] != prompt


def test_more_shots_than_people_is_one_clear_error():
    with pytest.raises(InputError, match="num_shots 5 needs more than 5 people"):
        split_shots([Shot("P", "major", "?", "x")], 5, seed=0)


@pytest.fixture(scope="module")
def loaded(model_folder) -> LoadedModel:
    return load_model(str(model_folder("llama")), dtype=torch.float32)


def test_training_lowers_the_loss_and_changes_the_logits_and_is_taken_off(
    loaded, tokenizer, tmp_path
):
    ids = torch.tensor([tokenizer("Ada Byron")["input_ids"]])
    before = loaded.model(input_ids=ids).logits
    config = TrainingConfig(learning_rate=1e-2)
    with open_lora_model(loaded, config, seed=0) as model:
        with pytest.raises(InputError, match="does not change the model's logits"):
            check_training_acts(model, loaded.model, tokenizer, "Ada Byron")
        log = train(model, some_rows(tokenizer), config, seed=0)
        check_training_acts(model, loaded.model, tokenizer, "Ada Byron")
        model.save_pretrained(tmp_path)
    assert log.last_loss < 0.7 * log.first_loss
    assert log.steps == 24
    torch.testing.assert_close(loaded.model(input_ids=ids).logits, before)
    saved = json.loads((tmp_path / "adapter_config.json").read_text())
    assert saved["r"] == 16
    assert set(saved["target_modules"]) == {
        *("q_proj", "k_proj", "v_proj", "o_proj"),
        *("gate_proj", "up_proj", "down_proj"),
    }


def test_all_weights_can_be_trained_after_an_adapter(model_folder, tokenizer):
    loaded = load_model(str(model_folder("llama")), dtype=torch.float32)
    for tuning in ("lora", "full"):
        config = TrainingConfig(tuning=tuning, learning_rate=1e-2)
        with open_tuned_model(loaded, config, seed=0) as model:
            log = train(model, some_rows(tokenizer, 8), config, seed=0)
        assert log.last_loss < log.first_loss


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_an_adapter_that_makes_no_numbers_is_refused(value, loaded, tokenizer):
    with open_lora_model(loaded, TrainingConfig(), seed=0) as model:
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data.fill_(value)
        with pytest.raises(InputError, match="lower learning rate"):
            check_training_acts(model, loaded.model, tokenizer, "Ada Byron")


def test_training_twice_with_one_seed_gives_one_adapter(loaded, tokenizer, tmp_path):
    for name in ("a", "b"):
        with open_lora_model(loaded, TrainingConfig(), seed=3) as model:
            train(model, some_rows(tokenizer, 4), TrainingConfig(), seed=3)
            model.save_pretrained(tmp_path / name)
    first, second = (load_file(tmp_path / name / "adapter_model.safetensors") for name in "ab")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_loss_that_is_no_number_stops_training(loaded, tokenizer):
    config = TrainingConfig(learning_rate=1e30, clip=1e30, warmup=0)
    with (
        open_lora_model(loaded, config, seed=0) as model,
        pytest.raises(InputError, match=r"training loss is .* lower the learning rate"),
    ):
        train(model, some_rows(tokenizer), config, seed=0)


@pytest.mark.parametrize(
    "name",
    ["llama", "gemma2", "gpt2", "opt", "bloom", "falcon", "gptj", "gpt_neox", "phi", "qwen3"],
)
def test_answers_do_not_depend_on_how_questions_are_batched(name, model_folder, tokenizer):
    loaded = load_model(str(model_folder(name)), dtype=torch.float32)
    questions, shots = some_questions()
    plain = answer_questions(loaded.model, tokenizer, questions, shots, 1, ALONE)
    found = find_batching(loaded)
    for batch_size, batching in ((1, found), (4, found), (4, WHOLE_PROMPTS)):
        other = answer_questions(loaded.model, tokenizer, questions, shots, batch_size, batching)
        assert [p.prediction for p in other] == [p.prediction for p in plain]
        np.testing.assert_allclose(
            [p.log_probability for p in other], [p.log_probability for p in plain], atol=1e-3
        )
    assert [p.question_id for p in plain] == [q.question_id for q in questions]


def test_gold_log_probability_equals_the_definition(loaded, tokenizer):
    questions, _ = some_questions()
    question = questions[0]
    log_probability = answer_questions(loaded.model, tokenizer, [question], [], 1)[
        0
    ].log_probability
    prompt = tokenizer(f"Question: {question.question}\nAnswer:")["input_ids"]
    assert len(question.answers) > 1
    gold = tokenizer(f" {question.answers[0]}")["input_ids"]
    with torch.no_grad():
        logits = loaded.model(input_ids=torch.tensor([prompt + gold])).logits[0].log_softmax(-1)
    steps = range(len(prompt) - 1, len(prompt) + len(gold) - 1)
    mean = np.mean([float(logits[i, t]) for i, t in zip(steps, gold, strict=True)])
    assert log_probability == pytest.approx(mean, abs=1e-4)


def test_examples_are_of_the_same_kind_and_field():
    shots = [
        Shot("Bo", "city", "city of Bo?", "Oslo"),
        Shot("Bo", "city", "Is Oslo the city of Bo?", "yes", kind="yes-no"),
        Shot("Bo", "major", "major of Bo?", "Law"),
    ]
    question = Question("q", "d", "Al", "city", "Is Rome the city of Al?", ["no"], "test", "yes-no")
    prefix = render_few_shot_prefix(shots, get_topic(question))
    assert prefix == "Question: Is Oslo the city of Bo?\nAnswer: yes\n"


def test_asking_about_someone_shown_as_an_example_is_refused(loaded, tokenizer):
    questions, _ = some_questions()
    shots = [Shot("Bo", "city", "city of Bo?", "Oslo")]
    with pytest.raises(InputError, match="'Bo' is asked about and shown"):
        answer_questions(loaded.model, tokenizer, questions, shots, 4)


def test_training_text_record_round_trips(tmp_path: Path):
    from elusive.common.dataset.records import from_table, to_table
    from elusive.common.folders import read_table, write_tables

    text = TrainingText("d", 1, "a", [(0, 1)], [(0, 1)], 0.5, "random", 0.7, 0.05, 0)
    write_tables(tmp_path / "x", {"texts": to_table([text], TrainingText)})
    assert from_table(read_table(tmp_path / "x", "texts"), TrainingText) == [text]


def test_a_cells_id_follows_what_decides_its_outcome_and_no_names():
    parameters = {
        "label": "random",
        "model": "a/path",
        "augment": {"method": "random", "model": "a/path"},
        "dataset": "d",
        "train": "t",
        "weights": "w",
        "seed": 0,
        "training": {"epochs": 3},
        "answering": {"num_shots": 5},
    }
    known = compute_cell_id(parameters)
    for name in ("label", "model", "augment"):
        assert compute_cell_id(parameters | {name: "other"}) == known
    for name in ("dataset", "train", "weights", "seed", "training", "answering"):
        assert compute_cell_id(parameters | {name: "other"}) != known
