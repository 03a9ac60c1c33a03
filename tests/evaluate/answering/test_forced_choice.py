"""The forced choice: whether a model prefers a gold answer to answers of like questions."""

import math
import random
from collections import Counter
from dataclasses import replace
from itertools import chain
from pathlib import Path
from statistics import fmean

import pytest

from elusive.common.dataset.folder import DatasetFolder
from elusive.common.dataset.records import Question
from elusive.common.lm.loading import LoadedModel, load_model
from elusive.evaluate.answering.batches import ALONE, SHARED_PREFIX, WHOLE_PROMPTS
from elusive.evaluate.answering.distractors import choose_distractors
from elusive.evaluate.answering.local import answer_questions
from elusive.evaluate.answering.predictions import compute_forced_choice
from elusive.evaluate.answering.prompts import split_shots


def ask_about(entity: str, *answers: str, field: str = "city") -> Question:
    return Question(f"{entity}/{field}", "", entity, field, f"{entity}?", list(answers), "test")


def ask_all(*answers: str) -> list[Question]:
    """Return questions of one article, whose ids are the places of their answers."""
    return [
        replace(ask_about("article", answer), question_id=str(number), question=f"Number {number}?")
        for number, answer in enumerate(answers)
    ]


PEOPLE = [ask_about(f"person {number}", f"city {number}") for number in range(9)]


def test_each_pair_is_compared_in_both_directions():
    distractors = choose_distractors(PEOPLE)
    owner = {question.answers[0]: question.question_id for question in PEOPLE}
    pairs = Counter((name, owner[a]) for name, others in distractors.items() for a in others)
    assert len(pairs) == 4 * len(PEOPLE)
    assert all(pairs[b, a] == pairs[a, b] == 1 for a, b in pairs)


def test_the_order_of_the_questions_does_not_matter():
    twice = [*PEOPLE, replace(PEOPLE[0], question_id="asked again")]
    assert choose_distractors(twice[::-1]) == choose_distractors(twice)
    article = ask_all(*"abcdefghi")
    assert choose_distractors(article[::-1]) == choose_distractors(article)


@pytest.mark.parametrize("questions", [PEOPLE, ask_all(*"abcdefghi")])
def test_neighbours_are_drawn(questions: list[Question]):
    """They are not those of the alphabet, which may go with what is asked."""
    found = choose_distractors(questions)
    answers = [question.answers[0] for question in questions]
    nearest = [{answers[(place + step) % 9] for step in (-2, -1, 1, 2)} for place in range(9)]
    assert [set(found[question.question_id]) for question in questions] != nearest


def test_a_question_whose_neighbours_all_tie_has_ties():
    """Only a circle without anything to compare has no forced choice."""
    questions = [ask_about(str(number), "Paris") for number in range(20)] + [ask_about("A", "Rome")]
    found = choose_distractors(questions)
    assert {len(others) for others in found.values()} == {4}
    assert ["Paris"] * 4 in found.values()


def test_answers_of_the_same_value_tie():
    """They give the question's own gold answer, however often a fact is asked for."""
    questions = [ask_about("A", "Paris"), ask_about("B", "the paris"), ask_about("C", "Rome")]
    again = replace(questions[0], question_id="A again")
    found = choose_distractors([*questions, again])
    assert {question_id: sorted(others) for question_id, others in found.items()} == {
        "A/city": ["Paris", "Paris", "Rome"],
        "A again": ["Paris", "Paris", "Rome"],
        "B/city": ["Rome", "the paris", "the paris"],
        "C/city": ["Paris", "Paris", "the paris"],
    }


def test_an_entity_with_several_answers_is_compared_with_itself():
    """So it is not enough to know which answers belong to an article."""
    article = ask_all("Paris", "Rome", "Oslo", "Bonn")
    others = [ask_about("B", "Kiel"), ask_about("C", "Bern")]
    found = choose_distractors([others[0], *article, others[1]])
    assert {question_id: sorted(answers) for question_id, answers in found.items()} == {
        "0": ["Bonn", "Oslo", "Rome"],
        "1": ["Bonn", "Oslo", "Paris"],
        "2": ["Bonn", "Paris", "Rome"],
        "3": ["Oslo", "Paris", "Rome"],
        "B/city": ["Bern"],
        "C/city": ["Kiel"],
    }


def test_an_entity_with_one_other_answer_is_compared_with_itself():
    found = choose_distractors([*ask_all("Paris", "The Paris", "Rome"), ask_about("B", "Kiel")])
    assert sorted(found["0"]) == ["Paris", "Rome"]
    assert sorted(found["1"]) == ["Rome", "The Paris"]
    assert sorted(found["2"]) == ["Paris", "The Paris"]
    assert found["B/city"] == []


def test_an_entitys_answers_are_compared_with_those_of_their_form():
    """So it is not enough to know whether a number, a name or another word is right."""
    forms = [["1851", "July 4", "56.2%"], ["Momus", "the Thames"], ["patents", "a spark", "coal"]]
    found = choose_distractors(ask_all(*chain(*forms)))
    for number, answer in enumerate(chain(*forms)):
        [form] = [form for form in forms if answer in form]
        assert set(found[str(number)]) == set(form) - {answer}
    assert choose_distractors(ask_all("1851", "Momus")) == {"0": [], "1": []}


def test_an_entitys_answers_that_may_be_right_tie():
    """Annotators ask one question in two ways, or give one question two answers."""
    article = ask_all("Rankine cycle", "the ideal Rankine cycle", "Thames")
    again = replace(article[2], question_id="again", answers=["Severn"])
    found = choose_distractors([*article, again])
    assert sorted(found["0"]) == ["Rankine cycle", "Severn", "Thames"]
    assert sorted(found["1"]) == ["Severn", "Thames", "the ideal Rankine cycle"]
    assert sorted(found["2"]) == ["Rankine cycle", "Thames", "the ideal Rankine cycle"]


def test_an_entitys_answers_tie_by_whole_words_of_any_answer():
    words = ask_all("art", "party", "state of the union")
    named = [
        replace(word, answers=[*word.answers, *names])
        for word, names in zip(words, [["craft"], [], ["the craft of a state"]], strict=True)
    ]
    assert sorted(choose_distractors(words)["0"]) == ["party", "state of the union"]
    assert sorted(choose_distractors(named)["0"]) == ["art", "party"]


def test_answers_tie_as_their_language_normalizes_them():
    questions = [ask_about("A", "die Donau"), ask_about("B", "Donau"), ask_about("C", "der Rhein")]
    german = [replace(question, language="de") for question in questions]
    assert sorted(choose_distractors(german)["B/city"]) == ["Donau", "der Rhein"]
    assert sorted(choose_distractors(questions)["B/city"]) == ["der Rhein", "die Donau"]


@pytest.mark.parametrize("answers", [["Paris", "paris"], ["Paris"]])
def test_a_topic_with_one_answer_has_no_distractors(answers: list[str]):
    questions = [ask_about(name, answer) for name, answer in zip("AB", answers, strict=False)]
    assert set(map(tuple, choose_distractors(questions).values())) == {()}
    assert choose_distractors(ask_all("Paris", "paris")) == {"0": [], "1": []}


def test_answers_that_share_a_name_tie():
    cities = [("NYC", "New York"), ("New York",), ("Rome",)]
    questions = [ask_about(str(number), *names) for number, names in enumerate(cities)]
    found = choose_distractors(questions)
    assert sorted(found["0/city"]) == ["NYC", "Rome"]
    assert sorted(found["1/city"]) == ["New York", "Rome"]
    assert sorted(found["2/city"]) == ["NYC", "New York"]


NAMES = [
    ("Rome",),
    ("NYC", "New York"),
    ("New York",),
    ("Bonn",),
    ("Oslo",),
    ("Oslo", "Kristiania"),
]
"""City names, some of which share one; the first ones are drawn more often."""


@pytest.mark.parametrize("values", [2, 3, 6])
def test_a_model_that_prefers_some_answers_has_exactly_half(values: int):
    """However few answers there are, and however unequally they are given."""
    draw = random.Random(values)
    questions = [
        replace(
            ask_about(f"person {draw.randrange(20)}", *NAMES[int(values * draw.random() ** 2)]),
            question_id=str(number),
            question=f"Number {number}?",
        )
        for number in range(50)
    ]
    preferred = {name: draw.random() for names in NAMES for name in names}
    distractors = choose_distractors(questions)
    shares = [
        compute_forced_choice(
            preferred[question.answers[0]],
            [preferred[answer] for answer in distractors[question.question_id]],
        )
        for question in questions
    ]
    compared = [share for share in shares if share is not None]
    assert len(compared) > 10
    assert math.isclose(fmean(compared), 0.5)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_few_entities_have_few_distractors(count: int):
    found = choose_distractors(PEOPLE[:count])
    assert {len(others) for others in found.values()} == {min(4, count - 1)}


def test_topics_do_not_mix():
    cities = [ask_about(name, f"city of {name}") for name in "AB"]
    jobs = [ask_about(name, f"job of {name}", field="job") for name in "AB"]
    assert choose_distractors(cities + jobs) == {
        "A/city": ["city of B"],
        "B/city": ["city of A"],
        "A/job": ["job of B"],
        "B/job": ["job of A"],
    }


@pytest.fixture(scope="module")
def nano() -> LoadedModel:
    return load_model("nano-small")


@pytest.fixture(scope="module")
def bios(people_folder: Path) -> DatasetFolder:
    return DatasetFolder(people_folder)


def test_shares_are_those_of_answers_scored_alone(nano, bios):
    """Each distractor gets the log-probability that it has as the gold answer."""
    questions, (shots, _) = bios.questions[:12], split_shots(bios.shots, 2, 0)
    same = next(n for n, other in enumerate(questions[1:], 1) if other.field == questions[0].field)
    questions[same] = replace(questions[same], answers=questions[0].answers)  # a tie
    distractors = choose_distractors(questions)
    assert any(distractors.values())

    def ask(asked, batch_size=5, batching=SHARED_PREFIX, **others):
        return answer_questions(
            nano.model, nano.tokenizer, asked, shots, batch_size, batching, **others
        )

    expected = []
    for question in questions:
        others = distractors[question.question_id]
        swapped = [replace(question, answers=[answer]) for answer in others]
        [gold] = ask([question], 1, ALONE)
        scores = [ask([item], 1, ALONE)[0].log_probability for item in swapped]
        wins = [
            0.5 if answer == question.answers[0] else gold.log_probability > score
            for answer, score in zip(others, scores, strict=True)
        ]
        expected.append(fmean(wins))
    assert any(question.answers[0] in distractors[question.question_id] for question in questions)
    for batching in (SHARED_PREFIX, WHOLE_PROMPTS):
        answers = ask(questions, batching=batching, distractors=distractors)
        assert [answer.forced_choice for answer in answers] == expected
        plain = ask(questions, batching=batching)
        assert [replace(answer, forced_choice=None) for answer in answers] == plain


def test_a_model_that_ignores_the_entity_is_right_in_half_of_the_pairs(nano, bios):
    """Also if it prefers some answers to others."""
    shots, _ = split_shots(bios.shots, 0, 0)
    questions = [
        replace(question, question="Who?")
        for question in bios.questions
        if question.field == "university"
    ]
    answers = answer_questions(
        nano.model, nano.tokenizer, questions, shots, 8, distractors=choose_distractors(questions)
    )
    assert math.isclose(fmean(a.forced_choice or 0 for a in answers), 0.5)
    assert len({answer.forced_choice for answer in answers}) > 2, "some answers are preferred"


def test_no_number_is_not_a_wrong_choice():
    """So that a sweep counts a trial that diverged as failed."""
    assert compute_forced_choice(-1.0, []) is None
    assert math.isnan(compute_forced_choice(math.nan, [-1.0]) or 0)
    assert math.isnan(compute_forced_choice(-1.0, [-2.0, math.nan]) or 0)
