"""Gold answers are found where they stand, and what is mended or left out says its true reason."""

from collections import Counter

import pytest

from elusive.wikiqa.answer_places import place_answers
from elusive.wikiqa.articles import Asked

TEXT = "Rome, not Paris, is in Italy. Paris is not."
EMOJI = "😀😀 Żółć is Polish, Żółć is bile."
LAST = EMOJI.rindex("Żółć")
BYTES = len(EMOJI[:LAST].encode())


@pytest.mark.parametrize(
    ("text", "answer", "start", "place", "reason"),
    [
        (TEXT, "Italy", 23, 23, ""),
        (TEXT, "Italy", 3, 23, "answer's place mended: nearest of one"),
        (TEXT, "Paris", 7, 10, "answer's place mended: nearest of several"),
        (TEXT, "Paris", 33, 30, "answer's place mended: nearest of several"),
        ("丹佛野马队赢了。", "野马", 0, 2, "answer's place mended: nearest of one"),
        ("A Mid-Atlantic state", "Atlantic", 3, 6, "answer's place mended: nearest of one"),
        ("Unbelievable", "believ", 0, 2, "answer's place mended: nearest of one"),
        ("The party liked art.", "art", 6, 16, "answer's place mended: nearest of one"),
        (TEXT, " Rome", 0, 0, "answer's place mended: nearest of one"),
        (TEXT, "Italy ", 23, 23, "answer's place mended: white space around it"),
        (EMOJI, "Żółć", LAST + 1, LAST, "answer's place mended: nearest of several"),
        (EMOJI, "Żółć", 5, 3, "answer's place mended: it was in UTF-16 units"),
        (EMOJI, "Żółć", BYTES, LAST, "answer's place mended: it was in bytes"),
        (TEXT, "Italy", -1, 23, "answer whose place the source does not state"),
        (TEXT, "Paris", -1, 10, "answer whose place the source does not state: first of several"),
    ],
)
def test_an_answer_is_placed_where_it_stands(text, answer, start, place, reason):
    counts = Counter()
    asked = place_answers(Asked("1", "Which?", [(answer, start)]), text, counts)
    assert asked is not None
    assert asked.answers == [(answer.strip(), place)]
    assert counts == (Counter([reason]) if reason else Counter())


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("Oslo", "answer left out: the paragraph does not have it"),
        ("  ", "answer left out: it is empty"),
        ("The", "answer left out: scoring would leave nothing of it"),
    ],
)
def test_what_is_left_out_says_its_true_reason(answer, reason):
    counts = Counter()
    assert place_answers(Asked("1", "Which?", [(answer, 3)]), TEXT, counts) is None
    assert counts == {reason: 1, "question left out: no answer stands in the paragraph": 1}


def test_other_names_of_an_answer_stay_gold_answers():
    answers = [("Roma", -1), ("Rome", -1), ("ROME", -1), ("Roma", -1), ("the Eternal City", -1)]
    asked = place_answers(Asked("1", "Which?", answers), TEXT, Counter())
    assert asked is not None
    assert asked.answers == [("Rome", 0), ("Roma", -1), ("the Eternal City", -1)]
