"""What answers become, whoever gave them: records with their scores."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from elusive.common.answers import score_answer
from elusive.common.dataset.records import Fact, Prediction, Question, Shot
from elusive.common.errors import InputError
from elusive.evaluate.answering.prompts import get_topic

SPARE_TOKENS = 2
"""How many tokens longer than the longest gold answer of its topic an answer may be."""


@dataclass(frozen=True)
class Answer:
    """What a model said, and how likely it found the first gold answer."""

    text: str
    log_probability: float
    """Mean per token of the gold answer, in nats."""


def check_shots_apart(questions: list[Question], shots: list[Shot]) -> None:
    """Raise InputError if a question's person stands in the shots."""
    shown = {shot.entity for shot in shots}
    for question in questions:
        if question.entity in shown:
            raise InputError(f"{question.entity!r} is asked about and shown as an example")


def group_by_topic(questions: list[Question]) -> dict[tuple[str, str], list[Question]]:
    """The questions of each topic, in order."""
    groups: dict[tuple[str, str], list[Question]] = defaultdict(list)
    for question in questions:
        groups[get_topic(question)].append(question)
    return groups


def count_answer_tokens(questions: list[Question], length: Callable[[str], int]) -> int:
    """Tokens that an answer to a question of one topic may have.

    It is the same for all of them, so that nobody's answer depends on who is asked beside.

    Args:
        questions: all that are asked of the topic.
        length: tokens of a gold answer with its line's end.
    """
    golds = {answer for question in questions for answer in question.answers}
    return max(map(length, golds)) + SPARE_TOKENS


def cut_first_line(text: str) -> str:
    """An answer without what a model went on to write below it."""
    return text.split("\n", 1)[0].strip()


def build_predictions(
    questions: list[Question], answers: list[Answer], facts: dict[str, Fact] | None
) -> list[Prediction]:
    """The records of answered questions.

    Args:
        questions: what was asked.
        answers: to each of them.
        facts: what is asked for, by question, for results by distance and position.
    """
    found = facts or {}
    return [
        _prediction(question, answer, found.get(question.question_id))
        for question, answer in zip(questions, answers, strict=True)
    ]


def _prediction(question: Question, answer: Answer, fact: Fact | None) -> Prediction:
    """The record of an answered question."""
    return Prediction(
        question_id=question.question_id,
        entity=question.entity,
        field=question.field,
        question=question.question,
        answers=question.answers,
        prediction=answer.text,
        log_probability=answer.log_probability,
        kind=question.kind,
        phrasing=question.phrasing,
        held_out=question.held_out,
        hops=question.hops,
        distance=fact.distance if fact else None,
        position=fact.position if fact else None,
        **score_answer(answer.text, question.answers),  # type: ignore[arg-type]
    )
