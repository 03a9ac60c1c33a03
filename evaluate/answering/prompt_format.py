"""Questions as a model reads them: as lines or as chat turns, each rendered and encoded once."""

import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase

from elusive.common.dataset.records import Question, Shot, Span
from elusive.common.errors import InputError
from elusive.common.lm.encoding import (
    TokenizedText,
    encode_text,
    get_shared_start,
    list_token_texts,
)
from elusive.evaluate.answering.prompts import (
    get_topic,
    render_few_shot_prefix,
    render_question,
    select_topic,
)

OPENINGS = [character for character in string.printable if not character.isspace()]
"""First characters of answers that are tried to see where a prompt's tokens stay the same."""
LONGEST_TAIL = 24
"""Characters at the end of a prompt that may share a token with the answer."""
EXAMPLE = Shot("", "", "Who wrote this question?", "Ada")
PLACEHOLDER = "the-answer-stands-here"
SAME_DAY = (
    "{% macro strftime_now(format) %}{{ format | replace('%d', '26') | replace('%b', 'Jul')"
    " | replace('%B', 'July') | replace('%m', '07') | replace('%Y', '2024') | replace('%y', '24')"
    " }}{% endmacro %}"
)
"""Put before templates that write today's date, or prompts would change from day to day."""
LEAVE_OUT = "leave out chat_template"


@dataclass(frozen=True)
class RenderedQuestion:
    """A solved question after those that its prompt shows."""

    text: str
    answer: Span
    """Characters of the answer, with the space before it; the prompt is what stands before."""


@dataclass(frozen=True)
class EncodedQuestion:
    """The tokens of a rendered question: what is given, and what the model is to write."""

    prompt: TokenizedText
    """Start token, shown questions, question, without what shares a token with the answer."""
    answer: list[int]
    """Every token that holds a character of the answer, the last of which may hold its end, too."""
    end: list[int]
    """What the model writes after the answer."""

    @property
    def written(self) -> list[int]:
        """All that the model is to write."""
        return self.answer + self.end


@dataclass(frozen=True)
class PromptFormat:
    """How questions are written: as lines, or as turns of the tokenizer's chat template.

    What is trained, asked and scored is one text, encoded once: a finished turn whose prompt is
    everything before the answer. A template's own generation prompt is not used, because some
    templates open a turn in one way (`<think>`) and write it down in another.

    Raises:
        InputError: answers cannot be told from questions, or nothing ends them.
    """

    tokenizer: PreTrainedTokenizerBase
    chat: bool = False

    def __post_init__(self) -> None:
        if self.chat and not self.tokenizer.chat_template:
            raise InputError(
                "chat_template: the model's tokenizer has none: leave out the option or choose a "
                "chat model"
            )
        encoded = self.encode_solved(EXAMPLE)
        if not self.ends.isdisjoint(encoded.end) or self._holds_newline(encoded):
            return
        raise InputError(
            f"chat_template: the template writes nothing behind an answer that ends it: {LEAVE_OUT}"
            if self.chat
            else "the model's tokenizer loses newlines, so nothing ends an answer: choose another "
            "model, or set chat_template if it has one"
        )

    def render_solved(self, shot: Shot, shots: Sequence[Shot] = ()) -> RenderedQuestion:
        """Render a solved question, and its end, after the shots of its topic.

        Raises:
            InputError: the chat template does not render the answer after the question.
        """
        prompt = self.render_prompt(shot, shots)
        if not self.chat:
            answer = self._space + shot.answer
            return RenderedQuestion(f"{prompt}{answer}\n", (len(prompt), len(prompt + answer)))
        answer = shot.answer.strip()
        text = self._render_turns([*select_topic(shots, get_topic(shot)), shot])
        if not text.startswith(prompt + answer):
            raise InputError(
                f"chat_template: this model's template does not render the answer {answer!r} as it "
                f"is: {LEAVE_OUT}"
            )
        return RenderedQuestion(text, (len(prompt), len(prompt + answer)))

    def render_prompt(self, question: Question | Shot, shots: Sequence[Shot] = ()) -> str:
        """Render a question after the shots of its topic, up to where the answer begins.

        Raises:
            InputError: the chat template fails, or changes the question or where it stands.
        """
        shown = select_topic(shots, get_topic(question))
        if not self.chat:
            return render_few_shot_prefix(shown, get_topic(question)) + render_question(
                question.question
            )
        asked = Shot(question.entity, question.field, question.question, PLACEHOLDER)
        text = self._render_turns([*shown, asked])
        before, count = text.split(PLACEHOLDER)[0], text.count(PLACEHOLDER)
        if count != 1 or question.question.strip() not in before:
            raise InputError(
                "chat_template: a solved question does not begin with the question in this model's "
                f"template, so its answer cannot be told apart: {LEAVE_OUT}"
            )
        return before

    def measure_prefix(self, topic: tuple[str, str], shots: Sequence[Shot]) -> int:
        """Count the characters of the shots that begin all prompts of a topic.

        Less than all of them where the chat template writes a turn differently when another one
        follows.
        """
        if not self.chat:
            return len(render_few_shot_prefix(shots, topic))
        shown = select_topic(shots, topic)
        prompt = self.render_prompt(Shot("", topic[1], "?", "", topic[0]), shots)
        return len(get_shared_start([self._render_turns(shown), prompt])) if shown else 0

    def encode_prompt(self, question: Question | Shot, shots: Sequence[Shot] = ()) -> TokenizedText:
        """Encode a prompt as it is cut when an answer follows, without `held`."""
        text = self.render_prompt(question, shots)
        return self._encode(f"{text}{self._space}A").cut_before(len(text) - len(self.held))

    def encode_solved(self, shot: Shot, shots: Sequence[Shot] = ()) -> EncodedQuestion:
        """Encode a solved question after the shots of its topic.

        Raises:
            InputError: the answer changes the tokens of its prompt, or see `render_solved`.
        """
        rendered = self.render_solved(shot, shots)
        prompt, encoded = self.encode_prompt(shot, shots), self._encode(rendered.text)
        num_prompt = len(prompt.input_ids)
        if encoded.input_ids[:num_prompt] != prompt.input_ids:
            raise InputError(
                f"the answer {shot.answer!r} changes how the model's tokenizer cuts the question "
                f"{shot.question!r}: leave them out, or choose another model"
            )
        rest, offsets = encoded.input_ids[num_prompt:], encoded.offsets[num_prompt:]
        num_answer = sum(start < rendered.answer[1] for start, _ in offsets)
        return EncodedQuestion(prompt, rest[:num_answer], rest[num_answer:])

    def count_answer_tokens(self, answer: str) -> int:
        """Count the tokens of an answer, and one for its end."""
        return 1 + len(self.encode_solved(replace(EXAMPLE, answer=answer)).answer)

    @cached_property
    def held(self) -> str:
        """Last characters of every prompt that the model writes itself, before the answer.

        They share a token with some answer, as the space after a template's "Assistant: ". Asked
        with that space alone, a model would read a token that never precedes an answer. Empty for
        most tokenizers and formats.

        Raises:
            InputError: these characters contain a newline, or a part of the question.
        """
        text = self.render_prompt(EXAMPLE)
        tail = text[text.rindex(EXAMPLE.question) + len(EXAMPLE.question) :]
        openings = [self._space + character for character in OPENINGS]
        openings += self._list_spanning_ends(tail[-LONGEST_TAIL:])
        joint = [self._encode(text + opening) for opening in openings]
        num_same = len(get_shared_start([encoded.input_ids for encoded in joint]))
        num_same = min(num_same, joint[0].count_before(len(text)))
        held = text[joint[0].offsets[num_same - 1][1] if num_same else 0 :]
        if "\n" in held or len(held) > len(tail):
            raise InputError(
                f"the model's tokenizer joins the end of a prompt, {held[-20:]!r}, with the "
                "answer: choose another model" + (f", or {LEAVE_OUT}" if self.chat else "")
            )
        return held

    def _list_spanning_ends(self, tail: str) -> list[str]:
        """List how tokens go on that begin with the last characters of a prompt."""
        rests = {
            token[length:]
            for token in list_token_texts(self.tokenizer).values()
            for length in range(1, min(len(token), len(tail) + 1))
            if tail.endswith(token[:length])
        }
        space = self._space
        return sorted(
            rest
            for rest in rests
            if rest.startswith(space) and not rest[len(space) : len(space) + 1].isspace()
        )

    @property
    def _space(self) -> str:
        return "" if self.chat else " "

    @cached_property
    def ends(self) -> frozenset[int]:
        """Special tokens that the chat template writes after an answer."""
        if not self.chat:
            return frozenset()
        added = self.tokenizer.added_tokens_decoder
        special = {token for token, content in added.items() if content.special}
        special.update(self.tokenizer.all_special_ids)
        return frozenset(special.intersection(self.encode_solved(EXAMPLE).end))

    def _holds_newline(self, encoded: EncodedQuestion) -> bool:
        tokens = [*encoded.answer[-1:], *encoded.end]
        return any("\n" in self.tokenizer.decode([token]) for token in tokens)

    def _encode(self, text: str) -> TokenizedText:
        return encode_text(text, self.tokenizer, add_start=not self.chat)

    def _render_turns(self, shots: list[Shot]) -> str:
        try:
            template = self.tokenizer.get_chat_template()
            return self.tokenizer.apply_chat_template(
                _build_turns(shots),
                chat_template=SAME_DAY + template if "strftime_now" in template else template,
                tokenize=False,
                enable_thinking=False,  # of templates that know it; others ignore it
            )  # type: ignore[return-value]
        except (TemplateError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"chat_template: the template of this model fails ({reason}): {LEAVE_OUT}"
            ) from None


def _build_turns(shots: list[Shot]) -> list[dict[str, str]]:
    return [
        turn
        for shot in shots
        for turn in (
            {"role": "user", "content": shot.question},
            {"role": "assistant", "content": shot.answer},
        )
    ]
