"""Batches of questions that share a prompt's prefix, which is computed once per topic."""

import copy
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from peft import PeftModel
from transformers import Cache, DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from elusive.common.dataset.records import Question, Shot
from elusive.common.lm.batches import mask_rows, pad_rows
from elusive.common.lm.encoding import (
    cut_at,
    get_pad_token,
    get_shared_start,
    list_end_tokens,
    list_newline_tokens,
)
from elusive.evaluate.answering.predictions import (
    count_answer_tokens,
    cut_first_line,
    group_by_topic,
)
from elusive.evaluate.answering.prompt_format import PromptFormat
from elusive.evaluate.answering.prompts import solve_question

Model = PreTrainedModel | PeftModel


@dataclass(frozen=True)
class Batching:
    """How questions are read together."""

    name: str
    shares_prefix: bool
    """Whether keys and values of the shots are computed once per topic, not once per question."""
    pads: bool
    """Whether a batch has questions of different lengths, with padding between prefix and question,
    or before both if the prefix is not shared."""
    is_alone: bool = False
    """Whether each question is read alone."""
    uses_cache: bool = True
    """Whether keys and values of the tokens before it are kept for each token of an answer."""
    longest: int | None = None
    """Longest prompt with its answer, in tokens, that is not read alone; None for any. Windows of
    more tokens than a probe reads are not passed in batches."""


SHARED_PREFIX = Batching("shared prefix, padded", shares_prefix=True, pads=True)
EQUAL_LENGTHS = Batching("shared prefix, equal lengths", shares_prefix=True, pads=False)
WHOLE_PROMPTS = Batching("whole prompts, padded", shares_prefix=False, pads=True)
ALONE = Batching("alone", shares_prefix=False, pads=False, is_alone=True)
UNCACHED = replace(ALONE, name="alone, without a cache", uses_cache=False)


@dataclass(frozen=True)
class PromptedModel:
    """A model, its tokenizer, and the prompts that it gets."""

    model: Model
    tokenizer: PreTrainedTokenizerBase
    prompts: PromptFormat
    shots: list[Shot]
    distractors: dict[str, list[str]] = field(default_factory=dict)
    """Answers to compare the gold answer with, by question id."""
    encoded: dict[tuple, tuple[list[int], list["PromptedQuestion"]]] = field(default_factory=dict)
    """What `encode_topic` has encoded."""

    @property
    def pad_id(self) -> int:
        """Token id for padding."""
        return get_pad_token(self.tokenizer)

    @cached_property
    def ends(self) -> frozenset[int]:
        """All tokens that end an answer.

        They are the tokens that contain a newline, the end tokens of tokenizer and generation
        config, and the special tokens that the chat template writes after an answer.
        """
        ends = list_end_tokens(self.tokenizer, self.model.generation_config)
        return list_newline_tokens(self.tokenizer).union(ends, self.prompts.ends)

    def cut_after_end(self, answer: list[int]) -> list[int]:
        """Cut off what follows the first end of an answer."""
        return answer[: len(cut_at(answer, self.ends)) + 1]

    def decode_answer(self, answer: list[int]) -> str:
        """Decode the first line of an answer, up to its end."""
        newlines = list_newline_tokens(self.tokenizer)
        written = cut_at(self.cut_after_end(answer), self.ends - newlines)
        text = str(self.tokenizer.decode(written, skip_special_tokens=True))
        return cut_first_line(text).removeprefix(self.prompts.held.strip()).strip()


@dataclass(frozen=True)
class PromptedQuestion:
    """A question whose prompt goes on after the prefix of its topic."""

    question: Question
    input_ids: list[int]
    """The prompt's tokens after the prefix, at least one."""
    gold: list[int]
    """Tokens of the first gold answer."""
    distractors: list[list[int]]
    """Tokens of wrong answers, as `choose_distractors` returns them."""


@dataclass(frozen=True)
class Prefix:
    """Solved questions that begin all prompts of a topic."""

    input_ids: torch.Tensor  # (1, token)
    cache: Cache | None
    """Keys and values; None if the prefix is empty or is read with every question."""
    max_answer_tokens: int
    batching: Batching

    def allows(self, length: int) -> bool:
        """Whether a question of `length` tokens is read together with others."""
        longest = self.batching.longest
        return (
            longest is None or self.input_ids.shape[1] + length + self.max_answer_tokens <= longest
        )

    def copy_cache(self, num_rows: int) -> Cache | None:
        """Copy the cache for a number of rows."""
        if self.cache is None:
            return None
        repeated = copy.deepcopy(self.cache)
        repeated.batch_repeat_interleave(num_rows)
        return repeated

    def prepend_to(
        self, sequences: list[list[int]], pad_id: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Build rows of prefix, padding, sequence, and their attention mask.  # (row, token).

        The padding is before the prefix if there is no cache to continue from.
        """
        device = self.input_ids.device
        if self.cache is None:
            whole = [self.input_ids[0].tolist() + sequence for sequence in sequences]
            return pad_rows(whole, pad_id, "left", device), mask_rows(whole, "left", device)
        repeated = self.input_ids.expand(len(sequences), -1)
        padded = pad_rows(sequences, pad_id, "left", device)
        input_ids = torch.cat([repeated, padded], dim=1)
        mask = torch.cat([torch.ones_like(repeated), mask_rows(sequences, "left", device)], dim=1)
        return input_ids, mask


def build_batches(
    prompted: PromptedModel, questions: list[Question], batch_size: int, batching: Batching
) -> Iterator[tuple[list[PromptedQuestion], Prefix]]:
    """Yield questions of one topic and of similar length, with the prefix of their topic.

    Prompts that are longer than `batching.longest` come one at a time, without a shared prefix.
    """
    for topic, members in group_by_topic(questions).items():
        prefix_ids, encoded = encode_topic(prompted, topic, members)
        prefix = _build_prefix(prompted, members, prefix_ids, batching)
        one_by_one = ALONE if batching.uses_cache else UNCACHED
        alone = replace(prefix, cache=None, batching=one_by_one)
        by_length: dict[int, list[PromptedQuestion]] = defaultdict(list)
        for question in encoded:
            by_length[len(question.input_ids)].append(question)
        lengths = sorted(by_length)
        short = [by_length[length] for length in lengths if prefix.allows(length)]
        for batch in _cut_batches(short, batch_size, batching):
            yield batch, prefix
        for length in lengths[len(short) :]:
            for question in by_length[length]:
                yield [question], alone


def _cut_batches(
    groups: list[list[PromptedQuestion]], batch_size: int, batching: Batching
) -> Iterator[list[PromptedQuestion]]:
    """Cut questions into batches; without padding, no batch has questions of two groups."""
    if batching.pads:
        groups = [[question for group in groups for question in group]]
    size = 1 if batching.is_alone else batch_size
    for group in groups:
        for start in range(0, len(group), size):
            yield group[start : start + size]


def encode_topic(
    prompted: PromptedModel, topic: tuple[str, str], questions: list[Question]
) -> tuple[list[int], list[PromptedQuestion]]:
    """Encode each prompt with its gold answer, and split off the tokens that begin all of them.

    They are encoded once, although their length is checked before any of them is asked.
    """
    key = (topic, tuple(question.question_id for question in questions))
    if key not in prompted.encoded:
        prompted.encoded[key] = _encode_topic(prompted, topic, questions)
    return prompted.encoded[key]


def _encode_topic(
    prompted: PromptedModel, topic: tuple[str, str], questions: list[Question]
) -> tuple[list[int], list[PromptedQuestion]]:
    length = prompted.prompts.measure_prefix(topic, prompted.shots)
    solved = [solve_question(question, question.answers[0]) for question in questions]
    encoded = [prompted.prompts.encode_solved(shot, prompted.shots) for shot in solved]
    prompts = [item.prompt for item in encoded]
    # At least one token of each prompt is read after the prefix.
    prefix = get_shared_start([prompt.cut_before(length).input_ids for prompt in prompts])
    prefix = prefix[: min(len(prompt.input_ids) for prompt in prompts) - 1]
    rest = [
        PromptedQuestion(
            question,
            item.prompt.input_ids[len(prefix) :],
            item.answer,
            _encode_distractors(prompted, question),
        )
        for question, item in zip(questions, encoded, strict=True)
    ]
    return prefix, rest


def _encode_distractors(prompted: PromptedModel, question: Question) -> list[list[int]]:
    return [
        prompted.prompts.encode_solved(solve_question(question, answer)).answer
        for answer in prompted.distractors.get(question.question_id, [])
    ]


def _build_prefix(
    prompted: PromptedModel, questions: list[Question], prefix: list[int], batching: Batching
) -> Prefix:
    model = prompted.model
    max_answer_tokens = count_answer_tokens(questions, prompted.prompts.count_answer_tokens)
    ids = torch.tensor([prefix], dtype=torch.long, device=model.device)
    if not batching.shares_prefix or ids.shape[1] == 0:
        return Prefix(ids, None, max_answer_tokens, batching)
    cache = DynamicCache(config=model.config)
    model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return Prefix(ids, cache, max_answer_tokens, batching)
