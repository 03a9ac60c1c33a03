"""Biographies whose facts are known to the character, and questions that leak nothing."""

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elusive.biogen import pools
from elusive.biogen.biographies import biographies
from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.biogen.people import num_names, people, permuted, person
from elusive.biogen.questions import questions, shots
from elusive.biogen.templates import FIELDS
from elusive.common.errors import InputError
from elusive.common.folders import content_hash, read_manifest

CONFIGS = st.builds(
    BiogenConfig,
    people=st.integers(1, 12),
    seed=st.integers(0, 2**40),
    name_position=st.sampled_from(["first", "any"]),
    num_shot_people=st.integers(0, 8),
    dev_rate=st.floats(0, 0.99),
    fields=st.permutations(FIELDS).flatmap(
        lambda order: st.integers(1, 5).map(lambda count: tuple(order[:count]))
    ),
)


@settings(deadline=None)
@given(CONFIGS)
def test_spans_are_exact_and_texts_clean(config):
    for document, made in zip(biographies(config), people(config), strict=True):
        text = document.text
        assert [text[start:end] for start, end in document.heads] == [made.name]
        assert text.count(made.name) == 1
        assert [fact.field for fact in document.facts] == list(config.fields)
        for fact in document.facts:
            assert text[fact.start : fact.end] == fact.value == made.values[fact.field]
            assert text[: fact.start].count(". ") == fact.position
        assert "  " not in text
        assert ".." not in text
        assert "the the" not in text.lower()
        assert "{" not in text


@settings(deadline=None)
@given(CONFIGS)
def test_distance_counts_words_after_the_name(config):
    for document in biographies(config):
        end = document.heads[0][1]
        for fact in document.facts:
            if fact.start < end:
                assert fact.distance is None
            else:
                between = document.text[end : fact.start].split()
                assert fact.distance == len(between) + 1


@settings(deadline=None)
@given(CONFIGS)
def test_pronouns_agree_with_the_first_name(config):
    female = {name for name, gender in pools.first_names() if gender == "female"}
    for document in biographies(config):
        words = set(document.text.replace(document.entity, "").split())
        expected = {"She", "her"} if document.entity.split()[0] in female else {"He", "his"}
        found = words & {"She", "her", "He", "his"}
        assert found <= expected
        assert found == expected or len(config.fields) < len(FIELDS)


@settings(deadline=None)
@given(CONFIGS)
def test_questions_split_by_person_and_shots_are_about_others(config):
    asked, solved = list(questions(config)), list(shots(config))
    assert len(asked) == len(config.fields) * config.people
    by_split = {split: {q.entity for q in asked if q.split == split} for split in ("dev", "test")}
    assert not by_split["dev"] & by_split["test"]
    assert by_split["test"]
    assert bool(by_split["dev"]) == (config.dev_rate > 0 and config.people > 1)
    assert not {shot.entity for shot in solved} & {question.entity for question in asked}
    assert len(solved) == len(config.fields) * config.num_shot_people
    for question in asked:
        # Someone called Jackson may be born in Jackson, so the name does not count.
        unnamed = question.question.replace(question.entity, "")
        assert not any(answer in unnamed for answer in question.answers)


@settings(deadline=None)
@given(CONFIGS)
def test_dev_people_are_as_many_as_the_rate_says(config):
    dev = {question.doc_id for question in questions(config) if question.split == "dev"}
    wanted = round(config.dev_rate * config.people)
    fewest = 1 if config.dev_rate > 0 and config.people > 1 else 0
    assert len(dev) == min(max(wanted, fewest), config.people - 1)


def test_the_name_is_in_any_sentence_or_the_first():
    first = list(biographies(BiogenConfig(people=200)))
    anywhere = list(biographies(BiogenConfig(people=200, name_position="any")))
    assert all(document.heads[0][0] == 0 for document in first)
    opened_by = [document.text[: document.heads[0][0]].count(". ") for document in anywhere]
    assert set(opened_by) == {0, 1, 2, 3, 4}


def test_distances_and_length_are_those_of_the_papers_corpus():
    documents = list(biographies(BiogenConfig(people=500)))
    lengths = [len(document.text.split()) for document in documents]
    assert sum(lengths) / 500 == pytest.approx(49, abs=1)
    means = [sum(d.facts[i].distance or 0 for d in documents) / 500 for i in range(5)]
    assert means == pytest.approx([5, 14, 25, 37, 45], abs=1.5)


def test_names_are_unique_and_a_person_can_be_made_alone():
    everyone = list(people(BiogenConfig(people=20_000, seed=4)))
    assert len({someone.name for someone in everyone}) == 20_000
    assert person(4, 12_345) == everyone[12_345]


def test_another_seed_changes_the_values_and_not_only_the_names():
    zero, one = (list(people(BiogenConfig(people=20, seed=seed))) for seed in (0, 1))
    same = [a for a, b in zip(zero, one, strict=True) if a.values == b.values]
    assert same == []


@pytest.mark.parametrize("size", [1, 2, 3, 100, 1000])
def test_the_permutation_of_names_is_a_bijection(size):
    places = [permuted(index, size, key=11) for index in range(size)]
    assert sorted(places) == list(range(size))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One dataset made by one worker and by two, and one of another seed."""
    root = tmp_path_factory.mktemp("biogen")
    config = BiogenConfig(people=600)
    generate_dataset(config, root / "one")
    generate_dataset(config, root / "two", workers=2)
    generate_dataset(config.model_copy(update={"seed": 1}), root / "other")
    return root


def test_one_seed_gives_the_same_bytes_for_any_number_of_workers(folders):
    assert content_hash(folders / "one") == content_hash(folders / "two")
    assert read_manifest(folders / "one", "dataset") == read_manifest(folders / "two", "dataset")
    assert content_hash(folders / "one") != content_hash(folders / "other")


def test_a_change_of_output_is_noticed(tmp_path):
    """A golden hash: when it changes on purpose, say so in CHANGELOG.md."""
    first = next(biographies(BiogenConfig(people=1)))
    assert first.text == (
        "Billy Stuart came into the world on January 12, 1948. "
        "He drew his first breath in Brierley Hill. "
        "He later went on to earn his degree from Indiana Institute of Technology. "
        "He chose to devote most of his studies to Ecology. "
        "He had a professional role at Rasmussen-Kent."
    )


def test_a_dataset_that_is_there_is_not_made_again(folders):
    before = (folders / "one" / "manifest.json").stat().st_mtime_ns
    assert not generate_dataset(BiogenConfig(people=600), folders / "one", workers=2)
    assert (folders / "one" / "manifest.json").stat().st_mtime_ns == before


def test_the_folder_of_another_dataset_is_refused(folders):
    before = content_hash(folders / "other")
    with pytest.raises(InputError, match="different seed"):
        generate_dataset(BiogenConfig(people=600), folders / "other")
    assert content_hash(folders / "other") == before


def test_the_card_lists_every_column(folders):
    card = (folders / "one" / "README.md").read_text()
    for name in ("corpus", "questions", "shots"):
        table = datasets.load_from_disk(str(folders / "one" / name))
        assert isinstance(table, datasets.Dataset)
        assert all(f"| `{name}` | `{column}` |" in card for column in table.column_names)


def test_datasets_opens_the_folder_both_ways(folders, tmp_path):
    tables = datasets.load_from_disk(str(folders / "one"))
    assert isinstance(tables, datasets.DatasetDict)
    assert {name: len(table) for name, table in tables.items()} == {
        "corpus": 600,
        "questions": 3000,
        "shots": 160,
    }
    for name in ("corpus", "questions", "shots"):
        table = tables[name]
        loaded = datasets.load_dataset(
            str(folders / "one"), name, split="train", cache_dir=str(tmp_path)
        )
        assert loaded.column_names == table.column_names
        assert loaded[7] == table[7]


def test_the_card_names_the_command_that_makes_it_again(folders, tmp_path):
    card = (folders / "one" / "README.md").read_text()
    command = next(line for line in card.splitlines() if line.startswith("elusive biogen"))
    from click.testing import CliRunner

    from elusive.cli.main import cli

    arguments = command.replace("DIR", str(tmp_path / "again")).split()[1:]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    assert content_hash(tmp_path / "again") == content_hash(folders / "one")


def test_more_people_than_names_is_one_clear_error():
    with pytest.raises(InputError, match=f"ask for at most {num_names() - 32}"):
        next(people(BiogenConfig(people=num_names())))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--people", "0"], "people: input should be greater than or equal to 1 (got 0)"),
        (["--people", "9999999"], "is more than the"),
        (["--fields", "birth_cty"], "unknown field 'birth_cty': did you mean 'birth_city'?"),
        (["--fields", "major", "--fields", "major"], "'major' stands twice"),
        (["--name-position", "last"], "'first' or 'any'"),
        (["--dev-rate", "1"], "dev_rate: input should be less than 1"),
    ],
)
def test_bad_input_is_one_line(options, message, tmp_path):
    from click.testing import CliRunner

    from elusive.cli.main import cli

    result = CliRunner().invoke(cli, ["biogen", *options, "--out", str(tmp_path / "x")])
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
    assert not (tmp_path / "x").exists()
