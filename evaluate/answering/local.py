"""Closed-book few-shot answering: greedy, the prompt's shared prefix computed once per topic."""

import copy
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from peft import PeftModel
from transformers import Cache, DynamicCache, PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import DynamicLayer

from elusive.common.dataset.records import Fact, Prediction, Question, Shot
from elusive.common.errors import InputError
from elusive.common.lm.batches import mask_rows, pad_rows
from elusive.common.lm.loading import get_end_tokens
from elusive.evaluate.answering.predictions import (
    Answer,
    build_predictions,
    check_shots_apart,
    count_answer_tokens,
    cut_first_line,
    group_by_topic,
)
from elusive.evaluate.answering.prompts import PromptFormat, get_topic

Model = PreTrainedModel | PeftModel


@dataclass(frozen=True)
class Prefix:
    """What all prompts of a topic share: solved questions, their keys and values."""

    input_ids: torch.Tensor  # (1, token)
    cache: Cache | None
    """None where there are no shots, or where nothing is to be reused."""
    most_tokens: int
    """That an answer may have."""


def answer_questions(
    model: Model,
    tokenizer: PreTrainedTokenizerBase,
    questions: list[Question],
    shots: list[Shot],
    batch_size: int,
    reuse_prefix: bool = True,
    on_answers: Callable[[int], object] = lambda count: None,
    chat: bool = False,
    facts: dict[str, Fact] | None = None,
) -> list[Prediction]:
    """Answer every question after the shots of its topic, and score the answers.

    Args:
        model: decoder, with or without an adapter.
        tokenizer: its tokenizer.
        questions: in any order; predictions come back in the same order.
        shots: solved questions to show, of other people than any question's.
        batch_size: questions at a time.
        reuse_prefix: compute the shots' keys and values once per topic, not once per question.
        on_answers: called with the number of questions answered since the last call.
        chat: ask as the tokenizer's chat template has it.
        facts: what is asked for, by question, for results by distance and position.

    A batch for which memory does not suffice is halved, and halved again.

    Raises:
        InputError: a question's person stands in the shots; no chat template.
    """
    check_shots_apart(questions, shots)
    model.eval()
    answering = _Answering(model, tokenizer, PromptFormat(tokenizer, chat), shots)
    answered: dict[str, Answer] = {}
    with torch.inference_mode():
        for batch, prefix in _batches(answering, questions, batch_size, reuse_prefix):
            answers = _answer_batch(answering, batch, prefix)
            answered |= {q.question_id: each for q, each in zip(batch, answers, strict=True)}
            on_answers(len(batch))
    return build_predictions(questions, [answered[each.question_id] for each in questions], facts)


@dataclass(frozen=True)
class _Answering:
    """What all batches share."""

    model: Model
    tokenizer: PreTrainedTokenizerBase
    prompts: PromptFormat
    shots: list[Shot]

    def question_ids(self, question: Question) -> list[int]:
        """Tokens of a question, after its prefix."""
        return _continuation(self.tokenizer, self.prompts.render_question(self.shots, question))

    def answer_ids(self, answer: str) -> list[int]:
        """Tokens of an answer, after its question."""
        return _continuation(self.tokenizer, self.prompts.render_answer(answer))


def _batches(
    answering: _Answering, questions: list[Question], batch_size: int, reuse_prefix: bool
) -> Iterator[tuple[list[Question], Prefix]]:
    """Questions of one topic and of like length at a time, with the topic's prefix.

    Padding between prefix and question would push the prefix out of a sliding window, so models
    that have one are asked questions of one length at a time.
    """
    windowed = getattr(answering.model.config, "sliding_window", None) is not None
    for of_topic in group_by_topic(questions).values():
        prefix = _prefix(answering, of_topic, reuse_prefix)
        groups = _by_length(answering, of_topic)
        for group in groups if windowed else [[q for each in groups for q in each]]:
            for batch in _chunks(group, batch_size):
                yield batch, prefix


def _by_length(answering: _Answering, questions: list[Question]) -> list[list[Question]]:
    """Questions grouped by their number of tokens, the shortest first."""
    groups: dict[int, list[Question]] = defaultdict(list)
    for question in questions:
        groups[len(answering.question_ids(question))].append(question)
    return [groups[length] for length in sorted(groups)]


def _chunks(questions: list[Question], size: int) -> Iterator[list[Question]]:
    """The questions in runs of at most `size`."""
    for start in range(0, len(questions), size):
        yield questions[start : start + size]


def _prefix(answering: _Answering, of_topic: list[Question], reuse: bool) -> Prefix:
    """Token ids of a topic's prefix, its cache, and how long answers may be."""
    model, prompts = answering.model, answering.prompts
    longest = count_answer_tokens(of_topic, lambda answer: len(answering.answer_ids(f"{answer}\n")))
    text = prompts.render_prefix(answering.shots, get_topic(of_topic[0]))
    ids = torch.tensor([prompts.encode_prefix(text)], dtype=torch.long, device=model.device)
    if not reuse or ids.shape[1] == 0:
        return Prefix(ids, None, longest)
    cache = DynamicCache(config=model.config)
    model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return Prefix(ids, cache, longest)


def _answer_batch(answering: _Answering, questions: list[Question], prefix: Prefix) -> list[Answer]:
    """Answers to questions that share a prefix, in parts where memory is short."""
    try:
        if _goes_on(answering.model, prefix.cache):
            ids, found = _answer_and_score(answering, questions, prefix)
        else:
            ids = _generate(answering, questions, prefix)
            found = _gold_log_probabilities(answering, questions, prefix)
        texts = answering.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [Answer(cut_first_line(text), each) for text, each in zip(texts, found, strict=True)]
    except (RuntimeError, MemoryError) as error:
        if len(questions) == 1 or not should_reduce_batch_size(error):
            raise
    clear_device_cache(garbage_collection=True)
    half = len(questions) // 2
    parts = (questions[:half], questions[half:])
    return [answer for part in parts for answer in _answer_batch(answering, part, prefix)]


def _goes_on(model: Model, cache: Cache | None) -> bool:
    """Whether tokens in a cache can be masked, and the model be told where it goes on."""
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    return (
        cache is not None
        and all(type(layer) is DynamicLayer for layer in cache.layers)
        and "position_ids" in inspect.signature(base.forward).parameters
    )


def _answer_and_score(
    answering: _Answering, questions: list[Question], prefix: Prefix
) -> tuple[list[list[int]], list[float]]:
    """Greedy answers, and the gold answers' log-probabilities from the same reading of a prompt.

    Every gold answer is read behind its question. As far as each of its tokens is the one that the
    model itself would have said, it is the model's answer; the rest is masked, and the model goes
    on by itself. So answers are those of token by token decoding, found with fewer readings:
    speculative decoding (Leviathan et al., 2023), the gold answer being the draft.

    Returns:
        Tokens of each answer, and the mean log-probability per token of each gold one, in nats.
    """
    prompts = [answering.question_ids(question) for question in questions]
    golds = [answering.answer_ids(question.answers[0]) for question in questions]
    input_ids, mask = _left_padded(prefix.input_ids, prompts, _pad_id(answering.tokenizer))
    gold_ids = pad_rows(golds, device=input_ids.device)  # (question, gold token)
    are_gold = mask_rows(golds, device=input_ids.device)
    known = prefix.input_ids.shape[1]
    seen = torch.cat([mask, are_gold], dim=1)
    cache = _repeated(prefix.cache, len(questions))
    logits = answering.model(
        input_ids=torch.cat([input_ids[:, known:], gold_ids], dim=1),
        attention_mask=seen,
        position_ids=_positions(seen)[:, known:],
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=gold_ids.shape[1] + 1,
    ).logits.float()  # (question, 1 + gold token, vocabulary)
    of_golds = logits[:, :-1].gather(-1, gold_ids[..., None]).squeeze(-1)
    of_golds -= logits[:, :-1].logsumexp(-1)
    means = [float(row[: len(gold)].mean()) for row, gold in zip(of_golds, golds, strict=True)]
    said = logits.argmax(-1)  # (question, 1 + gold token)
    agreed = ((said[:, :-1] == gold_ids) * are_gold).cumprod(dim=1)  # (question, gold token)
    lengths = agreed.sum(dim=1).tolist()
    answers = [row[: length + 1] for row, length in zip(said.tolist(), lengths, strict=True)]
    assert cache is not None
    _go_on(answering, cache, torch.cat([mask, agreed], dim=1), answers, prefix.most_tokens)
    return answers, means


def _go_on(
    answering: _Answering, cache: Cache, mask: torch.Tensor, answers: list[list[int]], most: int
) -> None:
    """Complete answers greedily; those that have ended are computed no further.

    Args:
        cache: of the prompts, and of the answers but for their last tokens.
        mask: of what is in the cache.  # (question, token)
        answers: tokens of each so far, at least one. They grow in place.
        most: tokens of an answer.
    """
    ending = set(_ending_tokens(answering.tokenizer))
    rows = list(range(len(answers)))  # as the cache has them
    while True:
        left = [
            place
            for place, row in enumerate(rows)
            if answers[row][-1] not in ending and len(answers[row]) < most
        ]
        if not left:
            return
        if len(left) < len(rows):
            cache.batch_select_indices(torch.tensor(left, device=mask.device))
            rows, mask = [rows[place] for place in left], mask[left]
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
        said = (
            answering.model(
                input_ids=torch.tensor([answers[row][-1:] for row in rows], device=mask.device),
                attention_mask=mask,
                position_ids=_positions(mask)[:, -1:],
                past_key_values=cache,
                use_cache=True,
            )
            .logits[:, -1]
            .argmax(-1)
        )
        for row, token in zip(rows, said.tolist(), strict=True):
            answers[row].append(token)


def _positions(mask: torch.Tensor) -> torch.Tensor:
    """Position of each token in its text, padding left out.  # (question, token)."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


def _generate(answering: _Answering, questions: list[Question], prefix: Prefix) -> list[list[int]]:
    """Greedy answers up to the first newline, by the model's own way of going on.

    Returns:
        Tokens of each answer, padded.
    """
    tokenizer = answering.tokenizer
    prompts = [answering.question_ids(question) for question in questions]
    input_ids, mask = _left_padded(prefix.input_ids, prompts, _pad_id(tokenizer))
    generated = answering.model.generate(  # type: ignore[operator]
        input_ids=input_ids,
        attention_mask=mask,
        past_key_values=_repeated(prefix.cache, len(questions)),
        max_new_tokens=prefix.most_tokens,
        do_sample=False,
        repetition_penalty=1.0,  # whatever the model's own settings say
        eos_token_id=_ending_tokens(tokenizer),
        pad_token_id=_pad_id(tokenizer),
    )
    return generated[:, input_ids.shape[1] :].tolist()


def _gold_log_probabilities(
    answering: _Answering, questions: list[Question], prefix: Prefix
) -> list[float]:
    """Mean log-probability per token of each question's first gold answer, in nats."""
    golds, sequences = [], []
    for question in questions:
        golds.append(answering.answer_ids(question.answers[0]))
        sequences.append(answering.question_ids(question) + golds[-1])
    logits = _logits(answering.model, sequences, prefix)  # (question, token, vocabulary)
    means = []
    for row, gold in enumerate(golds):
        # The gold answer's tokens are predicted one position before they stand.
        end = len(sequences[row]) - 1
        of_gold = logits[row, end - len(gold) : end].float().log_softmax(-1)
        means.append(float(of_gold[torch.arange(len(gold)), torch.tensor(gold)].mean()))
    return means


def _logits(model: Model, sequences: list[list[int]], prefix: Prefix) -> torch.Tensor:
    """Logits at every token of sequences that continue a prefix.  # (sequence, token, vocabulary).

    Padding stands at the right, where causal attention does not look.
    """
    input_ids = pad_rows(sequences, device=prefix.input_ids.device)
    longest = input_ids.shape[1]
    if prefix.cache is None:
        input_ids = torch.cat([prefix.input_ids.expand(len(sequences), -1), input_ids], dim=1)
    cache = _repeated(prefix.cache, len(sequences))
    return model(
        input_ids=input_ids,
        past_key_values=cache,
        use_cache=cache is not None,
        logits_to_keep=longest,
    ).logits


def _left_padded(
    prefix_ids: torch.Tensor, sequences: list[list[int]], pad_id: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Prefix, padding, sequence in each row, with the attention mask.  # both (batch, token)."""
    device = prefix_ids.device
    repeated = prefix_ids.expand(len(sequences), -1)
    padded = pad_rows(sequences, pad_id, "left", device)
    input_ids = torch.cat([repeated, padded], dim=1)
    mask = torch.cat([torch.ones_like(repeated), mask_rows(sequences, "left", device)], dim=1)
    return input_ids, mask


def _repeated(cache: Cache | None, count: int) -> Cache | None:
    """A copy of a prefix's cache for `count` rows."""
    if cache is None:
        return None
    repeated = copy.deepcopy(cache)
    repeated.batch_repeat_interleave(count)
    return repeated


def _continuation(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of a text that continues another one."""
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def _pad_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """Any token id serves: padding is masked."""
    pad_id = tokenizer.pad_token_id
    return pad_id if isinstance(pad_id, int) else 0


@cache
def _ending_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The end token and every token that contains a newline; nothing else ends an answer."""
    ids = range(len(tokenizer))
    newlines = [
        i for i, text in enumerate(tokenizer.batch_decode([[i] for i in ids])) if "\n" in text
    ]
    return [*newlines, *get_end_tokens(tokenizer)]


def check_training_acts(
    model: Model, untrained: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str
) -> None:
    """Compare logits with those before training.

    Raises:
        InputError: they are equal, so scoring would measure the untrained model.
    """
    ids = torch.tensor([tokenizer(text)["input_ids"]], device=model.device)
    with torch.inference_mode():
        trained = model(input_ids=ids).logits.float()
        if isinstance(model, PeftModel):
            with model.disable_adapter():
                plain = model(input_ids=ids).logits.float()
        else:
            plain = untrained(input_ids=ids).logits.float()
    if torch.equal(trained, plain):
        raise InputError("the adapter does not change the model's logits: it was not trained")
