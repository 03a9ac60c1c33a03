"""Greedy answers and the gold answers' log-probabilities, in one reading where the model allows."""

import inspect
from dataclasses import dataclass

import torch
from transformers import Cache
from transformers.cache_utils import DynamicLayer

from elusive.common.lm.adapters import get_base_model
from elusive.common.lm.batches import mask_rows, pad_rows
from elusive.common.lm.generation import generate_greedily
from elusive.evaluate.answering.batches import Model, Prefix, PromptedModel, PromptedQuestion


def answer_and_score(
    prompted: PromptedModel, questions: list[PromptedQuestion], prefix: Prefix
) -> tuple[list[list[int]], list[float]]:
    """Answer questions greedily, and score their first gold answers.

    Returns:
        Tokens of each answer, and the mean log-probability per token of each gold answer, in nats.
    """
    golds = [question.gold for question in questions]
    if _can_draft(prompted.model, prefix.cache):
        return _verify_drafts(prompted, questions, golds, prefix)
    return _generate(prompted, questions, prefix), _score(prompted, questions, golds, prefix)


def score_answers(
    prompted: PromptedModel,
    questions: list[PromptedQuestion],
    answers: list[list[int]],
    prefix: Prefix,
) -> list[float]:
    """Score one given answer to each question.

    Args:
        prompted: the model.
        questions: the questions, which share a prefix.
        answers: tokens of an answer to each of them.
        prefix: of their topic.

    Returns:
        The mean log-probability per token of each answer, in nats, as `answer_and_score` computes
        those of gold answers.
    """
    if _can_draft(prompted.model, prefix.cache):
        return _read_drafts(prompted, questions, answers, prefix).score()
    return _score(prompted, questions, answers, prefix)


def _can_draft(model: Model, cache: Cache | None) -> bool:
    """Whether the model can mask cached tokens, and accept the positions of new ones."""
    base = get_base_model(model)
    return (
        cache is not None
        and all(type(layer) is DynamicLayer for layer in cache.layers)
        and "position_ids" in inspect.signature(base.forward).parameters
    )


@dataclass(frozen=True)
class _Drafts:
    """Prompts that were read with a draft of each answer behind them."""

    ids: torch.Tensor  # (question, draft token)
    mask: torch.Tensor  # (question, draft token)
    prompt_mask: torch.Tensor  # (question, token)
    logits: torch.Tensor  # (question, 1 + draft token, vocabulary)
    cache: Cache
    """Keys and values of prompts and drafts."""

    def score(self) -> list[float]:
        """Compute the mean log-probability per token of each draft, in nats."""
        log_probabilities = self.logits[:, :-1].gather(-1, self.ids[..., None]).squeeze(-1)
        log_probabilities -= self.logits[:, :-1].logsumexp(-1)
        lengths = self.mask.sum(dim=1).tolist()
        return [
            float(row[:length].mean())
            for row, length in zip(log_probabilities, lengths, strict=True)
        ]


def _read_drafts(
    prompted: PromptedModel,
    questions: list[PromptedQuestion],
    drafts: list[list[int]],
    prefix: Prefix,
) -> _Drafts:
    """Read every question followed by a draft of its answer."""
    sequences = [question.input_ids for question in questions]
    input_ids, prompt_mask = prefix.prepend_to(sequences, prompted.pad_id)
    ids = pad_rows(drafts, device=input_ids.device)
    draft_mask = mask_rows(drafts, device=input_ids.device)
    num_cached = prefix.input_ids.shape[1]
    mask = torch.cat([prompt_mask, draft_mask], dim=1)
    cache = prefix.copy_cache(len(questions))
    assert cache is not None
    logits = prompted.model(
        input_ids=torch.cat([input_ids[:, num_cached:], ids], dim=1),
        attention_mask=mask,
        position_ids=_compute_positions(mask)[:, num_cached:],
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=ids.shape[1] + 1,
    ).logits.float()
    return _Drafts(ids, draft_mask, prompt_mask, logits, cache)


def _verify_drafts(
    prompted: PromptedModel,
    questions: list[PromptedQuestion],
    golds: list[list[int]],
    prefix: Prefix,
) -> tuple[list[list[int]], list[float]]:
    """Answer and score in one reading of each prompt, with its gold answer as a draft.

    The answers are those of token-by-token decoding, but need fewer readings: speculative decoding
    (Leviathan et al. 2023, arXiv 2211.17192) with the gold answer as the draft.
    """
    # 1) Read every question followed by its gold answer.
    drafts = _read_drafts(prompted, questions, golds, prefix)
    # 2) Accept gold tokens as long as they are what the model predicts, and one prediction more.
    predicted = drafts.logits.argmax(-1)  # (question, 1 + gold token)
    is_accepted = ((predicted[:, :-1] == drafts.ids) * drafts.mask).cumprod(dim=1)
    lengths = is_accepted.sum(dim=1).tolist()
    answers = [
        prompted.cut_after_end(row[: length + 1])
        for row, length in zip(predicted.tolist(), lengths, strict=True)
    ]
    # 3) Mask the other gold tokens, and continue greedily.
    mask = torch.cat([drafts.prompt_mask, is_accepted], dim=1)
    _continue_answers(prompted, drafts.cache, mask, answers, prefix.max_answer_tokens)
    return answers, drafts.score()


def _continue_answers(
    prompted: PromptedModel,
    cache: Cache,
    mask: torch.Tensor,
    answers: list[list[int]],
    max_tokens: int,
) -> None:
    """Complete answers greedily, in place; answers that have ended leave the batch.

    Args:
        prompted: the model.
        cache: of the prompts, and of the answers without their last tokens.
        mask: of the cached tokens.  # (question, token)
        answers: tokens of each answer so far, at least one.
        max_tokens: largest number of tokens of an answer.
    """
    rows = list(range(len(answers)))  # the answer of each row of the cache
    while True:
        unfinished = [
            index
            for index, row in enumerate(rows)
            if answers[row][-1] not in prompted.ends and len(answers[row]) < max_tokens
        ]
        if not unfinished:
            return
        if len(unfinished) < len(rows):
            cache.batch_select_indices(torch.tensor(unfinished, device=mask.device))
            rows, mask = [rows[index] for index in unfinished], mask[unfinished]
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
        logits = prompted.model(
            input_ids=torch.tensor([answers[row][-1:] for row in rows], device=mask.device),
            attention_mask=mask,
            position_ids=_compute_positions(mask)[:, -1:],
            past_key_values=cache,
            use_cache=True,
        ).logits[:, -1]
        for row, token in zip(rows, logits.argmax(-1).tolist(), strict=True):
            answers[row].append(token)


def _compute_positions(mask: torch.Tensor) -> torch.Tensor:
    """Return each token's position in its text, without counting padding.  # (question, token)."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


def _generate(
    prompted: PromptedModel, questions: list[PromptedQuestion], prefix: Prefix
) -> list[list[int]]:
    """Answer greedily with the model's own `generate`; the answers' tokens are padded."""
    sequences = [question.input_ids for question in questions]
    input_ids, mask = prefix.prepend_to(sequences, prompted.pad_id)
    return generate_greedily(
        prompted.model,
        input_ids,
        mask,
        prefix.max_answer_tokens,
        sorted(prompted.ends),
        prompted.pad_id,
        prefix.copy_cache(len(questions)),
        prefix.batching.uses_cache,
    ).tolist()


def _score(
    prompted: PromptedModel,
    questions: list[PromptedQuestion],
    answers: list[list[int]],
    prefix: Prefix,
) -> list[float]:
    """Compute the mean log-probability per token of an answer to each question, in nats."""
    sequences = [
        question.input_ids + answer for question, answer in zip(questions, answers, strict=True)
    ]
    # Padding is on the right, where causal attention does not look.
    input_ids = pad_rows(sequences, device=prefix.input_ids.device)
    length = input_ids.shape[1]
    if prefix.cache is None:
        input_ids = torch.cat([prefix.input_ids.expand(len(sequences), -1), input_ids], dim=1)
    cache = prefix.copy_cache(len(sequences))
    logits = prompted.model(
        input_ids=input_ids,
        past_key_values=cache,
        use_cache=cache is not None,
        logits_to_keep=length,
    ).logits  # (question, token, vocabulary)
    means = []
    for row, (sequence, answer) in enumerate(zip(sequences, answers, strict=True)):
        end = len(sequence) - 1  # each token is predicted one position earlier
        log_probabilities = logits[row, end - len(answer) : end].float().log_softmax(-1)
        chosen = log_probabilities[torch.arange(len(answer)), torch.tensor(answer)]
        means.append(float(chosen.mean()))
    return means
