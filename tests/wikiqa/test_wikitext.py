"""Wikitext to prose: nothing of the markup is left, spans are right, and nothing makes it raise."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elusive.wikiqa.wikitext.clean import clean_article
from elusive.wikiqa.wikitext.marks import MARKS
from elusive.wikiqa.wikitext.namespaces import build_wiki
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
        ("Rome (; {{lang-it|Roma}}) is old.", "Rome (Italian: Roma) is old."),
        ("Rome ({{IPA-it|x}}, founded 753) is old.", "Rome (founded 753) is old."),
        ("Rome {{citation needed}} is old {{nowrap|by now}}.", "Rome is old by now."),
        ("It is {{convert|5|km|mi}} long.", "It is 5 kilometres long."),
        ("{{lang|fr|Bonjour}} is French.", "Bonjour is French."),
        ("A&nbsp;b &amp; c &ndash; d.", "A b & c \u2013 d."),
        ("See [[File:a.jpg|thumb|A [[b]] c]] Rome.", "See Rome."),
        ("[[Category:Cities]]Rome is old.", "Rome is old."),
        ("Rome [http://x.org on the web] is old.", "Rome on the web is old."),
        ("Rome is old.<!-- not so -->", "Rome is old."),
        ("__NOTOC__Rome is old.", "Rome is old."),
        ("One line\ngoes on.", "One line goes on."),
        ("Rome is old. It has:\n* one\n* two", "Rome is old."),
        ("{| class=x\n| a\n|}\nRome is old.", "Rome is old."),
        ("Rome<br />is old.", "Rome is old."),
        ("''[[Alien: Covenant]]'' and [[Halo: Reach|it]].", "Alien: Covenant and it."),
        ("[[wikt:foo|The word]] is [[:fr:Rome|here]].", "The word is here."),
        ("Rome is old.[[fr:Rome]]", "Rome is old."),
        ("<gallery>\na.jpg|b\n</gallery>Rome is old.", "Rome is old."),
        ("<small>Rome</small> is H<sub>2</sub>O.", "Rome is H₂O."),
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
        "sentence left out: <math>": 1,
        "sentences left out": 1,
        "sentences read": 4,
        "paragraph with broken markup": 1,
    }


def test_bold_words_of_the_lead_are_names():
    article = clean_article("'''Rome''' or '''Roma''' is old.\n==A==\n'''Not''' this.", Counter())
    assert article.bold == ["Rome", "Roma"]


def test_sections_left_out_are_counted_and_prose_about_literature_is_kept():
    counts: Counter[str] = Counter()
    article = clean_article(
        "==Culture==\n===Literature===\nBooks are read.\n==Literature==\nA book.\n"
        "==References==\nA note.\n===Notes===\nAnother.",
        counts,
    )
    assert [p.section for p in article.paragraphs] == ["Culture > Literature"]
    assert counts["section left out: literature"] == 1
    assert counts["section left out: references"] == 1


def test_sections_are_left_out_by_the_words_of_the_wiki():
    source = "==Geschichte==\nSie ist alt.\n==Weblinks==\nEine Seite.\n==Einzelnachweise==\nDort."
    german = clean_article(source, Counter(), wiki=build_wiki("de"))
    assert [p.section for p in german.paragraphs] == ["Geschichte"]


@pytest.mark.parametrize(
    "wikitext",
    [
        "A ''b c.\n==H==\nThe ''d is.",
        "A '''b c.\n==H==\nThe d'' is.",
        "A b c.<!-- never closed\n==H==\nThe d is.",
        "<div>\nA b c.\n==H==\nThe d is.\n</div>",
    ],
)
def test_what_is_not_closed_hides_no_heading_and_leaks_nothing(wikitext):
    article = clean_article(wikitext, Counter())
    assert [(p.section, p.text) for p in article.paragraphs] == [
        ("", "A b c."),
        ("H", "The d is."),
    ]


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("[[Re:Zero]] and [[CSI:NY]] run.", "Re:Zero and CSI:NY run."),
        ("[[Paris, Texas|]] is a town.", "Paris is a town."),
        ("[[Mercury (planet)|]] is hot.", "Mercury is hot."),
        ("See [[File: a.jpg|thumb|A [[b]] c]] Rome.", "See Rome."),
        ("See [[image : a.jpg|thumb|Words]] Rome.", "See Rome."),
        ("L'''amour'' is old.", "L'amour is old."),
        ("The '''''Iliad''''' is old.", "The Iliad is old."),
        ("It is ''x''{{'s}} end.", "It is x's end."),
    ],
)
def test_links_and_apostrophes_keep_their_words(wikitext, text):
    assert text_of(wikitext) == text


GERMAN = build_wiki("de", "https://de.wikipedia.org", {6: "Datei", 14: "Kategorie", 2: "Benutzer"})


def test_a_german_page_is_read_by_its_own_words():
    (paragraph,) = clean_article(
        "[[Datei: x.jpg|mini|Ein [[Bild]] davon]]Die [[Ostsee]]küste hat [[Bild:y.jpg]]Strände und "
        "einen [[Benutzer:Ich|Wart]].[[Kategorie:Stadt]]",
        Counter(),
        wiki=GERMAN,
    ).paragraphs
    assert paragraph.text == "Die Ostseeküste hat Strände und einen Wart."
    assert [paragraph.text[li.start : li.end] for li in paragraph.links] == ["Ostseeküste"]


def test_a_link_ends_where_a_script_without_blanks_goes_on():
    article = clean_article("[[東京]]は日本の首都である。", Counter(), wiki=build_wiki("ja"))
    (paragraph,) = article.paragraphs
    assert [paragraph.text[li.start : li.end] for li in paragraph.links] == ["東京"]


@pytest.mark.parametrize(
    ("wikitext", "text", "reason"),
    [
        ("It was {{Inflation|US|5|1950}} then. Rome is old.", "Rome is old.", "{{inflation}}"),
        ("He said {{quote|Go}} and left. Rome is old.", "Rome is old.", "{{quote}}"),
        ("Rome is old. It has {{Foo bar|2}}. It is big.", "Rome is old. It is big.", "{{foo bar}}"),
        ("It is {{formatnum:{{Inflation|US|8|1861}}}}. Rome is.", "Rome is.", "{{inflation}}"),
        ("It is <math>x</math> long. Rome is old.", "Rome is old.", "<math>"),
        ("Rome is old. It is V<sub>f</sub>.", "Rome is old.", "<sub>"),
        ("Rome is old. It is {{convert|5|foos|bars}} long.", "Rome is old.", "{{convert}}"),
        ("Rome is. It is given by\n:x = y\nwhere y is.", "Rome is.", "a list or table follows"),
        ("Rome is old. It has the parts", "Rome is old.", "it does not end"),
    ],
)
def test_a_sentence_with_a_hole_goes_and_is_counted(wikitext, text, reason):
    counts: Counter[str] = Counter()
    (paragraph,) = clean_article(wikitext, counts).paragraphs
    assert paragraph.text == text
    assert counts[f"sentence left out: {reason}"] == 1
    assert counts["sentences left out"] == 1


def test_links_after_a_sentence_with_a_hole_move_with_their_words():
    (paragraph,) = clean_article(
        "[[Rome]] is old. It is {{foo}} on the [[Tiber]]. It lies in [[Italy]] by [[Ostia]].",
        Counter(),
    ).paragraphs
    links = [(paragraph.text[li.start : li.end], li.target) for li in paragraph.links]
    assert links == [("Rome", "Rome"), ("Italy", "Italy"), ("Ostia", "Ostia")]


def test_a_template_on_a_line_of_its_own_interrupts_no_sentence():
    counts: Counter[str] = Counter()
    article = clean_article(
        "{{Foo\n| a = b\n}}'''Rome''' is old.\n{{Foo}}\nIt is big.\n\n{{Foo}}\n\nIt is far.", counts
    )
    assert [p.text for p in article.paragraphs] == ["Rome is old. It is big.", "It is far."]
    assert "sentences left out" not in counts


def test_a_pronunciation_goes_in_brackets_and_is_printed_elsewhere():
    spoken = "{{IPAc-en|'|eɪ}}"
    assert text_of(f"A ({spoken} {{{{respell|AY}}}}; named ''a'') is one.") == "A (named a) is one."
    assert text_of(f"A {spoken}, or ''ay'', is one.") == "A /ˈeɪ/, or ay, is one."


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
