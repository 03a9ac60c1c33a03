"""Wikitext to prose: nothing of the markup is left, spans are right, and nothing makes it raise."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elusive.wikiqa.wikitext.clean import clean_article
from elusive.wikiqa.wikitext.marks import MARKS
from elusive.wikiqa.wikitext.prose import LEFTOVER


def text_of(wikitext: str) -> str:
    """The only paragraph's text."""
    (paragraph,) = clean_article(wikitext, Counter()).paragraphs
    return paragraph.text


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("'''Rome''' is ''old''.", "Rome is old."),
        ("Rome<ref>Livy</ref> is<ref name=a /> old.", "Rome is old."),
        ("Rome (; {{lang-it|Roma}}) is old.", "Rome is old."),
        ("Rome ({{IPA|x}}, founded 753) is old.", "Rome (founded 753) is old."),
        ("Rome {{citation needed}} is old {{nowrap|by now}}.", "Rome is old by now."),
        ("It is {{convert|5|km|mi}} long.", "It is 5 km long."),
        ("{{lang|fr|Bonjour}} is French.", "Bonjour is French."),
        ("A&nbsp;b &amp; c &ndash; d.", "A b & c \u2013 d."),
        ("See [[File:a.jpg|thumb|A [[b]] c]] Rome.", "See Rome."),
        ("[[Category:Cities]]Rome is old.", "Rome is old."),
        ("Rome [http://x.org on the web] is old.", "Rome on the web is old."),
        ("Rome is old.<!-- not so -->", "Rome is old."),
        ("__NOTOC__Rome is old.", "Rome is old."),
        ("One line\ngoes on.", "One line goes on."),
        ("Intro:\n* one\n* two", "Intro:"),
        ("{| class=x\n| a\n|}\nRome is old.", "Rome is old."),
        ("Rome<br />is old.", "Rome is old."),
        ("''[[Alien: Covenant]]'' and [[Halo: Reach|it]].", "Alien: Covenant and it."),
        ("[[wikt:foo|The word]] is [[:fr:Rome|here]].", "The word is here."),
        ("Rome is old.[[fr:Rome]]", "Rome is old."),
        ("<gallery>\na.jpg|b\n</gallery>Rome is old.", "Rome is old."),
        ("<small>Rome</small> is H<sub>2</sub>O.", "Rome is H2O."),
    ],
)
def test_markup_is_removed(wikitext, text):
    assert text_of(wikitext) == text


def test_links_have_their_words_and_their_target():
    (paragraph,) = clean_article(
        "[[Roman Empire|Romans]] and [[Gaul]]s, [[Rome#History|its history]], [[Nero|Ne]][[ro]].",
        Counter(),
    ).paragraphs
    links = [(paragraph.text[link.start : link.end], link.target) for link in paragraph.links]
    assert links == [
        ("Romans", "Roman Empire"),
        ("Gauls", "Gaul"),
        ("its history", "Rome"),
        ("Ne", "Nero"),
        ("ro", "ro"),
    ]


def test_sections_are_named_and_those_that_list_sources_left_out():
    article = clean_article(
        "Lead is here.\n==History==\nOld times.\n===Kings===\nSeven of them.\n"
        "==References==\nLivy wrote.\n===More===\nStill sources.\n==Today==\nA capital.",
        Counter(),
    )
    assert [(p.section, p.text) for p in article.paragraphs] == [
        ("", "Lead is here."),
        ("History", "Old times."),
        ("History > Kings", "Seven of them."),
        ("Today", "A capital."),
    ]


def test_what_is_left_out_is_counted():
    counts: Counter[str] = Counter()
    article = clean_article(
        "Too short.\n\nThe area is <math>x^2</math> for all of the squares that there are.\n\n"
        "This one has [[broken markup in it and so it cannot be used for anything.\n\n"
        "This one has all the words that a paragraph needs to be kept.",
        counts,
        min_words=8,
    )
    assert len(article.paragraphs) == 1
    assert counts == {
        "short paragraph": 1,
        "paragraph with a formula": 1,
        "paragraph with broken markup": 1,
    }


def test_bold_words_of_the_lead_are_names():
    article = clean_article("'''Rome''' or '''Roma''' is old.\n==A==\n'''Not''' this.", Counter())
    assert article.bold == ["Rome", "Roma"]


PIECES = st.sampled_from(
    [
        "[[", "]]", "|", "{{", "}}", "'''", "''", "<ref>", "</ref>", "<ref name=x />", "<math>",
        "</math>", "{|", "|}", "|-", "\n", "\n\n", "==", "===", "* ", "# ", ": ", "&nbsp;", "&#0;",
        "&#xFFFFFF;", "<!--", "-->", "[http://a.b ", "]", "<nowiki>", "</nowiki>", "<b>", "</b>",
        "<div style=", ">", "<br>", "__TOC__", "File:", "Category:", "Rome", " is ", "old. ", "(",
        ")", ", ", "\u202e", "\ue000", "\U000f0000", "é", "中", "lang|fr|", "convert|5|km",
    ]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES | st.text(max_size=8), max_size=60).map("".join))
def test_nothing_makes_the_cleaner_raise_and_spans_are_valid(wikitext):
    article = clean_article(wikitext, Counter())
    for paragraph in article.paragraphs:
        assert paragraph.text == paragraph.text.strip() != ""
        assert not MARKS.search(paragraph.text)
        assert not LEFTOVER.search(paragraph.text)
        assert "  " not in paragraph.text
        for link in paragraph.links:
            assert 0 <= link.start < link.end <= len(paragraph.text)
            words = paragraph.text[link.start : link.end]
            assert words == words.strip()
            assert link.target


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(["Rome", "is", "the", "city", "1527", "é"]), min_size=1, max_size=30)
)
def test_plain_prose_is_left_alone(words):
    text = " ".join(words) + "."
    assert text_of(text) == text


def test_deep_nesting_does_not_raise():
    for opening, closing in (("{{a|", "}}"), ("[[a|", "]]"), ("<b>", "</b>"), ("'''''", "")):
        clean_article(opening * 5000 + "x" + closing * 5000, Counter())
