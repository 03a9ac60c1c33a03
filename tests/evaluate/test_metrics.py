"""EM, F1 and answer recall against a reference written from SQuAD's definition."""

import random
import re
import string

import pytest

from elusive.common.answers import (
    compute_exact_match,
    compute_f1,
    hash_scoring,
    normalize_answer,
    score_answer,
)
from elusive.common.intervals import RATE, estimate_mean
from elusive.evaluate.answering.hf_metric import ClosedBookQA

WORDS = [
    "the",
    "a",
    "An",
    "Paris",
    "paris,",
    "U.S.",
    "1990",
    "New",
    "York",
    "—",
    "é",
    "of",
    "",
    "!",
]


def reference_words(text: str) -> list[str]:
    kept = "".join(sign for sign in text.lower() if sign not in string.punctuation)
    return [word for word in re.sub(r"\b(?:a|an|the)\b", " ", kept).split() if word]


def reference_scores(prediction: str, golds: list[str]) -> tuple[float, float]:
    best_em = best_f1 = 0.0
    words = reference_words(prediction)
    for gold in golds:
        gold_words = reference_words(gold)
        best_em = max(best_em, 1.0 if words == gold_words else 0.0)
        left, common = list(gold_words), 0
        for word in words:
            if word in left:
                left.remove(word)
                common += 1
        if not words or not gold_words:
            best_f1 = max(best_f1, 1.0 if words == gold_words else 0.0)
        elif common:
            best_f1 = max(best_f1, 2 * common / (len(words) + len(gold_words)))
    return best_em, best_f1


def test_em_and_f1_equal_the_reference_on_10000_random_pairs():
    rng = random.Random(0)

    def text() -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(0, 5)))

    matches = 0
    for _ in range(10_000):
        prediction, golds = text(), [text() for _ in range(rng.randint(1, 3))]
        em, bag_f1 = reference_scores(prediction, golds)
        assert compute_exact_match(prediction, golds) == em
        assert compute_f1(prediction, golds) == pytest.approx(bag_f1)
        matches += em > 0
    assert matches > 100


def test_repeated_words_do_not_raise_f1():
    assert compute_f1("Paris Paris", ["Paris"]) == pytest.approx(2 / 3)


def test_the_date_with_its_comma_counts_whole():
    assert compute_exact_match("January 5, 1990", ["January 5, 1990"]) == 1.0
    assert compute_exact_match("January 5", ["January 5, 1990"]) == 0.0


@pytest.mark.parametrize(
    ("prediction", "opens", "contains", "position"),
    [
        ("London, United Kingdom. He", 1.0, 1.0, 0),
        ("born in London", 0.0, 1.0, 2),
        ("Londonderry", 0.0, 0.0, None),
    ],
)
def test_answer_recall_sees_an_answer_in_a_run_on_prediction(prediction, opens, contains, position):
    scores = score_answer(prediction, ["London"])
    assert scores["em"] == 0.0
    assert (scores["opens"], scores["contains"]) == (opens, contains)
    assert scores["answer_position"] == position


def test_the_hugging_face_metric_gives_the_same_means(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    predictions, references = ["Paris Paris", "the Louvre"], [["Paris"], ["Louvre", "x"]]
    scores = ClosedBookQA(keep_in_memory=True).compute(
        predictions=predictions, references=references
    )
    assert scores is not None
    assert scores["em"] == 0.5
    assert scores["f1"] == pytest.approx((2 / 3 + 1) / 2)


def test_intervals_resample_people_not_questions():
    people = [str(index // 5) for index in range(100)]
    together = [float(index // 5 % 2) for index in range(100)]
    apart = [float(index % 2) for index in range(100)]
    clustered = estimate_mean(together, people)
    mixed = estimate_mean(apart, people)
    assert clustered.high - clustered.low > 3 * (mixed.high - mixed.low)


def test_an_interval_holds_its_mean_and_is_reproducible():
    values, people = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0], list("aabbcc")
    first, second = (estimate_mean(values, people, seed=3) for _ in range(2))
    assert first == second
    assert first.low <= first.mean <= first.high


@pytest.mark.parametrize("answers", [[1, 0, 0, 0, 0], [1, 0], [0, 0], [1, 1, 1]])
def test_people_that_are_all_alike_give_no_interval_of_one_point(answers):
    """As of an arm that learns one field about everybody."""
    people = [str(number) for number in range(12) for _ in answers]
    estimate = estimate_mean([float(a) for a in answers * 12], people, bounds=RATE)
    assert estimate.high - estimate.low > 0.05
    assert estimate.low <= estimate.mean <= estimate.high
    fewer = estimate_mean([float(a) for a in answers * 4], people[: 4 * len(answers)], bounds=RATE)
    assert fewer.low <= estimate.low <= estimate.high <= fewer.high


def test_one_person_gives_no_interval():
    assert estimate_mean([1.0, 0.0], ["a", "a"]).low == float("-inf")


@pytest.mark.parametrize(
    ("language", "prediction", "gold"),
    [
        ("zh", "丹佛野马队。", "丹佛野马队"),
        ("ja", "「東京」", "東京"),
        ("th", "กรุงเทพ!", "กรุงเทพ"),
        ("de", "die «Elbe»", "Elbe"),
        ("de-AT", "einen Hund", "der Hund"),
        ("es", "¿La Habana?", "Habana"),
        ("ar", "العاصمة؟", "عاصمة"),
        ("vi", "cái nhà", "nhà"),
        ("ru", "„Москва“", "москва"),
        ("vi", "Huế", "Hue\u0302\u0301"),
        ("en", "Cafe\u0301", "café"),
    ],
)
def test_articles_and_marks_of_the_language_do_not_count(language, prediction, gold):
    assert compute_exact_match(prediction, [gold], language) == 1.0
    assert compute_exact_match("x", [gold], language) == 0.0


def test_characters_count_as_words_where_no_blank_stands_between_words():
    scores = score_answer("彼は東京で生まれた", ["東京"], "ja")
    assert (scores["contains"], scores["answer_position"], scores["em"]) == (1.0, 2, 0.0)
    assert scores["f1"] == pytest.approx(2 * (2 / 9) / (1 + 2 / 9))
    assert score_answer("Москвари", ["Москва"], "ru")["contains"] == 0.0


def test_english_is_scored_by_squads_rules_and_its_hash_is_that_of_version_0_1():
    assert hash_scoring() == hash_scoring("en-GB") == "a2c526033c27"
    assert normalize_answer("The «café»") == "«café»"
    assert hash_scoring("de") != hash_scoring("es")


def test_the_hugging_face_metric_takes_a_language(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    metric = ClosedBookQA(keep_in_memory=True)
    scores = metric.compute(predictions=["der Rhein"], references=[["Rhein"]], language="de")
    assert scores is not None
    assert scores["em"] == 1.0
