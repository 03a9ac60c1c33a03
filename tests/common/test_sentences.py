"""Sentences in the languages that people have."""
# ruff: noqa: E501, RUF001

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elusive.common.text.sentences import find_sentences

CUT = [
    ("en", "He lived in the U.S.|He moved to Rome.|"),
    ("en", "The U.S. Army won.|It left.|"),
    ("en", "It was led by Sen. John McCain of Arizona.|He lost.|"),
    ("en", "J. R. R. Tolkien wrote it.|He died in St. Ives.|"),
    ("en", "Node.js is a runtime.|It has version 3.14 now.|"),
    ("en", "It is so.[2][citation needed]|Another holds.[3]|"),
    ("en", "Brocard's conjecture holds.|Legendre's is open.|It's old.|"),
    ("de", "Rom wurde 753 v. Chr. gegründet.|Er starb 14 n. Chr. in Nola.|"),
    (
        "de",
        "Am 3. Oktober 1990 war es so weit.|Der 2. Weltkrieg endete 1945.|Dann kam z. B. Adenauer.|",
    ),
    ("fr", "M. Dupont est né en 50 av. J.-C. à Rome.|Il est mort.|"),
    ("es", "El Sr. García vive en EE. UU. desde 1990.|Él trabaja.|"),
    (
        "ru",
        "Он родился в 1990 г. в Москве.|Затем А. С. Пушкин уехал.|Население 12 млн. чел. в городе.|",
    ),
    ("ar", "ما هي عاصمة فرنسا؟|باريس هي العاصمة.|توفي د. محمد في القاهرة.|"),
    ("zh", "超级碗50是一场比赛。|比赛于2016年举行！|谁赢了？|"),
    ("ja", "東京は日本の首都である。|人口は1400万人！|「はい。」と彼は言った。|"),
    ("th", "กรุงเทพเป็นเมืองหลวงของไทย|มีประชากรสิบล้านคน|ตั้งอยู่ริมแม่น้ำ|"),
    ("hi", "भारत एक देश है।|इसकी राजधानी दिल्ली है।|"),
    ("ka", "თბილისი საქართველოს დედაქალაქია.|ქალაქი დიდია.|"),
    ("el", "Τι είναι αυτό;|Είναι η Αθήνα.|"),
]


@pytest.mark.parametrize(("language", "marked"), CUT)
def test_sentences_end_where_a_reader_of_the_language_ends_them(language: str, marked: str) -> None:
    expected = [sentence for sentence in marked.split("|") if sentence]
    blank = "" if language in ("zh", "ja") else " "
    text = blank.join(expected)
    spans = find_sentences(text, [], language)
    assert [text[start:end] for start, end in spans] == expected


def test_no_sentence_ends_within_an_unbroken_span() -> None:
    text = "The band Wham. Bam. Thank you was big. It left."
    name = (text.index("Wham"), text.index(" was"))
    assert len(find_sentences(text, [])) == 4
    assert find_sentences(text, [name]) == [(0, 38), (39, len(text))]


def test_the_full_stop_after_a_name_that_ends_like_an_abbreviation_ends_the_sentence() -> None:
    text = "The company of Ann was Smith Ltd. Calvin joined in May. Roe left."
    assert len(find_sentences(text, [])) < 3
    names = [(text.index(name), text.index(name) + len(name)) for name in ("Smith Ltd", "May")]
    assert len(find_sentences(text, names)) == 3


def test_regions_and_unknown_codes_are_read_as_their_language_or_as_english() -> None:
    text = "Der 2. Weltkrieg kam. Er ging."
    assert find_sentences(text, [], "de-AT") == find_sentences(text, [], "de")
    assert len(find_sentences(text, [], "de")) == 2
    assert len(find_sentences("One came. Two left.", [], "tlh")) == 2


@given(
    st.text(alphabet="ab C.!?。؟ \n\"'()[]1é", max_size=60),
    st.sampled_from(["en", "de", "zh", "th", "ar"]),
)
def test_sentences_hold_every_character_but_white_space(text: str, language: str) -> None:
    spans = find_sentences(text, [], language)
    assert spans[0][0] == 0
    assert spans[-1][1] == len(text)
    for (_, end), (start, _) in pairwise(spans):
        assert end <= start
        assert not text[end:start].strip()


def test_time_grows_with_the_length_of_a_paragraph() -> None:
    text = "He was born in the U.S. in 1990. Then he left. " * 12_000
    links = [(start, start + 3) for start in range(0, len(text), 47)]
    began = time.monotonic()
    assert len(find_sentences(text, links)) == 24_000
    assert time.monotonic() - began < 10


def test_sentences_of_chinese_end_before_digits():
    text = "人口有2100万。1949年成立！3年后毁了。再建？”2001年完成。"
    found = [text[start:end] for start, end in find_sentences(text, [], "zh")]
    assert [*found[:3], found[-1]] == [
        "人口有2100万。",
        "1949年成立！",
        "3年后毁了。",
        "2001年完成。",
    ]
