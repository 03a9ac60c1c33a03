"""Batches of questions that share a prompt's prefix, which is computed once per topic."""

import copy
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
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
class PromptedModel:
    """A model, its tokenizer, and the prompts that it gets."""

    model: Model
    tokenizer: PreTrainedTokenizerBase
    prompts: PromptFormat
    shots: list[Shot]

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


@dataclass(frozen=True)
class Prefix:
    """Solved questions that begin all prompts of a topic."""

    input_ids: torch.Tensor  # (1, token)
    cache: Cache | None
    """Keys and values; None if the prefix is empty or must not be reused."""
    max_answer_tokens: int

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
        """Build rows of prefix, padding, sequence, and their attention mask.  # (row, token)."""
        device = self.input_ids.device
        repeated = self.input_ids.expand(len(sequences), -1)
        padded = pad_rows(sequences, pad_id, "left", device)
        input_ids = torch.cat([repeated, padded], dim=1)
        mask = torch.cat([torch.ones_like(repeated), mask_rows(sequences, "left", device)], dim=1)
        return input_ids, mask


def build_batches(
    prompted: PromptedModel, questions: list[Question], batch_size: int, reuse_prefix: bool
) -> Iterator[tuple[list[PromptedQuestion], Prefix]]:
    """Yield questions of one topic and of similar length, with the prefix of their topic.

    Padding between prefix and question would push the prefix out of a sliding window, so a model
    with a sliding window gets questions of equal length.
    """
    has_window = getattr(prompted.model.config, "sliding_window", None) is not None
    for topic, members in group_by_topic(questions).items():
        prefix_ids, encoded = _encode_topic(prompted, topic, members)
        prefix = _build_prefix(prompted, members, prefix_ids, reuse_prefix)
        by_length: dict[int, list[PromptedQuestion]] = defaultdict(list)
        for question in encoded:
            by_length[len(question.input_ids)].append(question)
        groups = [by_length[length] for length in sorted(by_length)]
        if not has_window:
            groups = [[question for group in groups for question in group]]
        for group in groups:
            for start in range(0, len(group), batch_size):
                yield group[start : start + batch_size], prefix


def _encode_topic(
    prompted: PromptedModel, topic: tuple[str, str], questions: list[Question]
) -> tuple[list[int], list[PromptedQuestion]]:
    """Encode each prompt with its gold answer, and split off the tokens that begin all of them."""
    length = prompted.prompts.measure_prefix(topic, prompted.shots)
    solved = [solve_question(question, question.answers[0]) for question in questions]
    encoded = [prompted.prompts.encode_solved(shot, prompted.shots) for shot in solved]
    prompts = [item.prompt for item in encoded]
    # At least one token of each prompt is read after the prefix.
    prefix = get_shared_start([prompt.cut_before(length).input_ids for prompt in prompts])
    prefix = prefix[: min(len(prompt.input_ids) for prompt in prompts) - 1]
    rest = [
        PromptedQuestion(question, item.prompt.input_ids[len(prefix) :], item.answer)
        for question, item in zip(questions, encoded, strict=True)
    ]
    return prefix, rest


def _build_prefix(
    prompted: PromptedModel, questions: list[Question], prefix: list[int], reuse: bool
) -> Prefix:
    model = prompted.model
    max_answer_tokens = count_answer_tokens(questions, prompted.prompts.count_answer_tokens)
    ids = torch.tensor([prefix], dtype=torch.long, device=model.device)
    if not reuse or ids.shape[1] == 0:
        return Prefix(ids, None, max_answer_tokens)
    cache = DynamicCache(config=model.config)
    model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return Prefix(ids, cache, max_answer_tokens)
