"""Greedy answers and replies are those of the logits, whatever a model's settings ask for."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from training_rows import some_questions

from elusive.common.chat.local import generate_replies
from elusive.common.lm.adapters import ignore_adapter_warnings
from elusive.common.lm.loading import load_model
from elusive.evaluate.answering.local import answer_questions

SETTINGS: dict[str, dict[str, object]] = {
    "n-grams that must not come again": {"no_repeat_ngram_size": 1},
    "beams": {"num_beams": 3, "length_penalty": 3.0},
    "penalties": {"repetition_penalty": 9.0, "encoder_repetition_penalty": 3.0},
    "sampling": {"do_sample": True, "temperature": 5.0, "top_k": 0},
    "tokens that must not come": {"suppress_tokens": list(range(2, 500))},
    "tokens that must not come first": {"begin_suppress_tokens": list(range(2, 500))},
    "words that must not come": {"bad_words_ids": [[token] for token in range(2, 500)]},
    "a shortest length": {"min_new_tokens": 4, "min_length": 400},
    "a last token": {"forced_eos_token_id": 9},
    "a shorter length": {"max_new_tokens": 1, "max_length": 3},
    "a string to stop at": {"stop_strings": ["a", "e"]},
    "guidance": {"guidance_scale": 4.0},
}


@pytest.fixture(scope="module")
def folders(model_folder, tmp_path_factory):
    """Function that saves a model with generation settings."""

    def save(name: str, settings: dict[str, object], where: str = "generation_config.json") -> Path:
        folder = tmp_path_factory.mktemp("models") / name
        shutil.copytree(model_folder(name), folder)
        path = folder / where
        path.write_text(json.dumps(json.loads(path.read_text()) | settings))
        return folder

    return save


@pytest.mark.parametrize("adapted", [False, True])
@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_of_generation_change_no_answer(setting, adapted, folders, tokenizer):
    answers = []
    for settings in ({}, SETTINGS[setting]):  # a window: these models answer by `generate`
        model = load_model(str(folders("mistral", settings)), dtype=torch.float32).model
        if adapted:
            torch.manual_seed(0)
            lora = LoraConfig(r=2, init_lora_weights=False, task_type="CAUSAL_LM")
            with ignore_adapter_warnings():
                model = get_peft_model(model, lora)
        questions, shots = some_questions()
        answers.append(answer_questions(model, tokenizer, questions[:3], shots, 2))
    assert [a.prediction for a in answers[0]] == [a.prediction for a in answers[1]]
    assert any(answer.prediction for answer in answers[0])


def test_settings_of_generation_in_the_config_change_no_answer(folders, tokenizer):
    answers = []
    for settings in ({}, {"no_repeat_ngram_size": 1, "repetition_penalty": 9.0}):
        folder = folders("mistral", settings, "config.json")
        (folder / "generation_config.json").unlink()
        model = load_model(str(folder), dtype=torch.float32).model
        questions, shots = some_questions()
        answers.append(answer_questions(model, tokenizer, questions[:3], shots, 2))
    assert [a.prediction for a in answers[0]] == [a.prediction for a in answers[1]]


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_of_generation_change_no_reply(setting, folders):
    prompts = ["Who was born in Paris?", "Where?"]
    plain, other = (
        generate_replies(str(folders("llama", settings)), prompts, 6)
        for settings in ({}, SETTINGS[setting])
    )
    assert plain == other
    assert all(plain)


def test_a_reply_ends_where_the_models_settings_say(folders, tokenizer):
    folder = folders("llama", {"eos_token_id": 0})
    (reply,) = generate_replies(str(folder), ["Where?"], 6)
    second = tokenizer(reply)["input_ids"][1]
    ended = folders("llama", {"eos_token_id": [0, second]})
    (shorter,) = generate_replies(str(ended), ["Where?"], 6)
    assert reply.startswith(shorter)
    assert len(shorter) < len(reply)
