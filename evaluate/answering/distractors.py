"""Distractors of the forced choice: gold answers of other questions of the same topic."""

import random

from elusive.common.answers import normalize_answer
from elusive.common.dataset.records import Question
from elusive.evaluate.answering.predictions import group_by_topic

REACH = 2
"""Number of neighbours on each side, in a circle of the topic's answers, that are distractors."""


def choose_distractors(questions: list[Question]) -> dict[str, list[str]]:
    """Choose other entities' answers for each question: at most four, the same for every model.

    The answers of a topic stand in a circle, in an order drawn once. Distractors are the neighbours
    on both sides, apart from those that are about the same entity or share a gold answer. So each
    pair of answers is compared in both directions, and a model that answers alike whomever it is
    asked about is right in half of the pairs, even if it prefers common or short answers. (Its mean
    over questions is near one half if some of them have fewer distractors than others.)

    Args:
        questions: all questions that a cell asks.

    Returns:
        Distractors by question id; none where a topic has no answer about another entity.
    """
    distractors = {}
    for topic, members in group_by_topic(questions).items():
        circle = {_get_place(question): question for question in members}
        order = sorted(circle)
        random.Random(f"distractors of {topic}").shuffle(order)
        places = {place: number for number, place in enumerate(order)}
        for question in members:
            own = places[_get_place(question)]
            near = {(own + step) % len(order) for step in range(-REACH, REACH + 1)} - {own}
            others = [circle[order[number]] for number in sorted(near)]
            distractors[question.question_id] = [
                other.answers[0] for other in others if _is_distractor(other, question)
            ]
    return distractors


def _get_place(question: Question) -> tuple[str, tuple[str, ...]]:
    """Return what has one place in the circle, however often it is asked for."""
    return question.entity, tuple(question.answers)


def _is_distractor(other: Question, question: Question) -> bool:
    return other.entity != question.entity and not _normalize(other) & _normalize(question)


def _normalize(question: Question) -> set[str]:
    return {normalize_answer(answer, question.language) for answer in question.answers}
