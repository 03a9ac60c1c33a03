"""Batches of questions that share a prompt's prefix, which is computed once per topic."""

import copy
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from peft import PeftModel
from transformers import Cache, DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from elusive.common.dataset.records import Question, Shot
from elusive.common.lm.batches import mask_rows, pad_rows
from elusive.evaluate.answering.predictions import count_answer_tokens, group_by_topic
from elusive.evaluate.answering.prompts import PromptFormat, get_topic

Model = PreTrainedModel | PeftModel


@dataclass(frozen=True)
class PromptedModel:
    """A model, its tokenizer, and the prompts that it gets."""

    model: Model
    tokenizer: PreTrainedTokenizerBase
    prompts: PromptFormat
    shots: list[Shot]

    def encode_question(self, question: Question) -> list[int]:
        """Encode what follows the prefix, up to the point where the answer begins."""
        return self._encode(self.prompts.render_question(self.shots, question))

    def encode_answer(self, answer: str) -> list[int]:
        """Encode an answer as it follows its question."""
        return self._encode(self.prompts.render_answer(answer))

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    @property
    def pad_id(self) -> int:
        """Token id for padding; any id will do, because padding is masked."""
        pad_id = self.tokenizer.pad_token_id
        return pad_id if isinstance(pad_id, int) else 0


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
) -> Iterator[tuple[list[Question], Prefix]]:
    """Yield questions of one topic and of similar length, with the prefix of their topic.

    Padding between prefix and question would push the prefix out of a sliding window, so a model
    with a sliding window gets questions of equal length.
    """
    has_window = getattr(prompted.model.config, "sliding_window", None) is not None
    for members in group_by_topic(questions).values():
        prefix = _build_prefix(prompted, members, reuse_prefix)
        by_length: dict[int, list[Question]] = defaultdict(list)
        for question in members:
            by_length[len(prompted.encode_question(question))].append(question)
        groups = [by_length[length] for length in sorted(by_length)]
        if not has_window:
            groups = [[question for group in groups for question in group]]
        for group in groups:
            for start in range(0, len(group), batch_size):
                yield group[start : start + batch_size], prefix


def _build_prefix(prompted: PromptedModel, questions: list[Question], reuse: bool) -> Prefix:
    model, prompts = prompted.model, prompted.prompts
    max_answer_tokens = count_answer_tokens(
        questions, lambda answer: len(prompted.encode_answer(f"{answer}\n"))
    )
    text = prompts.render_prefix(prompted.shots, get_topic(questions[0]))
    ids = torch.tensor([prompts.encode_prefix(text)], dtype=torch.long, device=model.device)
    if not reuse or ids.shape[1] == 0:
        return Prefix(ids, None, max_answer_tokens)
    cache = DynamicCache(config=model.config)
    model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return Prefix(ids, cache, max_answer_tokens)
