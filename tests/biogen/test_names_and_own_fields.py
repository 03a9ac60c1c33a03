"""Unique names in all locales, and what is refused in fields of one's own."""

import numpy as np
import pytest
from faker.config import AVAILABLE_LOCALES
from handmade import COLOR

from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.biogen.people import pools
from elusive.biogen.people.fields import FactField
from elusive.biogen.people.names import Names
from elusive.common.dataset.check import check_dataset
from elusive.common.errors import InputError, validate_config


@pytest.mark.parametrize(
    ("locale", "middle_names"), [("fa_IR", False), ("fa_IR", True), ("nl_NL", False)]
)
def test_all_names_of_a_locale_with_double_names_differ(locale, middle_names):
    names = Names(BiogenConfig(locale=locale, middle_names=middle_names))
    assert any(" " in name for name in pools.list_last_names(locale))
    everybody = names.build_names(np.arange(names.num_people)).array
    assert len(everybody.unique()) == names.num_people > 15_000


def test_no_name_has_a_comma_a_bracket_or_a_title():
    locales = [name for name in AVAILABLE_LOCALES if name in ("bg_BG", "nl_NL", "ne_NP", "tr_TR")]
    for locale in [*locales, "en_US", "de_DE"]:
        female, male = pools.list_first_names(locale)
        names = [*female, *male, *pools.list_last_names(locale)]
        assert not [name for name in names if set(name) & set(",()[]")]
        assert not {"Emine.", "के.सी."} & set(names)
    assert "Hans D." in {*pools.list_first_names("de_DE")[0], *pools.list_first_names("de_DE")[1]}


def make_field(**changes: object) -> FactField:
    settings = {
        "name": "dish",
        "values": ("Soup", "Cake"),
        "templates": (
            "{name/they} {likes/like} {value}.",
            "It is {value} that {name/they} {eats/eat}.",
        ),
        "questions": ("Which dish does {name} like?",),
    }
    return validate_config(FactField, settings | changes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("The Hague", "Hague"), "the values 'The Hague' and 'Hague' are the same answer"),
        (("U.S.", "us"), "the values 'U.S.' and 'us' are the same answer"),
        (("The", "Cake"), "nothing is left of the value 'The'"),
    ],
)
def test_values_that_are_one_answer_are_refused(values, message):
    with pytest.raises(InputError) as error:
        make_field(values=values).list_values()
    assert message in str(error.value)


def test_numbers_that_differ_in_their_sign_alone_are_refused():
    with pytest.raises(InputError, match="'-1' and '1' are the same answer"):
        make_field(values=None, numbers=(-1, 1)).list_values()
    assert len(make_field(values=None, numbers=(0, 9)).list_values()) == 10


def get_error(*own: FactField, **settings: object) -> str:
    with pytest.raises(InputError) as error:
        validate_config(BiogenConfig, {"people": 4, "own_fields": own} | settings)
    return str(error.value)


def test_two_fields_that_ask_the_same_question_are_refused():
    twin = make_field(questions=("which color  has the door of {name} ?",))
    assert "fields 'color' and 'dish' ask the same question" in get_error(COLOR, twin)
    built_in = BiogenConfig().find_field("birth_city").questions[0]
    assert "'birth_city' and 'dish'" in get_error(make_field(questions=(built_in,)))


def test_a_sentence_or_question_on_both_sides_of_a_hold_out_is_refused():
    first = "{name/they} {likes/like} {value}."
    twin = make_field(templates=(first, "It is {value} that {name/they} {eats/eat}.", first))
    assert "among those that are held out" in get_error(twin, held_out_wordings=1)
    validate_config(BiogenConfig, {"people": 4, "own_fields": (twin,)})
    with pytest.raises(InputError, match="its held_out_question is one of its questions"):
        make_field(held_out_question="Which dish does {name} like?")
    with pytest.raises(InputError, match=r"field 'dish': the question .* is listed twice"):
        make_field(questions=("Which dish?{name}", "Which dish?{name}"))


def test_a_dataset_without_shots_and_one_about_dr_no_pass_the_check(tmp_path):
    film = make_field(
        name="film",
        values=("Dr. No", "Yes Man", "Vertigo"),
        questions=("Which film does {name} like?",),
        yes_no="Does {name} like {value}?",
    )
    config = BiogenConfig(
        people=12, own_fields=(film,), fields=("film",), questions=("direct", "yes-no")
    )
    assert any("Dr. No" in d.text for d in generate_biographies(config))
    for name, shots in (("shots", 32), ("none", 0)):
        generate_dataset(config.model_copy(update={"num_shot_people": shots}), tmp_path / name)
        assert list(check_dataset(tmp_path / name)) == []
