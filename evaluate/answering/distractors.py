"""Distractors of the forced choice: gold answers of other questions of the same topic."""

import random
from collections import defaultdict
from collections.abc import Callable
from itertools import combinations, product

from elusive.common.answers import normalize_answer
from elusive.common.dataset.records import Question
from elusive.evaluate.answering.predictions import group_by_topic

REACH = 2
"""Number of neighbours on each side, in a circle of questions, that are compared."""


def choose_distractors(questions: list[Question]) -> dict[str, list[str]]:
    """Choose wrong answers for each question: at most four, the same for every model.

    The questions of a topic stand in a circle, in an order drawn once, and each is compared with
    the neighbours on both sides. An entity with several answers of the topic, such as an article,
    has circles of its own, one for each form of answers, so that it is not enough to know which
    answers belong to it and of which form the right one is. A neighbour whose answer is right, too,
    gives the question's own, which counts as a tie.

    So each pair is compared in both directions, and a model that gives an answer the same
    probability after each question of a circle has exactly one half, even if it prefers common or
    short answers.

    Args:
        questions: all questions that a cell asks.

    Returns:
        Distractors by question id, as many for every question of a circle; none where a circle has
        nothing to compare.
    """
    distractors = {}
    for topic, members in group_by_topic(questions).items():
        own, common = _split_by_entity(members)
        distractors |= _choose_in_circle(_shuffle(common, f"distractors of {topic}"), _share_answer)
        for circle in own:
            order = _shuffle(circle, f"distractors of {topic} of {circle[0].entity}")
            distractors |= _choose_in_circle(order, _may_share_answer)
    return distractors


def _split_by_entity(questions: list[Question]) -> tuple[list[list[Question]], list[Question]]:
    """Return the circles of entities with several answers, and the questions about all others."""
    by_entity: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        by_entity[question.entity].append(question)
    own: dict[tuple[str, str], list[Question]] = defaultdict(list)
    common = []
    for entity, members in by_entity.items():
        if all(_share_answer(one, other) for one, other in combinations(members, 2)):
            common += members
            continue
        for question in members:
            own[entity, _name_form(question.answers[0])].append(question)
    return list(own.values()), common


def _name_form(answer: str) -> str:
    if any(map(str.isdigit, answer)):
        return "with a digit"
    return "with a capital letter" if any(map(str.isupper, answer)) else "other words"


def _shuffle(questions: list[Question], seed: str) -> list[Question]:
    ordered = sorted(questions, key=lambda item: (item.entity, item.answers, item.question_id))
    random.Random(seed).shuffle(ordered)
    return ordered


def _choose_in_circle(
    circle: list[Question], tie: Callable[[Question, Question], bool]
) -> dict[str, list[str]]:
    chosen = [_choose_among_neighbours(circle, place, tie) for place in range(len(circle))]
    is_tied = all({item.answers[0]} >= set(o) for item, o in zip(circle, chosen, strict=True))
    return {
        question.question_id: [] if is_tied else others
        for question, others in zip(circle, chosen, strict=True)
    }


def _choose_among_neighbours(
    circle: list[Question], place: int, tie: Callable[[Question, Question], bool]
) -> list[str]:
    question = circle[place]
    near = {(place + step) % len(circle) for step in range(-REACH, REACH + 1)} - {place}
    others = [circle[number] for number in sorted(near)]
    return [(question if tie(question, other) else other).answers[0] for other in others]


def _share_answer(one: Question, other: Question) -> bool:
    return bool(_normalize(one) & _normalize(other))


def _may_share_answer(one: Question, other: Question) -> bool:
    """Return whether an answer has the words of the other, or the question is the same."""
    if one.question == other.question:
        return True
    pairs = product(_normalize(one), _normalize(other))
    return any(f" {a} " in f" {b} " or f" {b} " in f" {a} " for a, b in pairs)


def _normalize(question: Question) -> set[str]:
    return {normalize_answer(answer, question.language) for answer in question.answers}
