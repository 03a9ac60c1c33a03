"""Settings that do not fit are refused in one clear line; users can add fields of their own."""

import pytest
from handmade import COLOR

from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.fields import PAPER_FIELDS, FactField
from elusive.biogen.questions import generate_questions
from elusive.common.errors import InputError, validate_config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"people": 700_000}, "ask for at most 676960, or add middle_names"),
        ({"people": 20_000_000}, "the most people that can be numbered"),
        ({"start": 9_999_999, "people": 2}, "the most people that can be numbered"),
        ({"people": 400_000, "distractors": 1}, "ask for at most 338480"),
        ({"people": 3000, "people_per_first_name": 4}, "ask for at most 2668"),
        ({"locale": "pl_PL"}, "too few last names for locale 'pl_PL' (1)"),
        ({"locale": "en_UK"}, "unknown locale 'en_UK': did you mean 'en_US'"),
        ({"locale": "am_ET"}, "Faker has no names for locale 'am_ET', only those of en_US"),
        ({"locale": "lt_LT"}, "has no separate first names for women and men"),
        ({"held_out_wordings": 43}, "ask for at most 42"),
        ({"distance": (4,)}, "ask for at least 10"),
        ({"distance": (0,)}, "distance: should be at least 1 word (got 0)"),
        ({"distance": (40,), "fullname": True}, "distance and fullname exclude each other"),
        ({"distance": (40,), "name_position": "any"}, "distance and name_position exclude"),
        ({"fullname": True, "name_position": "last"}, "fullname and name_position exclude"),
        ({"two_hop_rate": 0.5}, "add --fields company_city"),
        ({"fields": ("company_city",), "two_hop_rate": 0.5}, "add --fields company"),
        ({"questions": ("multi-hop",)}, "ask nothing about fields birth_date"),
        ({"wordings": 44}, "wordings 44 is more than any of the fields has: ask for at most 43"),
        ({"phrasings": 9}, "phrasings 9 is more than any of the fields has: ask for at most 4"),
        ({"multi": 5}, "would repeat one text: add --wordings 43 or --permute"),
        ({"fields": ("company,major",)}, "repeat the option for each field"),
        ({"locale": "is_IS"}, "too few last names for locale 'is_IS' (1)"),
        (
            {"fields": ("sibling",), "distractors": 1},
            "distractors needs a field that is not a relation",
        ),
    ],
)
def test_what_cannot_be_had_is_one_clear_error(settings, message):
    with pytest.raises(InputError) as error:
        next(generate_biographies(validate_config(BiogenConfig, settings)))
    assert message in str(error.value)


def test_a_relation_of_ones_own_is_asked_by_its_own_noun():
    spouse = FactField(
        name="spouse",
        relation="sibling",
        templates=("{name/they} {is/are} married to {value}.",),
        questions=("Whom did {name} marry?",),
    )
    config = BiogenConfig(people=4, own_fields=(spouse,), questions=("multi-hop",))
    questions = [q for q in generate_questions(config) if q.field == "spouse.birth_date"]
    assert len(questions) == 4
    assert all(q.question == f"When was the spouse of {q.entity} born?" for q in questions)
    first = next(generate_biographies(config))
    assert first.text.count(first.entity) == 1


def test_fields_of_ones_own_are_stated_and_asked():
    number = FactField(
        name="badge",
        numbers=(1000, 9999),
        templates=("{name/they} {wears/wear} badge {value}.",),
        questions=("Which badge does {name} wear?",),
    )
    color = FactField(
        name="shade",
        faker="color_name",
        templates=("{name's/their} shade is {value}.",),
        questions=("Which shade has {name}?",),
    )
    config = BiogenConfig(people=5, own_fields=(number, color))
    assert config.fields == (*PAPER_FIELDS, "badge", "shade")
    for document in generate_biographies(config):
        facts = {fact.field: fact.value for fact in document.facts}
        assert 1000 <= int(facts["badge"]) <= 9999
        assert f"shade is {facts['shade']}." in document.text
    only = BiogenConfig(people=5, own_fields=(number, color), fields=("badge",))
    assert only.fields == ("badge",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": None}, "give exactly one of values, pool"),
        ({"numbers": (1, 5)}, "(got values and numbers)"),
        ({"templates": ("{name/they} is red.",)}, "should have {value} once"),
        ({"templates": ("{nmae/they} is {value}.",)}, "has an unknown slot"),
        ({"templates": ("{name/they} is {value}",)}, "should end in a full stop"),
        (
            {"templates": ("{value} suits {name/them}.",)},
            "has no capital letter: reword the template",
        ),
        ({"questions": ("What?",)}, "should have {name} and no other slot"),
        ({"reverse": "Who is it?"}, "should have {value} and no other slot"),
        ({"values": ("a", "")}, "the value '' should be text"),
        ({"values": ("a", "b  c")}, "single spaces and without braces"),
        ({"values": ("a", "b", "a")}, "lists the value 'a' twice"),
        ({"values": None, "pool": "citys"}, "did you mean 'cities'?"),
        ({"values": None, "faker": "colour_of_night"}, "Faker has no method"),
        ({"values": None, "numbers": (5, 5)}, "different numbers"),
        ({"depends_on": "company_city"}, "which is not drawn by itself"),
        ({"name": "company"}, "has the name of another field"),
    ],
)
def test_wrong_fields_are_one_clear_error(changes, message):
    settings = {"people": 1, "own_fields": [COLOR.model_dump() | changes]}
    with pytest.raises(InputError) as error:
        next(generate_biographies(validate_config(BiogenConfig, settings)))
    assert message in str(error.value)
