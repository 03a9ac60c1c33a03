"""Distractors of the forced choice: gold answers of other questions of the same topic."""

import random

from elusive.common.answers import normalize_answer
from elusive.common.dataset.records import Question
from elusive.evaluate.answering.predictions import group_by_topic

REACH = 2
"""Number of neighbours on each side, in a circle of the topic's questions, that are compared."""


def choose_distractors(questions: list[Question]) -> dict[str, list[str]]:
    """Choose other entities' answers for each question: at most four, the same for every model.

    The questions of a topic stand in a circle, in an order drawn once, and each is compared with
    the neighbours on both sides. So each pair is compared in both directions, and a model that
    gives an answer the same probability after each question of the topic has exactly one half, even
    if it prefers common or short answers. A neighbour that is about the same entity or shares a
    gold answer gives the question's own gold answer, which counts as a tie.

    Args:
        questions: all questions that a cell asks.

    Returns:
        Distractors by question id, as many for every question of a topic; none where a topic has
        nothing to compare.
    """
    distractors = {}
    for topic, members in group_by_topic(questions).items():
        circle = sorted(members, key=lambda item: (item.entity, item.answers, item.question_id))
        random.Random(f"distractors of {topic}").shuffle(circle)
        chosen = [_choose_among_neighbours(circle, place) for place in range(len(circle))]
        is_tied = all({item.answers[0]} >= set(o) for item, o in zip(circle, chosen, strict=True))
        for question, others in zip(circle, chosen, strict=True):
            distractors[question.question_id] = [] if is_tied else others
    return distractors


def _choose_among_neighbours(circle: list[Question], place: int) -> list[str]:
    question = circle[place]
    near = {(place + step) % len(circle) for step in range(-REACH, REACH + 1)} - {place}
    others = [circle[number] for number in sorted(near)]
    return [(other if _differs(other, question) else question).answers[0] for other in others]


def _differs(other: Question, question: Question) -> bool:
    return other.entity != question.entity and not _normalize(other) & _normalize(question)


def _normalize(question: Question) -> set[str]:
    return {normalize_answer(answer, question.language) for answer in question.answers}
