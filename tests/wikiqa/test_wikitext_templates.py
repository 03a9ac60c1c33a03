"""Templates are printed as Wikipedia prints them, or leave a hole: never half of what they say."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elusive.wikiqa.wikitext.clean import clean_article
from elusive.wikiqa.wikitext.computed import COMPUTED
from elusive.wikiqa.wikitext.marks import MARKS
from elusive.wikiqa.wikitext.namespaces import build_wiki
from elusive.wikiqa.wikitext.prose import LEFTOVER
from elusive.wikiqa.wikitext.tables import load_table, split_names
from elusive.wikiqa.wikitext.templates import find_pattern, sort_template


def text_of(wikitext: str, language: str = "en") -> str:
    """The text of all paragraphs; empty if the only sentence is left out."""
    article = clean_article(wikitext, Counter(), wiki=build_wiki(language))
    return " ".join(paragraph.text for paragraph in article.paragraphs)


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("5.98{{e|24}} kg", "5.98×10²⁴ kg"),
        ("10<sup>11</sup>", "10¹¹"),
        ("the 9<sup>th</sup>", "the 9th"),
        ("{{convert|5|to|10|km}}", "5 to 10 kilometres"),
        ("{{convert|6|ft|2|in}}", "6 feet 2 inches"),
        ("{{convert|6|ft|2|in|abbr=on}}", "6 ft 2 in"),
        ("{{convert|2413|ft|0|abbr=on}}", "2,413 ft"),
        ("{{convert|52419|sqmi|km2|abbr=out|sp=us}}", "52,419 square miles"),
        ("{{convert|5|km|sp=us}}", "5 kilometers"),
        ("a {{convert|5|km|adj=on}} road", "a 5-kilometre road"),
        ("{{convert|-40|C|0}}", "−40 °C"),
        ("{{convert|1|mi|km}}", "1 mile"),
        ("{{convert|2|e6acre|e6ha|abbr=off}}", "2 million acres"),
        ("{{convert|8.5|x|11|in|abbr=on}}", "8.5 × 11 in"),
        ("{{cvt|5|km}}", "5 km"),
        ("{{nowrap|1=a = b}}", "a = b"),
        ("{{formatnum:12000}}", "12,000"),
        ("{{As of|2015}}, it", "As of 2015, it"),
        ("{{as of|2015|7|lc=y}}", "as of July 2015"),
        ("{{As of|2015|7|5|df=US}}", "As of July 5, 2015"),
        ("{{nihongo|'''Tower'''|東京タワー|Tōkyō tawā}}", "Tower (東京タワー, Tōkyō tawā)"),
        ("{{ill|Ostsee|de|Ostsee (Meer)|lt=the sea}}", "the sea"),
        ("{{ill|de|Baltic Sea|Ostsee}}", "Baltic Sea"),
        ("{{HMS|Ajax|22|6}}", "HMS Ajax"),
        ("{{HMS|Ajax|22}}", "HMS Ajax (22)"),
        ("{{US$|2 billion}}", "US$2 billion"),
        ("{{chem|SO|4|2-}}", "SO₄²⁻"),
        ("{{chem|NH|4|+}}", "NH₄⁺"),
        ("{{chem|C|''n''|H|2''n''+2}}", "CₙH₂ₙ₊₂"),
        ("{{chem2|H2SO4}}", "H₂SO₄"),
        ("{{chem2|SO4(2-)}}", "SO₄²⁻"),
        ("{{val|1.2|0.3|e=6|u=kg}}", "(1.2±0.3)×10⁶ kg"),
        ("{{val|6.241|e=18}}", "6.241×10¹⁸"),
        ("{{angbr|a}}", "⟨a⟩"),
        ("{{OldStyleDate|26 July|1712|15 July}}", "26 July [O.S. 15 July] 1712"),
        ("{{abbr|Jan|January}}", "Jan"),
        ("{{frac|3|1|2}}", "3 1⁄2"),
        ("{{sic|recieve|hide=y}}", "recieve"),
        ("{{lang-ru|космонавт|kosmonavt}}", "Russian: космонавт, romanized: kosmonavt"),
        ("{{transl|ar|ALA|Allāh}}", "Allāh"),
        ("{{zh|t=臺灣|p=Táiwān}}", "traditional Chinese: 臺灣; pinyin: Táiwān"),
        ("{{RailGauge|1435mm}}", "1,435 mm"),
        ("{{circa|1900}}", "c. 1900"),
        ("{{bibleverse||Mark|3:25}} and {{bibleref|Mark|3:25|9}}", "Mark 3:25 and Mark 3:25"),
        ("{{nowrap|{{convert|5|km}}}}", "5 kilometres"),
        ("{{#if:x|yes|no}}", "yes"),
    ],
)
def test_a_known_template_is_printed(wikitext, text):
    assert text_of(f"It is {wikitext}.") == f"It is {text}."


def test_numbers_are_printed_as_the_language_writes_them():
    assert text_of("Es sind {{formatnum:1048576.5}}.", "de") == "Es sind 1.048.576,5."
    assert text_of("Il y a {{formatnum:1048576.5}} ans.", "fr") == "Il y a 1 048 576,5 ans."


def test_a_name_means_in_another_wiki_what_it_means_there():
    assert text_of('Das ist {{"|gut}}.', "de") == "Das ist „gut“."
    assert text_of("Il vit au {{s|XIX}}.", "fr") == "Il vit au XIXe siècle."
    assert text_of("Der Wert ist 5{{e|24}}.", "de") == ""


@pytest.mark.parametrize(
    "wikitext",
    [
        "{{convert|about 5|km}}", "{{convert|5|km|mi|disp=out}}", "{{convert|5|zorks}}",
        "{{convert|5|to|x|km}}", "{{chem|SO|?}}", "{{val|5|+1|-2}}", "{{as of|soon}}",
        "{{HMS|Ajax|22|4}}", "{{music|time|4|4}}", "{{age|1969|7|20}}", "{{CURRENTYEAR}}",
        "{{lang-zzz|x}}", "{{frac|a|b}}", "{{coord|1|2}}", "{{#expr:1+1}}", "{{{1}}}",
    ],
)  # fmt: skip
def test_what_a_template_prints_is_not_guessed(wikitext):
    assert text_of(f"It is {wikitext} long.") == ""


def list_known_names() -> list[tuple[str, str]]:
    """Every name of the table with its language."""
    table = load_table("templates")
    names = [
        (scope, name)
        for scope, patterns in table["printed"].items()
        for line in patterns
        for name in split_names(line)
    ]
    for kind in ("silent", "pronounced"):
        for scope, text in table[kind].items():
            names += [(scope, name) for name in split_names(" ".join(text.split()))]
    return names + [("en", name) for name in COMPUTED]


KNOWN = list_known_names()
ARGUMENTS = st.one_of(
    st.sampled_from(
        [
            "", "1", "-5.5", "2e6", "1/2", "x", "to", "km", "ft", "in", "2015", "de", "[[Rome]]",
            "[[Rome|it]]", "''x''", "<sup>2</sup>", "{{nowrap|a}}", "{{foo}}", "<ref>n</ref>", "é",
            "lt=y", "abbr=on", "1=z", "disp=out", "adj=on", "u=kg", "e=6", "{{{1|}}}", "&nbsp;",
            "中", "+", "7",
        ]
    ),
    st.text(
        st.characters(
            exclude_characters="{}[]<>|='&#:;*!\n",
            exclude_categories=["C", "Z"],
            max_codepoint=0x2FFF,
        ),
        max_size=6,
    ),
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(KNOWN), st.lists(ARGUMENTS, max_size=5))
def test_no_call_of_a_known_template_raises_or_leaks(known, arguments):
    scope, name = known
    source = "|".join([name.replace("*", ""), *arguments])
    article = clean_article(
        f"Rome is old. It is {{{{{source}}}}} here. It is big.",
        Counter(),
        wiki=build_wiki("en" if scope == "any" else scope),
    )
    text = " ".join(paragraph.text for paragraph in article.paragraphs)
    assert text.startswith("Rome is old.")
    assert text.endswith("It is big.")
    assert not MARKS.search(text)
    assert not LEFTOVER.search(text)


def test_the_table_is_consistent():
    for scope, name in KNOWN:
        language = "en" if scope == "any" else scope
        name = name.replace("*", "x")
        assert name == name.casefold()
        assert sort_template(name, language) != "unknown"
        if sort_template(name, language) == "printed":
            assert find_pattern(name, language)
    for code, unit in load_table("units").items():
        assert len(split_names(unit)) in (1, 3), code
