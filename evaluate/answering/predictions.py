"""Records of scored answers, whether a local model or a server gave them."""

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from elusive.common.answers import score_answer
from elusive.common.dataset.records import Fact, Prediction, Question, Shot
from elusive.common.errors import InputError
from elusive.evaluate.answering.prompts import get_topic

SPARE_TOKENS = 2
"""Number of tokens by which an answer may exceed the longest gold answer of its topic."""


@dataclass(frozen=True)
class Answer:
    """A model's answer, and the probability that it gave the first gold answer."""

    text: str
    log_probability: float
    """Mean per token of the first gold answer, in nats."""
    forced_choice: float | None
    """Share of distractors that are less likely than the gold answer (a tie counts half); None
    without any."""


def check_shots_apart(questions: list[Question], shots: list[Shot]) -> None:
    """Raise InputError if a question's person is shown in the shots."""
    shown = {shot.entity for shot in shots}
    for question in questions:
        if question.entity in shown:
            raise InputError(
                f"{question.entity!r} is asked about and shown as an example: choose shots about "
                "other people"
            )


def group_by_topic(questions: list[Question]) -> dict[tuple[str, str], list[Question]]:
    """Group questions by topic, in order."""
    groups: dict[tuple[str, str], list[Question]] = defaultdict(list)
    for question in questions:
        groups[get_topic(question)].append(question)
    return groups


def count_answer_tokens(questions: list[Question], length: Callable[[str], int]) -> int:
    """Compute the largest number of tokens of an answer to questions of one topic.

    The number is the same for all of them, so that no answer depends on how questions are batched.

    Args:
        questions: all questions of the topic.
        length: number of tokens of a gold answer with its newline.
    """
    golds = {answer for question in questions for answer in question.answers}
    return max(map(length, golds)) + SPARE_TOKENS


def compute_forced_choice(gold: float, distractors: list[float]) -> float | None:
    """Compute the share of distractors that are less likely than the gold answer.

    Args:
        gold: mean log-probability per token of the gold answer.
        distractors: those of the distractors.

    Returns:
        The share; equal ones count half. None if there are no distractors, NaN if a log-probability
        is.

    >>> compute_forced_choice(-1.0, [-2.0, -0.5, -1.0, -3.0])
    0.625
    """
    if not distractors:
        return None
    if any(map(math.isnan, [gold, *distractors])):
        return math.nan
    return fmean((gold > other) + (gold == other) / 2 for other in distractors)


def cut_first_line(text: str) -> str:
    """Cut off what a model wrote after the line of its answer."""
    return text.split("\n", 1)[0].strip()


def build_predictions(
    questions: list[Question], answers: list[Answer], facts: dict[str, Fact] | None
) -> list[Prediction]:
    """Build the records of answered questions.

    Args:
        questions: the questions.
        answers: the answer to each of them.
        facts: fact that answers each question, by its id; gives records distance and position.
    """
    facts = facts or {}
    return [
        _build_prediction(question, answer, facts.get(question.question_id))
        for question, answer in zip(questions, answers, strict=True)
    ]


def _build_prediction(question: Question, answer: Answer, fact: Fact | None) -> Prediction:
    return Prediction(
        question_id=question.question_id,
        entity=question.entity,
        field=question.field,
        question=question.question,
        answers=question.answers,
        prediction=answer.text,
        log_probability=answer.log_probability,
        forced_choice=answer.forced_choice,
        kind=question.kind,
        phrasing=question.phrasing,
        held_out=question.held_out,
        hops=question.hops,
        distance=fact.distance if fact else None,
        position=fact.position if fact else None,
        **score_answer(answer.text, question.answers, question.language),  # type: ignore[arg-type]
    )
