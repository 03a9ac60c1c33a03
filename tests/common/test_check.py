"""`elusive check` finds what is wrong with a dataset, names the row, and ends with exit code 1."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from handmade import EVERYTHING, Tables, write_dataset

from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.cli.main import cli
from elusive.common.dataset import row_keys
from elusive.common.dataset.records import Document, Question, Shot, to_table
from elusive.common.errors import InputError
from elusive.common.folders import create_folder, write_tables


def check(folder: Path):
    return CliRunner().invoke(cli, ["check", str(folder)])


@pytest.fixture(scope="module")
def data(people_folder: Path) -> Tables:
    """A sound dataset of six people."""
    return Tables.read(people_folder)


def changed(data: Tables, table: str, number: int, **changes: object) -> Tables:
    """The dataset with one record of documents, questions or shots changed."""
    records = list(getattr(data, table))
    records[number] = replace(records[number], **changes)
    return replace(data, **{table: records})


def shifted_fact(data: Tables) -> Tables:
    document = data.documents[2]
    facts = [replace(document.facts[0], start=document.facts[0].start + 1), *document.facts[1:]]
    return changed(data, "documents", 2, facts=facts)


def wrong_distance(data: Tables) -> Tables:
    document = data.documents[2]
    return changed(
        data, "documents", 2, facts=[replace(document.facts[0], distance=99), *document.facts[1:]]
    )


BROKEN = {
    "value": (shifted_fact, "corpus row 2 (bio-0000002): the fact birth_date should read"),
    "distance": (wrong_distance, "corpus row 2 (bio-0000002): the fact birth_date has distance 99"),
    "head": (
        lambda data: changed(data, "documents", 1, heads=[(0, 3)]),
        "corpus row 1 (bio-0000001): a head mention reads",
    ),
    "head outside": (
        lambda data: changed(data, "documents", 1, heads=[(0, 9999)]),
        "corpus row 1 (bio-0000001): a span of heads lies outside the text",
    ),
    "missed mention": (
        lambda data: changed(
            data,
            "documents",
            3,
            text=data.documents[3].text + f" {data.documents[3].entity} slept.",
        ),
        "corpus row 3 (bio-0000003): the mention of",
    ),
    "empty text": (
        lambda data: changed(data, "documents", 0, text=" ", heads=[], facts=[]),
        "corpus row 0 (bio-0000000): the text is empty",
    ),
    "split of a document": (
        lambda data: changed(data, "documents", 0, split="tset"),
        "corpus row 0 (bio-0000000): unknown split 'tset'",
    ),
    "doc_id twice": (
        lambda data: changed(data, "documents", 5, doc_id="bio-0000001"),
        "corpus row 5: an earlier row has the same doc_id",
    ),
    "split of a question": (
        lambda data: changed(data, "questions", 4, split="train"),
        "questions row 4 (bio-0000000/company): unknown split 'train'",
    ),
    "kind": (
        lambda data: changed(data, "questions", 4, kind="odd"),
        "questions row 4 (bio-0000000/company): unknown kind 'odd'",
    ),
    "person in both splits": (
        lambda data: changed(data, "questions", 0, split="dev"),
        "questions row 0: its entity is asked about in both dev and test",
    ),
    "answer in the question": (
        lambda data: changed(
            data, "questions", 3, question=f"Who studied {data.questions[3].answers[0].lower()}?"
        ),
        "questions row 3 (bio-0000000/major): the answer",
    ),
    "no answer": (
        lambda data: changed(data, "questions", 3, answers=[]),
        "questions row 3 (bio-0000000/major): a gold answer is missing",
    ),
    "answer not in the text": (
        lambda data: changed(data, "questions", 3, answers=["Alchemy"]),
        "questions row 3: the document does not state the first gold answer",
    ),
    "unknown document": (
        lambda data: changed(data, "questions", 3, doc_id="bio-9"),
        "questions row 3: no document has this doc_id",
    ),
    "question_id twice": (
        lambda data: changed(data, "questions", 3, question_id=data.questions[0].question_id),
        "questions row 3: an earlier row has this question_id",
    ),
    "shot about the corpus": (
        lambda data: changed(data, "shots", 7, entity=data.documents[0].entity),
        "shots row 7: the shot is about an entity of the corpus",
    ),
    "another entity": (
        lambda data: changed(data, "questions", 3, entity="Nobody Known"),
        "questions row 3: the document is about another entity",
    ),
    "nameless question": (
        lambda data: changed(data, "questions", 3, question="Which subject did she study?"),
        "questions row 3 (bio-0000000/major): the question",
    ),
    "neither yes nor no": (
        lambda data: changed(data, "questions", 3, kind="yes-no", answers=["maybe"]),
        "questions row 3 (bio-0000000/major): a yes-no question has the answers ['maybe']",
    ),
    "reverse": (
        lambda data: changed(data, "questions", 3, kind="reverse", answers=["Nobody Known"]),
        "questions row 3 (bio-0000000/major): the answer to a reverse question",
    ),
    "null": (
        lambda data: changed(data, "documents", 4, text=None),
        "corpus row 4 (bio-0000004): column 'text' is null",
    ),
    "held-out wording that is trained on": (
        lambda data: changed(data, "documents", 4, split="dev"),
        "corpus (birth_city-0): documents of both train and dev use the template",
    ),
    "order of facts": (
        lambda data: changed(data, "documents", 4, facts=data.documents[4].facts[::-1]),
        "corpus row 4 (bio-0000004): the facts' positions [4, 3, 2, 1, 0] are not",
    ),
    "empty shot": (
        lambda data: changed(data, "shots", 7, answer=""),
        "shots row 7 (",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_every_fault_is_found_with_its_row(name, data, tmp_path):
    change, message = BROKEN[name]
    write_dataset(tmp_path / "data", change(data))
    result = check(tmp_path / "data")
    assert result.exit_code == 1
    assert message in result.output, result.output


@pytest.mark.parametrize("name", ["corpus/state.json", "dataset_dict.json", "README.md"])
def test_a_folder_that_does_not_open_is_noticed(name, data, tmp_path):
    generate_dataset(BiogenConfig(people=3), tmp_path / "data")
    (tmp_path / "data" / name).unlink()
    result = check(tmp_path / "data")
    assert result.exit_code == 1
    assert "cannot open it" in result.output or "the card is missing" in result.output


def test_a_sound_dataset_passes(people_folder):
    result = check(people_folder)
    assert result.exit_code == 0, result.output
    assert "all 136 rows are valid" in result.output


def test_keys_that_happen_to_have_the_same_hash_are_told_apart(people_folder, monkeypatch):
    monkeypatch.setattr(row_keys, "hash_key", lambda key: 7)
    result = check(people_folder)
    assert result.exit_code == 0, result.output


def test_rows_after_one_with_a_null_are_named_by_their_own_number(data, tmp_path):
    broken = changed(changed(data, "documents", 1, text=None), "documents", 5, doc_id="bio-0000000")
    write_dataset(tmp_path / "data", broken)
    result = check(tmp_path / "data")
    assert "corpus row 5: an earlier row has the same doc_id" in result.output, result.output


def test_everything_that_biogen_can_do_passes(tmp_path):
    config = EVERYTHING.model_copy(update={"people": 60})
    generate_dataset(config, tmp_path / "all")
    generate_dataset(BiogenConfig(people=60, distance=(10, 45), distractors=1), tmp_path / "far")
    for folder in ("all", "far"):
        result = check(tmp_path / folder)
        assert result.exit_code == 0, result.output


def test_a_dataset_without_questions_is_noticed(tmp_path):
    config = BiogenConfig(people=300, fields=("sport",), questions=("reverse",), num_shot_people=2)
    generate_dataset(config, tmp_path / "data")
    result = check(tmp_path / "data")
    assert result.exit_code == 1
    assert "questions: the table has no rows" in result.output


def test_changed_files_are_noticed(data, tmp_path):
    write_dataset(tmp_path / "data", data)
    table = next((tmp_path / "data" / "shots").glob("*.arrow"))
    content = table.read_bytes()
    table.write_bytes(
        content.replace(data.shots[0].answer.encode(), b"X" * len(data.shots[0].answer))
    )
    result = check(tmp_path / "data")
    assert result.exit_code == 1
    assert "manifest.json: the data files do not match the content hash" in result.output


def test_a_damaged_file_is_named_with_what_was_found_before(data, tmp_path):
    write_dataset(tmp_path / "data", data)
    table = next((tmp_path / "data" / "questions").glob("*.arrow"))
    content = table.read_bytes()
    table.write_bytes(content[: len(content) // 2])
    result = check(tmp_path / "data")
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit), result.exception
    assert "the data files do not match the content hash" in result.output
    assert f"questions: {table} is damaged (" in result.output


def test_a_wrong_schema_is_named(data, tmp_path):
    corpus = to_table(data.documents, Document)
    numbers = pa.array(range(len(data.questions)), pa.int64())
    tables = {
        "corpus": corpus.drop_columns(["heads"]),
        "questions": to_table(data.questions, Question).set_column(0, "question_id", numbers),
        "shots": to_table(data.shots, Shot),
    }
    with create_folder(tmp_path / "data", "dataset", {"generator": "biogen"}) as folder:
        write_tables(folder, tables)
    result = check(tmp_path / "data")
    assert result.exit_code == 1
    assert "column 'heads' is missing" in result.output
    assert "column 'question_id' is int64, not string" in result.output


def test_many_problems_are_counted(data, tmp_path):
    documents = [replace(document, split="odd") for document in data.documents] * 5
    write_dataset(tmp_path / "data", replace(data, documents=documents))
    result = check(tmp_path / "data")
    assert result.exit_code == 1
    assert "and 34 more" in result.output


@pytest.mark.parametrize("kind", ["nothing", "other", "training-text"])
def test_what_is_no_dataset_is_one_line(kind, tmp_path):
    folder = tmp_path / "data"
    if kind == "other":
        folder.mkdir()
    elif kind == "training-text":
        with create_folder(folder, kind, {}):
            pass
    result = check(folder)
    assert isinstance(result.exception, InputError)
    assert "dataset" in str(result.exception)
