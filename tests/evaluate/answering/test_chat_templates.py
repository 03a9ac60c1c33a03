"""Chat templates: the rendering that is trained is the one that is asked and scored."""

from collections.abc import Callable
from typing import Any

import pytest
from odd_tokenizers import END, LLAMA3, byte_level, metaspace
from tiny import tiny_model
from training_rows import FIRMS, SHOTS, ask_about_firms, teach

from elusive.common.chat.local import generate_replies
from elusive.common.dataset.records import Shot
from elusive.common.errors import InputError
from elusive.common.lm.packing import IGNORED, Sequence
from elusive.evaluate.answering.batches import (
    SHARED_PREFIX,
    WHOLE_PROMPTS,
    PromptedModel,
    build_batches,
)
from elusive.evaluate.answering.local import answer_questions
from elusive.evaluate.answering.prompt_format import PromptFormat
from elusive.evaluate.answering.prompts import solve_question
from elusive.evaluate.training.sequences import build_replay_sequence

CHATML = (
    "{% for m in messages %}<turn>{{ m.role }}\n{{ m.content }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<turn>assistant\n{% endif %}"
)
THINKS_LAST = (
    "{% for m in messages %}<turn>{{ m.role }}\n"
    "{% if loop.last and m.role == 'assistant' %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content }}<end>\n{% endfor %}{% if add_generation_prompt %}<turn>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
    "{% endif %}"
)
"""As Qwen3's: only the last turn has a block of thoughts, which a prompt has on request."""
OPENS_THOUGHTS = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}<user>{{ m.content }}"
    "{% else %}<turn>{{ m.content }}<end>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<turn><think>\n{% endif %}"
)
"""As DeepSeek-R1's: a prompt is not how a finished turn begins."""
OTHER_END = (
    "{% for m in messages %}|{{ m.role }}|{{ m.content }}<turn>{% endfor %}"
    "{% if add_generation_prompt %}|assistant|{% else %}{{ eos_token }}{% endif %}"
)
"""As Phi-4-mini's: a turn ends with another token than a text."""
SPACED = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token }}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }} <end>{% endif %}{% endfor %}"
)
"""As Llama 2's: an answer begins with a space."""
COLONS = "{% for m in messages %}{{ m.role }}:{{ m.content }}\n{% endfor %}"
"""As Vicuna's, without spaces: a colon and the answer may be one token."""
DATED = "{{ strftime_now('%d %b %Y') }}\n" + CHATML

TEMPLATES = {
    "chatml": (CHATML, byte_level),
    "thinks last": (THINKS_LAST, byte_level),
    "thinks last, two newlines": (THINKS_LAST, lambda: byte_level(texts=["x\n\n\ny"] * 9)),
    "opens thoughts": (OPENS_THOUGHTS, lambda: byte_level(LLAMA3)),
    "other end": (OTHER_END, byte_level),
    "spaced": (SPACED, byte_level),
    "spaced legacy": (SPACED, lambda: metaspace("legacy", "<start> $A")),
    "chatml always": (CHATML, lambda: metaspace("always", "<start> $A")),
    "colons": (COLONS, lambda: byte_level(LLAMA3)),
    "dated": (DATED, byte_level),
}


def with_template(template: str, build: Callable[[], Any] = byte_level) -> Any:
    tokenizer = build()
    tokenizer.chat_template = template
    return tokenizer


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_is_replayed_in_a_chat_until_it_is_known_is_answered_as_known(name):
    tokenizer, model = with_template(*TEMPLATES[name]), tiny_model("llama")
    solved = [solve_question(question, question.answers[0]) for question in ask_about_firms()]
    prompts = PromptFormat(tokenizer, chat=True)
    teach(model, [build_replay_sequence(shot, prompts) for shot in solved])
    for batching in (SHARED_PREFIX, WHOLE_PROMPTS):
        answers = answer_questions(model, tokenizer, ask_about_firms(), [], 4, batching, chat=True)
        assert [answer.prediction for answer in answers] == list(FIRMS.values())
        assert min(answer.log_probability for answer in answers) > -0.2


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("shots", [[], SHOTS], ids=["no shots", "shots"])
def test_a_prompt_and_its_gold_answer_begin_a_finished_chat(name, shots):
    tokenizer = with_template(*TEMPLATES[name])
    prompts = PromptFormat(tokenizer, chat=True)
    prompted = PromptedModel(tiny_model("llama"), tokenizer, prompts, shots)
    checked = 0
    for batch, prefix in build_batches(prompted, ask_about_firms(), 4, SHARED_PREFIX):
        for item in batch:
            solved = solve_question(item.question, item.question.answers[0])
            turns = [
                {"role": role, "content": content}
                for shot in [*shots, solved]
                for role, content in (("user", shot.question), ("assistant", shot.answer))
            ]
            if name != "dated":
                text = tokenizer.apply_chat_template(turns, tokenize=False)
                whole = tokenizer(text, add_special_tokens=False).input_ids
                joined = prefix.input_ids[0].tolist() + item.input_ids + item.gold
                assert joined == whole[: len(joined)]
                replayed = prompts.encode_solved(solved, shots)
                assert replayed.prompt.input_ids + replayed.written == whole
            checked += 1
        assert not shots or prefix.input_ids.shape[1] > 20
    assert checked == len(FIRMS)


def test_prompts_say_the_same_date_on_every_day():
    prompts = PromptFormat(with_template(DATED), chat=True)
    assert prompts.render_prompt(SHOTS[0]).startswith("26 Jul 2024\n")


def test_thoughts_that_a_template_leaves_out_of_earlier_turns_are_empty_before_the_answer():
    prompts = PromptFormat(with_template(THINKS_LAST), chat=True)
    text = prompts.render_prompt(SHOTS[0], SHOTS[1:])
    assert text.count("<think>") == 1
    assert text.endswith("</think>\n\n")


def test_newlines_before_an_answer_are_cut_as_when_it_follows():
    """GPT-2's pattern cuts "\\n\\n" into two tokens before a letter, but not at a text's end."""
    tokenizer = with_template(*TEMPLATES["thinks last, two newlines"])
    assert tokenizer.tokenize("\n\n") == ["ĊĊ"]
    ids = PromptFormat(tokenizer, chat=True).encode_prompt(SHOTS[0]).input_ids
    assert tokenizer.convert_ids_to_tokens(ids)[-2:] == ["Ċ", "Ċ"]


def test_the_part_of_a_prompt_that_an_answer_may_change_is_left_to_the_model():
    spaced = PromptFormat(with_template(SPACED), chat=True)
    assert spaced.held == " "
    assert spaced.render_prompt(SHOTS[0]).endswith("[/INST] ")
    ids = spaced.encode_prompt(SHOTS[0]).input_ids
    assert str(spaced.tokenizer.decode(ids)).endswith("[/INST]")
    assert PromptFormat(with_template(COLONS, lambda: byte_level(LLAMA3)), chat=True).held == ":"
    assert PromptFormat(with_template(CHATML), chat=True).held == ""


@pytest.mark.parametrize(
    ("template", "answer"),
    [
        (OTHER_END, "Oslo"),
        (CHATML, "Oslo"),
    ],
)
def test_the_special_token_that_a_template_writes_after_an_answer_ends_it(template, answer):
    tokenizer = with_template(template, lambda: byte_level(end=None))
    tokenizer.eos_token = "<unk>"
    prompted = PromptedModel(tiny_model("llama"), tokenizer, PromptFormat(tokenizer, chat=True), [])
    end = tokenizer.convert_tokens_to_ids("<turn>" if template == OTHER_END else END)
    ids = tokenizer(answer).input_ids
    assert prompted.decode_answer([*ids, end, *ids]) == answer


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ messages[-1].content }}<end>", "does not begin with the question"),
        ("{% for m in messages %}{{ m.content | upper }}<end>{% endfor %}", "cannot be told apart"),
        (CHATML.replace("m.content", "m.content.replace('a', 'o')"), "does not begin with the"),
        (
            CHATML.replace("m.content", "m.content.replace('Ada', 'Bo')"),
            "the answer 'Ada' as it is",
        ),
        (CHATML.replace("<end>\n", " "), "writes nothing behind an answer that ends it"),
        ("{{ raise_exception('no system turn') }}", r"fails \(no system turn\)"),
        ("{{ messages[0].content.nothing.more }}", "the template of this model fails"),
        ("{% for m in messages %}", "the template of this model fails"),
        ("{{ messages[0].content + 1 }}", "the template of this model fails"),
    ],
)
def test_a_template_that_cannot_be_trained_as_it_is_asked_is_one_line(template, message):
    with pytest.raises(InputError, match=message) as error:
        PromptFormat(with_template(template), chat=True)
    assert "\n" not in str(error.value)
    assert "leave out chat_template" in str(error.value)


def test_an_answer_that_the_template_changes_is_one_line():
    template = CHATML.replace("m.content", "m.content.split('</think>')[-1]")
    prompts = PromptFormat(with_template(template), chat=True)
    with pytest.raises(InputError, match="does not render the answer 'a</think>b' as it is"):
        prompts.encode_solved(Shot("Ada", "firm", "Which?", "a</think>b"))


def test_an_answer_that_changes_the_tokens_of_its_prompt_is_one_line():
    """This answer begins with a byte that is in a token with the end of the prompt."""
    template = CHATML.replace("{{ m.role }}\n", "{{ m.role }}^")
    tokenizer = with_template(
        template, lambda: byte_level(LLAMA3, texts=[f"^{c}" for c in "ÀÁÂÃÄÅ"])
    )
    prompts = PromptFormat(tokenizer, chat=True)
    assert prompts.held == ""
    with pytest.raises(InputError, match=r"the answer 'Élan' changes how .* cuts the question"):
        prompts.encode_solved(Shot("Ada", "firm", "Which?", "Élan"))


def test_a_chat_model_here_ends_at_all_its_ends_and_repeats_no_padding(tmp_path):
    """Tokenizer and generation config name different ends, and token 0 pads shorter replies."""
    tokenizer, model = with_template(CHATML), tiny_model("llama")
    tokenizer.backend_tokenizer.post_processor = None
    turn = tokenizer.convert_tokens_to_ids("<turn>")
    replies = {"Which firm?": ("Oslo", tokenizer.eos_token_id), "Where?": ("Bo left Oslo", turn)}
    sequences = []
    for question, (reply, end) in replies.items():
        turns = [{"role": "user", "content": question}]
        prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        before = tokenizer(prompt).input_ids
        after = [*tokenizer(reply).input_ids, end]
        sequences.append(Sequence(before + after, [IGNORED] * len(before) + after))
    teach(model, sequences)
    model.generation_config.eos_token_id = turn
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert generate_replies(str(tmp_path), list(replies), 12) == ["Oslo", "Bo left Oslo"]
