"""Closed-book few-shot answering by a model in this process."""

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from elusive.common.dataset.records import Fact, Prediction, Question, Shot
from elusive.common.errors import InputError
from elusive.common.large.processes import count_processes
from elusive.common.lm.context import check_positions, warn_beyond_context
from elusive.common.lm.encoding import encode_text
from elusive.evaluate.answering.batches import (
    SHARED_PREFIX,
    Batching,
    Model,
    Prefix,
    PromptedModel,
    PromptedQuestion,
    build_batches,
    encode_topic,
)
from elusive.evaluate.answering.decoding import answer_and_score, score_answers
from elusive.evaluate.answering.predictions import (
    Answer,
    build_predictions,
    check_shots_apart,
    compute_forced_choice,
    count_answer_tokens,
    group_by_topic,
)
from elusive.evaluate.answering.prompt_format import PromptFormat


def answer_questions(
    model: Model,
    tokenizer: PreTrainedTokenizerBase,
    questions: list[Question],
    shots: list[Shot],
    batch_size: int,
    batching: Batching = SHARED_PREFIX,
    chat: bool = False,
    facts: dict[str, Fact] | None = None,
    distractors: dict[str, list[str]] | None = None,
) -> list[Prediction]:
    """Answer every question greedily after the shots of its topic, and score the answers.

    Args:
        model: decoder, with or without an adapter.
        tokenizer: the model's tokenizer.
        questions: in any order; predictions are returned in the same order.
        shots: solved questions to show, about other people.
        batch_size: questions at a time; a batch that does not fit into memory is halved.
        batching: how questions are read together.
        chat: ask in the format of the tokenizer's chat template.
        facts: fact that answers each question, by its id; gives predictions distance and position.
        distractors: as `choose_distractors` returns; gives predictions a forced choice.

    Raises:
        InputError: a question's person is shown in the shots, there is no chat template, or the
            model has too few positions.
    """
    check_shots_apart(questions, shots)
    model.eval()
    prompted = PromptedModel(
        model, tokenizer, PromptFormat(tokenizer, chat), shots, distractors or {}
    )
    warn_beyond_context(model, check_prompts_fit(prompted, questions), "the longest prompt")
    answers: dict[str, Answer] = {}
    with torch.inference_mode():
        for batch, prefix in build_batches(prompted, questions, batch_size, batching):
            ids = [item.question.question_id for item in batch]
            answers |= zip(ids, _answer_batch(prompted, batch, prefix), strict=True)
    in_order = [answers[question.question_id] for question in questions]
    return build_predictions(questions, in_order, facts)


def check_prompts_fit(prompted: PromptedModel, questions: list[Question]) -> int:
    """Check that a model has positions for all prompts and their answers; return the most tokens.

    Raises:
        InputError: it has too few.
    """
    longest = 0
    for topic, members in group_by_topic(questions).items():
        prefix, encoded = encode_topic(prompted, topic, members)
        length = len(prefix) + max(len(question.input_ids) for question in encoded)
        length += count_answer_tokens(members, prompted.prompts.count_answer_tokens)
        longest = max(longest, length)
    hint = "show fewer shots with --num-shots, or choose a model with a longer context"
    check_positions(prompted.model, longest, "the longest prompt, with its answer,", hint)
    return longest


def _answer_batch(
    prompted: PromptedModel, questions: list[PromptedQuestion], prefix: Prefix
) -> list[Answer]:
    """Answer questions that share a prefix; halve the batch as long as memory does not suffice."""
    try:
        ids, golds = answer_and_score(prompted, questions, prefix)
        others = _score_distractors(prompted, questions, golds, prefix)
        return [
            Answer(prompted.decode_answer(tokens), gold, compute_forced_choice(gold, scores))
            for tokens, gold, scores in zip(ids, golds, others, strict=True)
        ]
    except (RuntimeError, MemoryError) as error:
        # Processes that share a model read the same batches: one alone cannot take smaller ones.
        is_smallest = len(questions) == 1 or count_processes() > 1
        if is_smallest or not should_reduce_batch_size(error):
            raise
    clear_device_cache(garbage_collection=True)  # outside the handler, which holds the tensors
    half = len(questions) // 2
    parts = (questions[:half], questions[half:])
    return [answer for part in parts for answer in _answer_batch(prompted, part, prefix)]


def _score_distractors(
    prompted: PromptedModel, questions: list[PromptedQuestion], golds: list[float], prefix: Prefix
) -> list[list[float]]:
    """Score all distractors of questions that share a prefix, one of each question at a time.

    A distractor that is the gold answer has its log-probability.
    """
    scores = [[gold] * len(item.distractors) for item, gold in zip(questions, golds, strict=True)]
    for number in range(max(map(len, scores))):
        others = {
            row: item.distractors[number]
            for row, item in enumerate(questions)
            if number < len(item.distractors) and item.distractors[number] != item.gold
        }
        if others:
            asked = [questions[row] for row in others]
            found = score_answers(prompted, asked, list(others.values()), prefix)
            for row, score in zip(others, found, strict=True):
                scores[row][number] = score
    return scores


def check_training_acts(
    model: Model, untrained: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str
) -> None:
    """Check that training changed the model's logits on a text, to numbers.

    Raises:
        InputError: the logits are unchanged, so scoring would measure the untrained model; or some
            are no longer finite.
    """
    ids = torch.tensor([encode_text(text, tokenizer).input_ids], device=model.device)
    with torch.inference_mode():
        trained = model(input_ids=ids).logits.float()
        if isinstance(model, PeftModel):
            with model.disable_adapter():
                plain = model(input_ids=ids).logits.float()
        else:
            plain = untrained(input_ids=ids).logits.float()
    if plain.isnan().any():
        raise InputError("the model's logits are not numbers (NaN): check its weight files")
    if (plain.isfinite() & ~trained.isfinite()).any():
        raise InputError(
            "the adapter makes the model's logits infinite or no numbers (NaN): train it again "
            "with a lower learning rate"
        )
    if torch.equal(trained, plain):
        raise InputError("the adapter does not change the model's logits: it was not trained")
