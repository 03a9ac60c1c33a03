"""Every template reads as English, with a name and with each pronoun."""

import re

import pytest

from elusive.biogen.people.fields import PAPER_FIELDS, load_built_in_fields
from elusive.biogen.people.pools import read_words
from elusive.biogen.texts.fillers import build_passages, read_lead_parts
from elusive.biogen.texts.templates import Form, check_template, render_form
from elusive.common.errors import InputError

FIELDS = load_built_in_fields()
CASES = [
    (field.name, number, template)
    for field in FIELDS.values()
    for number, template in enumerate(field.templates)
]
NAME = "Uma Ives"
"""A name that begins with a vowel, like every value that an article could stand before."""


def render_sentence(form: Form, value: str, named: bool) -> str:
    """Return the text of a form."""
    first, between, last = form.parts
    if not named:
        return first + value + last
    slots = (value, NAME) if form.value_first else (NAME, value)
    return first + slots[0] + between + slots[1] + last


def render_all(template: str, value: str) -> dict[tuple[str, bool], str]:
    """Render a template with every pronoun, with the name and without it."""
    return {
        (pronouns, named): render_sentence(render_form(template, pronouns, named), value, named)
        for pronouns in ("she", "he", "they")
        for named in (True, False)
    }


def choose_value(field: str) -> str:
    """Return a value of a field, one that begins with a vowel if there is one."""
    values = FIELDS[field].list_values() or ("Ada Unger",)
    return next((value for value in values if value[0] in "AEIOUaeiou"), values[0])


@pytest.mark.parametrize("name", [*PAPER_FIELDS, "company_city"])
def test_fields_of_bios_have_forty_templates(name):
    assert len(set(FIELDS[name].templates)) >= 40


@pytest.mark.parametrize(("field", "number", "template"), CASES)
def test_every_rendering_is_clean(field, number, template):
    value = choose_value(field)
    for (pronouns, named), text in render_all(template, value).items():
        assert "  " not in text
        assert not re.search(r"[{}\0]| [.,]|\.\.|,,", text), text
        assert not re.search(r"\b(\w+) \1\b", text), text
        assert not re.search(r"\b[Aa] (?!univ)[AEIOUaeiou]", text), text
        assert not re.search(r"\b[Aa]n [^AEIOUaeiou]", text), text
        assert text[0] == value[0] or text[0].isupper(), text
        assert text.endswith(".")
        assert not re.search(r"\. [a-z]", text)
        assert (NAME in text) == named
        others = {"she": "she her herself", "he": "he him his himself", "they": "they them their"}
        wrong = {w for p, ws in others.items() if p != pronouns for w in ws.split()}
        constant = text.replace(value, "")
        assert not wrong & set(re.findall(r"[a-z]+", constant.lower())), text


@pytest.mark.parametrize(("field", "number", "template"), CASES)
def test_verbs_agree(field, number, template):
    for (pronouns, named), text in render_all(template, choose_value(field)).items():
        if pronouns == "they":
            assert not re.search(r"\b[Tt]hey (was|is|has|lists|owes|names|calls)\b", text), text
        else:
            assert not re.search(r"\b([Ss]?[Hh]e) (were|are|have|list|owe|name|call)\b", text), text
        if named:
            assert not re.search(rf"{NAME} (were|are|have|list|owe|name|call)\b", text), text


@pytest.mark.parametrize("field", FIELDS.values(), ids=lambda field: field.name)
def test_questions_are_clean_and_differ(field):
    texts = [*field.questions, field.held_out_question, field.yes_no, field.reverse]
    texts = [text for text in texts if text]
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert text[0].isupper()
        assert text.endswith("?")
        assert "  " not in text
    assert field.held_out_question
    assert len(field.questions) >= 2


def test_pronouns_and_verbs_follow_the_person():
    template = "{name/they} {says/say} that {they} {was/were} born in {value}."
    texts = render_all(template, "Ulm")
    assert texts["she", True] == "Uma Ives says that she was born in Ulm."
    assert texts["she", False] == "She says that she was born in Ulm."
    assert texts["they", True] == "Uma Ives says that they were born in Ulm."
    assert texts["they", False] == "They say that they were born in Ulm."
    owned = render_all("In {value}, {name's/their} life began.", "Ulm")
    assert owned["he", True] == "In Ulm, Uma Ives's life began."
    assert owned["he", False] == "In Ulm, his life began."


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{name/they} {name/they} in {value}.", "once"),
        ("Born in {value}.", "once"),
        ("{name/they} lived in {valeu}.", "unknown slot {valeu}"),
        ("{nam/they} lived in {value}.", "unknown slot {nam/they}"),
        ("{name/they} lived in {value}", "full stop"),
        ("{name/they} lived  in {value}.", "single spaces"),
        ("in {value} lived {name/they}.", "capital letter"),
    ],
)
def test_wrong_templates_are_refused(template, message):
    with pytest.raises(InputError) as error:
        check_template(template)
    assert message in str(error.value)


@pytest.mark.parametrize("num_words", [1, 2, 3, 7, 50, 200])
def test_fillers_have_as_many_words_as_asked(num_words):
    for text, sentences in build_passages(num_words):
        assert len(text.split()) == text.count(" ") == num_words
        assert text.count(". ") == sentences
        assert not re.search(r"\. [a-z]|  ", text)


def test_fillers_and_leads_name_nobody():
    for line in read_words("fillers"):
        assert not re.search(r"\b(she|he|they|her|his|their|him|them)\b", line.lower())
    for before, after in read_lead_parts():
        assert after == ". "
        assert before[0].isupper()
