"""The position of every fact is exact, and questions do not leak their answers."""

import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from handmade import COLOR
from hypothesis import example, given, settings
from hypothesis import strategies as st

from elusive.augment.clue_spans import split_sentences
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.compiled_config import compile_config
from elusive.biogen.config import BiogenConfig, QuestionKind
from elusive.biogen.people import pools
from elusive.biogen.people.draw import draw_people
from elusive.biogen.people.fields import PAPER_FIELDS, list_built_in_names, load_built_in_fields
from elusive.biogen.people.names import Names
from elusive.biogen.questions import generate_questions, generate_shots
from elusive.biogen.texts.sentence_templates import PRONOUN_ORDER
from elusive.common.seeding import draw_integers, hashed, permute_items
from elusive.common.text.text_spans import find_whole_words

QUESTION_KINDS: list[tuple[QuestionKind, ...]] = [
    ("direct",),
    ("direct", "yes-no"),
    ("reverse", "multi-hop", "direct"),
    ("multi-hop", "yes-no", "reverse", "direct"),
]


@st.composite
def configs(draw: st.DrawFn) -> BiogenConfig:
    """Draw any small config that biogen accepts."""
    own = (COLOR,) if draw(st.booleans()) else ()
    names = [*list_built_in_names(), *(field.name for field in own)]
    fields = draw(st.permutations(names).flatmap(lambda p: st.integers(1, 7).map(lambda n: p[:n])))
    if own and "color" not in fields:
        fields = [*fields, "color"]
    most = max(len((load_built_in_fields() | {"color": COLOR})[name].templates) for name in fields)
    multi = draw(st.integers(1, 3))
    two_hop = {"company", "company_city"} <= set(fields)
    layout = draw(st.sampled_from(["named", "fullname", "distance"]))
    drawn = any(load_built_in_fields()[f].relation is None for f in fields if f != "color") or own
    sharing = draw(st.sampled_from(["none", "middle", "first", "last", "both"]))
    return BiogenConfig(
        people=draw(st.integers(1, 9)),
        start=draw(st.integers(0, 50)),
        seed=draw(st.integers(0, 2**40)),
        locale=draw(st.sampled_from(["en_US", "de_DE", "es_ES"])),
        middle_names=sharing == "middle",
        people_per_first_name=draw(st.integers(1, 4)) if sharing in ("first", "both") else None,
        people_per_last_name=draw(st.integers(1, 4)) if sharing in ("last", "both") else None,
        they_rate=draw(st.sampled_from([0, 0.5, 1])),
        fields=tuple(fields),
        own_fields=own,
        wordings=draw(st.sampled_from([1, 2, most])) if multi == 1 else 2,
        held_out_wordings=draw(st.sampled_from([0, 1])) if not own else 0,
        multi=multi,
        permute=draw(st.booleans()),
        fullname=layout == "fullname",
        name_position=draw(st.sampled_from(["first", "any", "last"]))
        if layout == "named"
        else "first",
        distance=tuple(draw(st.lists(st.integers(15, 60), min_size=1, max_size=2)))
        if layout == "distance"
        else (),
        distractors=draw(st.integers(0, 2)) if drawn else 0,
        two_hop_rate=draw(st.sampled_from([0, 0.5])) if two_hop else 0,
        questions=draw(st.sampled_from(QUESTION_KINDS)),
        phrasings=1 if fields == ["color"] else draw(st.integers(1, 2)),
        held_out_phrasing=draw(st.booleans()),
        num_shot_people=draw(st.integers(0, 8)),
        dev_rate=draw(st.floats(0, 0.99)),
    )


@dataclass(frozen=True)
class Person:
    """A person of the corpus, as drawn, before any text is built."""

    name: str
    pronouns: str
    values: dict[str, str]


def draw_all(config: BiogenConfig) -> list[Person]:
    """Draw the people of a config, in order."""
    compiled = compile_config(config)
    people = draw_people(compiled, np.arange(config.start, config.start + config.people))
    columns = [people.names, *people.value_pieces.T]
    rows = zip(*(people.strings.take(column).to_pylist() for column in columns), strict=True)
    return [
        Person(name, PRONOUN_ORDER[pronouns], dict(zip(config.fields, values, strict=True)))
        for (name, *values), pronouns in zip(rows, people.pronouns, strict=True)
    ]


def read_values(config: BiogenConfig) -> dict[str, dict[str, str]]:
    """Return the values of each person of a config, by name."""
    return {person.name: person.values for person in draw_all(config)}


@settings(deadline=None)
@given(configs())
def test_every_span_reads_what_it_should_and_no_mention_is_missed(config):
    known = read_values(config)
    for document in generate_biographies(config):
        text = document.text
        heads = [text[start:end] for start, end in document.heads]
        assert heads
        assert set(heads) == {document.entity}
        spans = [*document.heads, *document.others, *((f.start, f.end) for f in document.facts)]
        for start, end in find_whole_words(text, [document.entity]):
            assert any(begin <= start and end <= stop for begin, stop in spans)
        for fact in document.facts:
            assert text[fact.start : fact.end] == fact.value == known[document.entity][fact.field]
        assert all(text[start:end] != document.entity for start, end in document.others)
        assert len(document.others) == config.distractors


@settings(deadline=None)
@given(configs())
def test_distances_and_positions_are_those_of_the_text(config):
    for document in generate_biographies(config):
        for fact in document.facts:
            ends = [end for _, end in document.heads if end <= fact.start]
            words = document.text[max(ends) : fact.start].count(" ") if ends else None
            assert fact.distance == words
            assert not config.distance or fact.distance in config.distance
        positions = [fact.position for fact in document.facts]
        assert positions == sorted(set(positions))
        values = [fact.value for fact in document.facts]
        if not any(". " in value for value in [*values, document.entity]) and not document.others:
            ends = [document.text[: fact.start].count(". ") for fact in document.facts]
            assert ends == positions


@settings(deadline=None)
@given(configs())
def test_every_field_is_stated_once_unless_it_is_left_out(config):
    for document in generate_biographies(config):
        stated = [fact.field for fact in document.facts]
        missing = set(config.fields) - set(stated)
        assert len(stated) == len(set(stated))
        assert missing <= ({"company_city"} if config.two_hop_rate else set())
        if not config.permute:
            assert stated == [field for field in config.fields if field in stated]


@settings(deadline=None)
@given(configs())
def test_a_person_does_not_depend_on_the_others(config):
    everyone = draw_all(config)
    last = config.model_copy(update={"start": config.start + len(everyone) - 1, "people": 1})
    assert draw_all(last) == everyone[-1:]
    per_person = config.documents_per_person
    assert list(generate_biographies(last)) == list(generate_biographies(config))[-per_person:]
    assert len({person.name for person in everyone}) == config.people


@settings(deadline=None)
@given(configs())
def test_questions_split_by_person_and_shots_are_about_others(config):
    questions, shots = list(generate_questions(config)), list(generate_shots(config))
    names = set(read_values(config))
    assert {question.entity for question in questions} <= names
    dev, test = ({q.entity for q in questions if q.split == split} for split in ("dev", "test"))
    assert not dev & test
    assert not {shot.entity for shot in shots} & names
    assert len({question.question_id for question in questions}) == len(questions)
    assert {q.kind for q in questions} | {s.kind for s in shots} <= set(config.questions)
    phrased = {(s.field, s.question.replace(s.entity, "")) for s in shots if s.kind == "direct"}
    for question in questions:
        unnamed = question.question
        if question.kind != "reverse":
            unnamed = unnamed.replace(question.entity, "")
        for answer in question.answers:
            assert not list(find_whole_words(unnamed, [answer]))
        if question.held_out:
            assert (question.field, unnamed) not in phrased


@settings(deadline=None)
@given(configs())
@example(BiogenConfig(people=1, start=5, seed=4148, fields=("birth_city", "sport"),
                      questions=("direct", "yes-no")))  # fmt: skip
def test_answers_are_true(config):
    known = read_values(config)
    corpus = [fact for document in generate_biographies(config) for fact in document.facts]
    asking = {field.name: field.yes_no or "" for field in compile_config(config).fields}
    for question in generate_questions(config):
        values = known[question.entity]
        if question.kind == "direct":
            assert question.answers[0] == values[question.field]
            if question.hops == 2:
                assert any(fact.field == question.field for fact in corpus)
        elif question.kind == "yes-no":
            # In its place: "polo" is not what "water polo" asks about.
            before, after = (
                re.sub(r"\\\{.*?\\\}", ".+", re.escape(part))
                for part in asking[question.field].split("{value}")
            )
            value = re.escape(values[question.field])
            is_true = re.fullmatch(f"{before}(an? )?{value}{after}", question.question)
            assert question.answers == ["yes" if is_true else "no"]
        elif question.kind == "reverse":
            owners = [
                name for name, other in known.items() if other[question.field] in question.question
            ]
            assert question.entity in owners
            assert question.answers == [question.entity]
        else:
            relation, field = question.field.split(".")
            assert question.answers[0] == known[values[relation]][field]
            assert question.hops == 2


def test_relations_hold_in_both_directions():
    fields = ("company", "company_city", "sibling", "colleague")
    known = read_values(BiogenConfig(people=8, fields=fields))
    for name, values in known.items():
        assert known[values["sibling"]]["sibling"] == name
        colleague = known[values["colleague"]]
        assert colleague["colleague"] == name
        assert colleague["company"] == values["company"]
        assert values["sibling"] != values["colleague"]


def test_the_companys_city_is_a_function_of_the_company():
    config = BiogenConfig(people=3000, fields=("company", "company_city"))
    pairs = {
        (person.values["company"], person.values["company_city"]) for person in draw_all(config)
    }
    assert len(pairs) == len({company for company, _ in pairs}) > 250
    assert len({city for _, city in pairs}) > 200


def test_pronouns_agree_with_the_first_name_and_none_with_they():
    female, male = (set(names) for names in pools.list_first_names("en_US"))
    first_names = {}
    for person in draw_all(BiogenConfig(people=400, they_rate=0.25)):
        first_names.setdefault(person.pronouns, []).append(person.name.split()[0])
    assert set(first_names["she"]) <= female
    assert set(first_names["he"]) <= male
    assert len(first_names["they"]) == pytest.approx(100, abs=30)
    assert not female & male


@pytest.mark.parametrize(
    ("position", "expected"), [("first", {0}), ("last", {4}), ("any", set(range(5)))]
)
def test_the_name_stands_where_it_was_asked_for(position, expected):
    documents = generate_biographies(BiogenConfig(people=200, name_position=position, wordings=43))
    positions = [document.text[: document.heads[0][0]].count(". ") for document in documents]
    assert set(positions) == expected


def test_fullname_has_the_name_in_every_sentence():
    for document in generate_biographies(BiogenConfig(people=20, fullname=True, wordings=43)):
        assert len(document.heads) == 5


def test_distances_and_length_are_those_of_the_papers_corpus():
    documents = list(generate_biographies(BiogenConfig(people=500)))
    lengths = [len(document.text.split()) for document in documents]
    assert sum(lengths) / 500 == pytest.approx(49, abs=1)
    means = [sum(d.facts[i].distance or 0 for d in documents) / 500 for i in range(5)]
    assert means == pytest.approx([5, 14, 25, 37, 45], abs=1.5)


def test_a_chosen_distance_does_not_depend_on_the_field():
    config = BiogenConfig(people=300, distance=(12, 50))
    facts = [fact for document in generate_biographies(config) for fact in document.facts]
    for field in PAPER_FIELDS:
        distances = [fact.distance for fact in facts if fact.field == field]
        assert distances.count(50) / len(distances) == pytest.approx(0.5, abs=0.1)


def test_documents_of_one_person_differ_in_wording():
    config = BiogenConfig(people=5, multi=5, wordings=43, held_out_wordings=3)
    documents = list(generate_biographies(config))
    for number in range(5):
        own = documents[6 * number : 6 * number + 6]
        assert [document.split for document in own] == ["train"] * 5 + ["dev"]
        for field in range(5):
            assert len({document.templates[field] for document in own}) == 6


def test_held_out_wordings_are_in_no_training_document():
    config = BiogenConfig(people=200, multi=3, wordings=43, held_out_wordings=2)
    used = {split: set() for split in ("train", "dev")}
    for document in generate_biographies(config):
        used[document.split] |= set(document.templates)
    assert not used["train"] & used["dev"]
    assert len(used["dev"]) == 10


def test_sentences_come_in_random_order_only_if_asked():
    fixed, random = (
        {tuple(fact.field for fact in document.facts) for document in generate_biographies(config)}
        for config in (BiogenConfig(people=200), BiogenConfig(people=500, permute=True))
    )
    assert fixed == {PAPER_FIELDS}
    assert len(random) > 100


def test_after_another_person_the_name_is_said_again():
    config = BiogenConfig(people=50, distractors=2, wordings=43)
    for document in generate_biographies(config):
        mentions = sorted(
            [(s, True) for s, _ in document.heads] + [(s, False) for s, _ in document.others]
        )
        for (other, is_head), (following, named) in pairwise(mentions):
            between = [f for f in document.facts if other < f.start < following]
            if not is_head:
                positions = {f.position for f in between}
                assert len(positions) <= int(named)


@pytest.mark.parametrize(("first", "last"), [(4, None), (None, 3), (5, 2)])
def test_as_many_people_share_a_name_as_asked(first, last):
    config = BiogenConfig(people=60, people_per_first_name=first, people_per_last_name=last)
    names = [person.name.split() for person in draw_all(config)]
    assert len({tuple(name) for name in names}) == 60
    for index, count in ((0, first), (-1, last)):
        counts = np.unique([name[index] for name in names], return_counts=True)[1]
        if count:
            assert set(counts) == {count}


def test_ten_million_people_have_names_of_their_own():
    names = Names(BiogenConfig(people=1, middle_names=True))
    assert names.num_people > 10_000_000
    cells = permute_items(np.arange(200_000), names.num_people, key=3)
    assert len(np.unique(cells)) == 200_000
    full_names = names.build_names(np.arange(9_800_000, 10_000_000)).array.to_pylist()
    assert len(set(full_names)) == 200_000
    parts = [name.split() for name in full_names[:1000]]
    assert all(len(set(names)) == 3 for names in parts if len(names) == 3)


@pytest.mark.parametrize("locale", ["de_DE", "es_ES", "ru_RU", "zh_CN", "hi_IN"])
def test_names_of_other_locales_are_located_too(locale):
    for document in generate_biographies(BiogenConfig(people=30, locale=locale, fullname=True)):
        assert {document.text[s:e] for s, e in document.heads} == {document.entity}


def test_another_seed_changes_names_and_values():
    first, second = (draw_all(BiogenConfig(people=50, seed=seed)) for seed in (0, 1))
    assert not {person.name for person in first} & {person.name for person in second}
    assert not any(a.values == b.values for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("size", [1, 2, 3, 100, 1000])
def test_the_permutation_of_names_is_a_bijection(size):
    for key in (11, 2**63 + 1):
        assert sorted(permute_items(np.arange(size), size, key)) == list(range(size))
    keys = hashed(5, np.arange(size) % 2)
    both = permute_items(np.arange(size), size, keys)
    for parity in (0, 1):
        own = both[parity::2]
        assert len(set(own)) == len(own)


def test_random_integers_are_spread_evenly():
    counts = np.bincount(draw_integers(10, 7, np.arange(100_000)), minlength=10)
    assert counts.min() > 9_600
    assert counts.max() < 10_400
    pairs = draw_integers(10, 7, np.arange(100_000)) * 10 + draw_integers(10, 8, np.arange(100_000))
    assert np.bincount(pairs, minlength=100).min() > 850


@pytest.mark.parametrize("count", [1, 2, 3, 6, 16, 100, 101])
@pytest.mark.parametrize("rate", [0, 0.2, 0.5, 0.99])
def test_dev_people_are_as_many_as_the_rate_says(count, rate):
    questions = generate_questions(BiogenConfig(people=count, dev_rate=rate, fields=("major",)))
    splits = [question.split for question in questions]
    assert "test" in splits
    assert ("dev" in splits) == (rate > 0 and count > 1)
    assert abs(splits.count("dev") - rate * count) <= 1


def test_relatives_are_in_the_same_split():
    config = BiogenConfig(people=40, fields=("major", "sibling", "colleague"))
    splits = {question.entity: question.split for question in generate_questions(config)}
    assert set(splits.values()) == {"dev", "test"}
    for name, values in read_values(config).items():
        assert splits[name] == splits[values["sibling"]] == splits[values["colleague"]]


def test_reverse_questions_are_asked_only_where_one_person_fits():
    config = BiogenConfig(people=400, questions=("reverse",))
    known = read_values(config)
    questions = list(generate_questions(config))
    for question in questions:
        value = known[question.entity][question.field]
        assert value in question.question
        assert [values[question.field] for values in known.values()].count(value) == 1
    num_unique = sum(
        [values[field] for values in known.values()].count(value) == 1
        for field in PAPER_FIELDS
        for value in {values[field] for values in known.values()}
    )
    assert len(questions) == num_unique > 0


def test_two_hop_questions_can_be_answered_from_other_texts():
    config = BiogenConfig(people=600, fields=("company", "company_city"), two_hop_rate=0.5)
    cities = {}
    for document in generate_biographies(config):
        facts = {fact.field: fact.value for fact in document.facts}
        if len(facts) == 2:
            cities[facts["company"]] = facts["company_city"]
    known = read_values(config)
    two_hop = [question for question in generate_questions(config) if question.hops == 2]
    assert 200 < len(two_hop) < 400
    for question in two_hop:
        assert cities[known[question.entity]["company"]] == question.answers[0]


def test_dates_have_other_writings_and_universities_an_article():
    by_field = {q.field: q for q in generate_questions(BiogenConfig(people=1))}
    first, *others = by_field["birth_date"].answers
    day, year = first.split(" ", 1)[1].split(", ")
    assert others[0] == f"{day} {first.split()[0]} {year}"
    assert others[1].startswith(f"{year}-")
    value = by_field["university"].answers[0]
    assert by_field["university"].answers == [value, f"the {value}"]


def test_yes_and_no_are_equally_often_right():
    questions = list(generate_questions(BiogenConfig(people=400, questions=("yes-no",))))
    share = sum(question.answers == ["yes"] for question in questions) / len(questions)
    assert share == pytest.approx(0.5, abs=0.05)


def test_the_first_biography_is_known():
    """A golden text: if you change it on purpose, record that in CHANGELOG.md."""
    first = next(generate_biographies(BiogenConfig(people=1)))
    assert first.text == (
        "Haley Cooley came into the world on August 16, 1902. "
        "She drew her first breath in Guli. "
        "She later went on to earn her degree from South Dakota State University. "
        "She chose to devote most of her studies to Environmental Science. "
        "She had a professional role at Vargas Inc."
    )


def test_a_pronoun_follows_someone_else_only_where_it_means_the_person_alone():
    female, _ = pools.list_first_names("en_US")
    asked = {"people": 300, "distractors": 3, "name_position": "any"}
    always = generate_biographies(BiogenConfig(**asked))
    followed = set()
    for full, short in zip(
        always, generate_biographies(BiogenConfig(**asked, repeat_name="if-unclear")), strict=True
    ):
        assert len(short.heads) <= len(full.heads)
        names = [
            [document.text[slice(*span)] for span in document.others] for document in (full, short)
        ]
        assert names[0] == names[1]
        own, unnamed = short.entity.split()[0] in female, set()
        for start, end in split_sentences(short):
            about = [short.text[slice(*span)] for span in short.others if start <= span[0] < end]
            if any(start <= first < end for first, _ in short.heads):
                unnamed = set()
            elif about:
                unnamed |= {name.split()[0] in female for name in about}
            else:
                followed |= {(own, other) for other in unnamed}
                unnamed = set()
    assert followed == {(True, False), (False, True)}


def test_they_could_mean_anyone_so_the_name_is_repeated():
    asked = {"people": 50, "distractors": 2, "they_rate": 1.0}
    always = generate_biographies(BiogenConfig(**asked))
    if_unclear = generate_biographies(BiogenConfig(**asked, repeat_name="if-unclear"))
    assert [d.text for d in always] == [d.text for d in if_unclear]
