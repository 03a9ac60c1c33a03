"""Closed-book few-shot answering: greedy, the prompt's shared prefix computed once per topic."""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from time import perf_counter

import torch
from peft import PeftModel
from transformers import Cache, DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from elusive.common.answers import score_answer
from elusive.common.errors import InputError
from elusive.common.models import end_tokens
from elusive.common.records import Prediction, Question, Shot
from elusive.evaluate.prompts import few_shot_prefix, question_text, topic

Model = PreTrainedModel | PeftModel


@dataclass(frozen=True)
class Prefix:
    """The solved questions that all prompts of a topic share, and their keys and values."""

    input_ids: torch.Tensor  # (1, token)
    cache: Cache | None
    """None where there are no shots, or where nothing is to be reused."""


def answer_questions(
    model: Model,
    tokenizer: PreTrainedTokenizerBase,
    questions: list[Question],
    shots: list[Shot],
    batch_size: int,
    reuse_prefix: bool = True,
    on_answers: Callable[[int], object] = lambda count: None,
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

    Raises:
        InputError: a question's person stands in the shots.
    """
    shown = {shot.entity for shot in shots}
    for question in questions:
        if question.entity in shown:
            raise InputError(f"{question.entity!r} is asked about and shown as an example")
    model.eval()
    answered: dict[str, Prediction] = {}
    with torch.inference_mode():
        for batch, prefix in _batches(model, tokenizer, questions, shots, batch_size, reuse_prefix):
            for prediction in _answer_batch(model, tokenizer, batch, prefix):
                answered[prediction.question_id] = prediction
            on_answers(len(batch))
    return [answered[question.question_id] for question in questions]


def _batches(
    model: Model,
    tokenizer: PreTrainedTokenizerBase,
    questions: list[Question],
    shots: list[Shot],
    batch_size: int,
    reuse_prefix: bool,
) -> Iterator[tuple[list[Question], Prefix]]:
    """Questions of one topic at a time, with the topic's prefix.

    Padding between prefix and question would push the prefix out of a sliding window, so models
    that have one are asked questions of one length at a time.
    """
    windowed = getattr(model.config, "sliding_window", None) is not None
    for wanted in dict.fromkeys(topic(question) for question in questions):
        prefix = _prefix(model, tokenizer, few_shot_prefix(shots, wanted), reuse_prefix)
        of_topic = [question for question in questions if topic(question) == wanted]
        for group in _equal_length_groups(tokenizer, of_topic) if windowed else [of_topic]:
            for batch in _chunks(group, batch_size):
                yield batch, prefix


def _equal_length_groups(
    tokenizer: PreTrainedTokenizerBase, questions: list[Question]
) -> list[list[Question]]:
    """Questions grouped by their number of tokens."""
    groups: dict[int, list[Question]] = defaultdict(list)
    for question in questions:
        groups[len(_continuation(tokenizer, question_text(question.question)))].append(question)
    return list(groups.values())


def _chunks(questions: list[Question], size: int) -> Iterator[list[Question]]:
    """The questions in runs of at most `size`."""
    for start in range(0, len(questions), size):
        yield questions[start : start + size]


def _prefix(model: Model, tokenizer: PreTrainedTokenizerBase, text: str, reuse: bool) -> Prefix:
    """Token ids of a prefix with the start token, if the tokenizer has one, and its cache."""
    ids = torch.tensor([tokenizer(text)["input_ids"]], dtype=torch.long, device=model.device)
    if not reuse or ids.shape[1] == 0:
        return Prefix(ids, None)
    cache = DynamicCache(config=model.config)
    model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return Prefix(ids, cache)


def _answer_batch(
    model: Model, tokenizer: PreTrainedTokenizerBase, questions: list[Question], prefix: Prefix
) -> list[Prediction]:
    """Predictions for questions that share a prefix."""
    start = perf_counter()
    texts = _generate(model, tokenizer, questions, prefix)
    log_probabilities = _gold_log_probabilities(model, tokenizer, questions, prefix)
    seconds = (perf_counter() - start) / len(questions)
    return [
        Prediction(
            question_id=question.question_id,
            entity=question.entity,
            field=question.field,
            question=question.question,
            answers=question.answers,
            prediction=text,
            log_probability=log_probability,
            seconds=seconds,
            **score_answer(text, question.answers),  # type: ignore[arg-type]
        )
        for question, text, log_probability in zip(questions, texts, log_probabilities, strict=True)
    ]


def _generate(
    model: Model, tokenizer: PreTrainedTokenizerBase, questions: list[Question], prefix: Prefix
) -> list[str]:
    """Greedy answers up to the first newline, cut from the prompt by token ids."""
    prompts = [_continuation(tokenizer, question_text(question.question)) for question in questions]
    input_ids, mask = _left_padded(prefix.input_ids, prompts, _pad_id(tokenizer))
    gold_ids = [
        _continuation(tokenizer, f" {answer}\n")
        for question in questions
        for answer in question.answers
    ]
    generated = model.generate(  # type: ignore[operator]
        input_ids=input_ids,
        attention_mask=mask,
        past_key_values=_repeated(prefix.cache, len(questions)),
        max_new_tokens=max(len(ids) for ids in gold_ids) + 2,
        do_sample=False,
        eos_token_id=_ending_tokens(tokenizer),
        pad_token_id=_pad_id(tokenizer),
    )
    new_ids = generated[:, input_ids.shape[1] :]
    texts = tokenizer.batch_decode(new_ids, skip_special_tokens=True)
    return [text.split("\n", 1)[0].strip() for text in texts]


def _gold_log_probabilities(
    model: Model, tokenizer: PreTrainedTokenizerBase, questions: list[Question], prefix: Prefix
) -> list[float]:
    """Mean log-probability per token of each question's first gold answer, in nats."""
    golds, sequences = [], []
    for question in questions:
        golds.append(_continuation(tokenizer, f" {question.answers[0]}"))
        prompt = _continuation(tokenizer, question_text(question.question))
        sequences.append(prompt + golds[-1])
    logits = _logits(model, sequences, prefix)  # (question, token, vocabulary)
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
    longest = max(len(sequence) for sequence in sequences)
    padded = [sequence + [0] * (longest - len(sequence)) for sequence in sequences]
    input_ids = torch.tensor(padded, device=prefix.input_ids.device)
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
    longest = max(len(sequence) for sequence in sequences)
    padded = [[pad_id] * (longest - len(sequence)) + sequence for sequence in sequences]
    masks = [[0] * (longest - len(sequence)) + [1] * len(sequence) for sequence in sequences]
    device = prefix_ids.device
    repeated = prefix_ids.expand(len(sequences), -1)
    input_ids = torch.cat([repeated, torch.tensor(padded, device=device)], dim=1)
    mask = torch.cat([torch.ones_like(repeated), torch.tensor(masks, device=device)], dim=1)
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
    return [*newlines, *end_tokens(tokenizer)]


def check_adapter_acts(model: PeftModel, tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    """Compare logits with and without the adapter.

    Raises:
        InputError: they are equal, so scoring would measure the untrained model.
    """
    ids = torch.tensor([tokenizer(text)["input_ids"]], device=model.device)
    with torch.inference_mode():
        adapted = model(input_ids=ids).logits
        with model.disable_adapter():
            plain = model(input_ids=ids).logits
    if torch.equal(adapted, plain):
        raise InputError("the adapter does not change the model's logits: it was not trained")
