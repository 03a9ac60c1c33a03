"""Whatever tokenizer a model has, it is asked and scored with the tokens that it was trained on."""

import itertools
import re
from typing import Any

import numpy as np
import pytest
from odd_tokenizers import END, KINDS, LLAMA3, START, byte_level, metaspace, word_piece
from tiny import tiny_model
from training_rows import FIRMS, SHOTS, ask_about_firms, teach

from elusive.augment.scores.units import NO_START_PREFIX, encode
from elusive.common.dataset.records import Document, Question, Shot, TrainingText
from elusive.common.errors import InputError
from elusive.common.lm.encoding import encode_text, get_end_tokens
from elusive.common.lm.loading import load_model
from elusive.common.lm.packing import build_text_sequence, pack_row
from elusive.common.lm.tokenizer_checks import check_tokenizer
from elusive.evaluate.answering.batches import (
    SHARED_PREFIX,
    WHOLE_PROMPTS,
    PromptedModel,
    build_batches,
)
from elusive.evaluate.answering.local import answer_questions
from elusive.evaluate.answering.prompt_format import PromptFormat
from elusive.evaluate.answering.prompts import solve_question
from elusive.evaluate.training.corruption import (
    Corruption,
    build_copy_sequence,
    list_ordinary_tokens,
)
from elusive.evaluate.training.sequences import build_replay_sequence


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_replayed_until_it_is_known_is_answered_and_scored_as_known(kind):
    tokenizer, model = KINDS[kind](), tiny_model("llama")
    solved = [solve_question(question, question.answers[0]) for question in ask_about_firms()]
    prompts = PromptFormat(tokenizer)
    teach(model, [build_replay_sequence(shot, prompts) for shot in solved])
    for batching in (SHARED_PREFIX, WHOLE_PROMPTS):
        answers = answer_questions(model, tokenizer, ask_about_firms(), [], 4, batching)
        assert [answer.prediction for answer in answers] == list(FIRMS.values())
        assert min(answer.log_probability for answer in answers) > -0.2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shots", [[], SHOTS], ids=["no shots", "shots"])
def test_prompts_and_golds_are_the_tokens_of_the_whole_text(kind, shots):
    tokenizer: Any = KINDS[kind]()
    prompted = PromptedModel(tiny_model("llama"), tokenizer, PromptFormat(tokenizer), shots)
    shown = "".join(f"Question: {s.question}\nAnswer: {s.answer}\n" for s in shots)
    checked = 0
    for batch, prefix in build_batches(prompted, ask_about_firms(), 4, SHARED_PREFIX):
        for item in batch:
            question = item.question
            text = f"{shown}Question: {question.question}\nAnswer: {question.answers[0]}\n"
            whole = encode_text(text, tokenizer).input_ids
            before = prefix.input_ids[0].tolist()
            joined = before + item.input_ids + item.gold
            assert joined == whole[: len(joined)]
            assert tokenizer.decode(whole[len(joined) :]) in ("", "\n")
            assert END not in tokenizer.convert_ids_to_tokens(joined)
            assert not shots or len(before) > 20
            checked += 1
    assert checked == len(FIRMS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_ends_with_one_end_token_and_prompts_with_none(kind):
    tokenizer: Any = KINDS[kind]()
    ids = build_text_sequence("Ada joined Hill-Irwin Inc.", tokenizer).input_ids
    ends = get_end_tokens(tokenizer)
    assert [token for token in ids if token in ends] == ends
    assert ids[len(ids) - len(ends) :] == ends
    assert ids.count(tokenizer.convert_tokens_to_ids(START)) == (
        tokenizer("a")["input_ids"][0] == tokenizer.convert_tokens_to_ids(START)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_is_scored_without_an_end_token_and_after_something_that_takes_the_attention(kind):
    tokenizer: Any = KINDS[kind]()
    text = "Ada joined Hill-Irwin Inc."
    encoded = encode(text, tokenizer)
    assert not set(get_end_tokens(tokenizer)).intersection(encoded.input_ids)
    has_start = tokenizer.convert_tokens_to_ids(START) == encoded.input_ids[0]
    assert encoded.prefix == (1 if has_start else encoded.prefix) > 0
    assert has_start or tokenizer.decode(encoded.input_ids).strip().startswith(NO_START_PREFIX)
    units = "".join(text[start:end] for start, end in encoded.units)
    assert units.replace(" ", "") == text.replace(" ", "")


def test_a_token_with_the_last_sign_and_the_newline_is_scored_and_ends_the_answer():
    tokenizer: Any = KINDS["llama3"]()
    encoded = PromptFormat(tokenizer).encode_solved(
        Shot("Ada", "firm", "Which firm did Ada join?", "Hill-Irwin Inc.")
    )
    assert tokenizer.convert_ids_to_tokens(encoded.answer)[-2:] == ["ĠInc", ".Ċ"]
    assert encoded.end == []


def test_a_prompt_leaves_out_what_shares_a_token_with_the_answer():
    prompts = PromptFormat(KINDS["over-spaces"]())
    assert prompts.held.endswith(":")
    shot = Shot("Ada", "firm", "Which firm did Ada join?", "Oslo")
    text = prompts.render_prompt(shot)
    asked = prompts.tokenizer.decode(
        prompts.encode_prompt(shot).input_ids, skip_special_tokens=True
    )
    assert text == f"{asked}{prompts.held}"
    assert PromptFormat(KINDS["gpt2"]()).held == ""


def test_an_end_that_only_the_generation_config_names_ends_an_answer():
    tokenizer: Any = KINDS["gpt2"]()
    model: Any = tiny_model("llama")
    turn = tokenizer.convert_tokens_to_ids("<turn>")
    prompts = PromptFormat(tokenizer)
    for ends in (turn, [7, turn]):
        model.generation_config.eos_token_id = ends
        prompted = PromptedModel(model, tokenizer, prompts, [])
        ids = tokenizer(" Oslo").input_ids
        assert prompted.decode_answer([*ids, turn, *ids]) == "Oslo"
        assert prompted.decode_answer(ids) == "Oslo"
        assert {turn, tokenizer.eos_token_id} < prompted.ends


@pytest.mark.parametrize("batching", [SHARED_PREFIX, WHOLE_PROMPTS], ids=lambda way: way.name)
def test_what_follows_an_end_is_not_answered_where_no_token_is_for_padding(batching):
    """Short answers are padded with token 0, which may be a word."""
    tokenizer: Any = byte_level(end="<turn>")
    model: Any = tiny_model("llama")
    assert tokenizer.pad_token_id is None
    prompts = PromptFormat(tokenizer)
    sequences = []
    for shot in [
        Shot("Ada", "firm", "Ada?", "Oslo"),
        Shot("Bo", "firm", "Bo?", "Which firm in Rome"),
    ]:
        sequence = build_replay_sequence(shot, prompts)
        ids = [*sequence.input_ids[:-1], tokenizer.eos_token_id]
        sequences.append(type(sequence)(ids, [*sequence.labels[:-1], tokenizer.eos_token_id]))
    teach(model, sequences)
    model.generation_config.pad_token_id = None
    asked = [Question(n, n, n, "firm", f"{n}?", ["x " * 9], "test") for n in ("Ada", "Bo")]
    answers = answer_questions(model, tokenizer, asked, [], 2, batching)
    assert [answer.prediction for answer in answers] == ["Oslo", "Which firm in Rome"]


def test_a_tokenizer_that_loses_newlines_is_refused():
    with pytest.raises(InputError, match="loses newlines, so nothing ends an answer"):
        PromptFormat(word_piece())


@pytest.mark.parametrize("corrupt", ["delete", "mask", "random", "unseen", "reconstruct"])
@pytest.mark.parametrize("labels", ["dropped", "clean"])
@pytest.mark.parametrize("kind", ["no-end", "adds-both"])
def test_copies_can_be_trained_on_without_an_end_token_and_with_two(kind, corrupt, labels):
    tokenizer: Any = KINDS[kind]()
    text = "Ada Byron was born in Rome."
    document = Document("d", "Ada Byron", text, [(0, 9)], [], [], "train", [], "single")
    unknown = tokenizer.convert_tokens_to_ids("<unk>")
    how = Corruption(corrupt, labels, unknown, list_ordinary_tokens(tokenizer))
    spans = ([], [(0, 9)], [(14, 27)], [(0, 27)])
    for kept, is_empty in itertools.product(spans, (False, True)):
        pieces = [] if is_empty else [(0, len(text))]
        words = "" if is_empty else " ".join(text[start:end] for start, end in kept)
        copy = TrainingText("d", 1, words, kept, pieces, 0.5, "random", None, None, 0)
        sequence = build_copy_sequence(copy, document, tokenizer, how, np.random.default_rng(0))
        assert len(sequence.input_ids) == len(sequence.labels)
        assert all(isinstance(token, int) for token in sequence.input_ids)
        ends = [t for t in sequence.input_ids if t in get_end_tokens(tokenizer)]
        assert len(ends) <= (2 if corrupt == "reconstruct" else 1)
        pack_row([sequence])


def test_a_tokenizer_with_more_tokens_than_the_embedding_is_refused_where_both_meet(tmp_path):
    tiny_model("llama").save_pretrained(tmp_path)
    tokenizer = byte_level()
    tokenizer.add_tokens([f"word{number}" for number in range(600 - len(tokenizer))])
    tokenizer.save_pretrained(tmp_path)
    load_model(str(tmp_path))
    tokenizer.add_tokens(["one-more"])
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="has token ids up to 600, the embedding only 600 rows"):
        load_model(str(tmp_path))


def test_checks_of_a_tokenizer_are_one_line_each_and_find_nothing_in_sound_ones():
    for build in KINDS.values():
        assert check_tokenizer(build(), 600) == []
    lines = check_tokenizer(word_piece(), 100)
    assert len(lines) == 3
    assert not any("\n" in line for line in lines)
    assert re.match(r"the tokenizer has token ids up to \d+, the embedding only 100 rows", lines[0])
    assert lines[1].startswith("newlines vanish")
    assert lines[2].startswith("'Hill-Irwin Inc.' is written as 'hill - irwin inc.'")


def test_a_tokenizer_that_drops_characters_is_named():
    tokenizer = byte_level(LLAMA3)
    tokenizer.backend_tokenizer.normalizer = None
    dropping = metaspace("never")
    dropping.backend_tokenizer.model.byte_fallback = False
    dropping.backend_tokenizer.model.unk_token = None
    assert check_tokenizer(tokenizer, 600) == []
    assert any("no token holds" in line for line in check_tokenizer(dropping, 600))
