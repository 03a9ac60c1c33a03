"""Biography datasets as folders: the same bytes for every number of workers, and after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
import yaml
from click.testing import CliRunner
from handmade import EVERYTHING

from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.biogen.people.fields import list_built_in_names
from elusive.biogen.questions import generate_questions, generate_shots
from elusive.cli.main import cli
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.dataset.records import NOT_STORED
from elusive.common.dataset.shards import read_batches
from elusive.common.errors import InputError
from elusive.common.folders import hash_content, hash_parameters, read_manifest

MANY = 66_000
"""People in three shards."""
MANY_PEOPLE = BiogenConfig(people=MANY, fields=("major", "company"))


def biogen(*arguments: object):
    return CliRunner().invoke(cli, ["biogen", *map(str, arguments)])


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Write a dataset with one worker and with two, and a dataset of another seed."""
    root = tmp_path_factory.mktemp("biogen")
    config = BiogenConfig(people=600)
    generate_dataset(config, root / "one")
    generate_dataset(config, root / "two", workers=2)
    generate_dataset(config.model_copy(update={"seed": 1}), root / "other")
    return root


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """Write a dataset of several shards with one worker."""
    folder = tmp_path_factory.mktemp("many") / "people"
    generate_dataset(MANY_PEOPLE, folder)
    assert len(list(folder.glob("corpus/*.arrow"))) == 3
    return folder


def test_a_seed_decides_the_bytes(folders):
    assert hash_content(folders / "one") == hash_content(folders / "two")
    assert read_manifest(folders / "one", "dataset") == read_manifest(folders / "two", "dataset")
    assert hash_content(folders / "one") != hash_content(folders / "other")


@pytest.mark.parametrize("workers", [2, 4])
def test_the_number_of_workers_does_not_change_the_bytes(workers, many, tmp_path):
    generate_dataset(MANY_PEOPLE, tmp_path / "again", workers)
    assert hash_content(tmp_path / "again") == hash_content(many)
    assert (tmp_path / "again" / "README.md").read_text() == (many / "README.md").read_text()


def test_the_manifest_holds_the_hash_of_the_files(many):
    assert read_manifest(many, "dataset").content_hash == hash_content(many)


def test_a_killed_run_goes_on_at_the_shard_where_it_stopped(many, tmp_path):
    out = tmp_path / "people"
    fields = [f"--fields={name}" for name in MANY_PEOPLE.fields]
    arguments = ["biogen", "--people", str(MANY), *fields, "--workers", "1", "--out", str(out)]
    command = [sys.executable, "-m", "elusive.cli.main", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(out.glob(".progress/corpus*.json")) and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in out.glob("questions/data-*.arrow")}
    assert not (out / "manifest.json").exists()
    assert 0 < len(kept) < 3
    markers = list(out.glob(".progress/corpus*.json"))
    with pytest.raises(InputError, match="is not finished"):
        load_dataset_folder(out)
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    unchanged = [path for path, stamp in kept.items() if path.stat().st_mtime_ns == stamp]
    assert len(unchanged) >= len(markers)
    assert hash_content(out) == hash_content(many)
    assert not list(out.rglob("*.tmp"))
    assert not (out / ".progress").exists()


def test_finished_shards_can_be_read_while_others_are_written(tmp_path):
    row_counts = []

    def count_rows(count: int) -> None:
        if count:
            row_counts.append(sum(map(len, read_batches(tmp_path / "out", "corpus"))))
            table = datasets.load_dataset(
                "arrow",
                data_files=str(tmp_path / "out" / "corpus" / "*.arrow"),
                split="train",
                cache_dir=str(tmp_path / "cache"),
            )
            assert len(table) == row_counts[-1]

    generate_dataset(MANY_PEOPLE, tmp_path / "out", on_people=count_rows)
    assert row_counts == [1 << 15, 1 << 16, MANY]


def test_an_unfinished_folder_is_not_overwritten_by_another_run(tmp_path):
    def stop(count: int) -> None:
        if count:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_dataset(BiogenConfig(people=10), tmp_path / "out", on_people=stop)
    with pytest.raises(InputError, match="unfinished dataset of another run"):
        generate_dataset(BiogenConfig(people=11), tmp_path / "out")
    assert generate_dataset(BiogenConfig(people=10), tmp_path / "out")


def test_a_folder_that_another_process_writes_to_is_left_alone(tmp_path):
    from elusive.common.claims import hold_claim

    (tmp_path / "out" / ".progress").mkdir(parents=True)
    with (
        hold_claim(tmp_path / "out" / ".progress" / "claim"),
        pytest.raises(InputError, match="another process is writing"),
    ):
        generate_dataset(BiogenConfig(people=10), tmp_path / "out")
    assert generate_dataset(BiogenConfig(people=10), tmp_path / "out")


def test_a_damaged_dataset_is_not_taken_for_made(tmp_path):
    generate_dataset(BiogenConfig(people=10), tmp_path / "out")
    next((tmp_path / "out" / "questions").glob("*.arrow")).unlink()
    with pytest.raises(InputError, match="do not match the content hash"):
        generate_dataset(BiogenConfig(people=10), tmp_path / "out")


def test_templates_stand_beside_facts():
    config = BiogenConfig(people=20, wordings=43, permute=True, distractors=2, held_out_wordings=2)
    for document in generate_biographies(config):
        named = [template.rpartition("-")[0] for template in document.templates]
        assert named == [fact.field for fact in document.facts]


def test_the_preview_shows_the_questions_of_the_whole_dataset(tmp_path):
    options = (
        "--people",
        100,
        "--questions",
        "reverse",
        "--fields",
        "language",
        "--fields",
        "major",
    )
    shown = biogen("--preview", 3, *options).output
    biogen(*options, "--out", tmp_path / "out")
    dataset = load_dataset_folder(tmp_path / "out")
    questions = [q for q in dataset.questions if q.doc_id < "bio-0000003"]
    assert shown.count("  ? ") == len(questions) > 0
    assert all(question.question in shown for question in questions)


def test_an_error_in_one_worker_ends_the_run(tmp_path, monkeypatch):
    from elusive.biogen import generate

    def fail(*arguments: object) -> int:
        raise OSError("no space left on device")

    monkeypatch.setattr(generate, "_write_shard", fail)
    with pytest.raises(OSError, match="no space left"):
        generate_dataset(MANY_PEOPLE, tmp_path / "out", workers=2)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_later_part_of_a_corpus_can_be_made_alone(many, tmp_path):
    later = {"start": 65_900, "people": 10}
    generate_dataset(MANY_PEOPLE.model_copy(update=later), tmp_path / "part")
    part = load_dataset_folder(tmp_path / "part")
    corpus, questions = (
        pa.Table.from_batches(list(read_batches(many, name))) for name in ("corpus", "questions")
    )
    assert [d.text for d in part.documents] == corpus["text"][65_900:65_910].to_pylist()
    of_these = slice(2 * 65_900, 2 * 65_910)
    assert [q.question_id for q in part.questions] == questions["question_id"][of_these].to_pylist()


GOLDEN = {
    "paper": (
        BiogenConfig(people=50),
        "5bc190586a7cf0df",
    ),
    "everything": (
        EVERYTHING,
        "9bb530bc32f8b719",
    ),
    "distances": (
        BiogenConfig(people=40, distance=(12, 40), people_per_first_name=4, people_per_last_name=2),
        "9fd3ba54677a3ccd",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_a_change_of_output_is_noticed(name):
    """Golden hashes: if you change one on purpose, update it here and record it in CHANGELOG."""
    config, expected = GOLDEN[name]
    records = [*generate_biographies(config), *generate_questions(config), *generate_shots(config)]
    rows = [asdict(record) for record in records]
    for row in rows:
        row.pop(NOT_STORED, None)
    assert hash_parameters(rows)[:16] == expected


def test_a_dataset_that_is_there_is_not_made_again(folders):
    before = (folders / "one" / "manifest.json").stat().st_mtime_ns
    assert not generate_dataset(BiogenConfig(people=600), folders / "one", workers=2)
    assert (folders / "one" / "manifest.json").stat().st_mtime_ns == before


def test_the_folder_of_another_dataset_is_refused(folders):
    before = hash_content(folders / "other")
    with pytest.raises(InputError, match="different seed"):
        generate_dataset(BiogenConfig(people=600), folders / "other")
    assert hash_content(folders / "other") == before


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


CARD_OPTIONS = {
    "paper": [],
    "everything": [
        *(f"--fields={name}" for name in list_built_in_names()),
        *("--wordings=43", "--multi=2", "--permute", "--held-out-wordings=1", "--they-rate=0.5"),
        *("--questions=direct", "--questions=reverse", "--held-out-phrasing", "--distractors=1"),
    ],
    "distances": ["--distance=12", "--distance=30", "--seed=3", "--start=7"],
}


@pytest.mark.parametrize("name", CARD_OPTIONS)
def test_the_card_names_the_command_that_makes_it_again(name, tmp_path):
    result = biogen("--people", 9, *CARD_OPTIONS[name], "--out", tmp_path / "first")
    assert result.exit_code == 0, result.output
    card = (tmp_path / "first" / "README.md").read_text()
    command = next(line for line in card.splitlines() if line.startswith("elusive biogen"))
    arguments = command.replace("DIR", str(tmp_path / "again")).split()[2:]
    assert biogen(*arguments).exit_code == 0
    assert hash_content(tmp_path / "again") == hash_content(tmp_path / "first")


def test_the_card_has_the_yaml_that_the_hub_reads(folders):
    _, header, body = (folders / "one" / "README.md").read_text().split("---\n", 2)
    fields = yaml.safe_load(header)
    assert {config["config_name"] for config in fields["configs"]} == {
        "corpus",
        "questions",
        "shots",
    }
    assert fields["size_categories"] == ["n<1K"]
    assert "is being written" not in body


def test_statistics_count_what_is_there(folders):
    statistics = json.loads((folders / "one" / "statistics.json").read_text())
    data = load_dataset_folder(folders / "one")
    assert statistics["documents"] == statistics["entities"] == 600
    words = [len(document.text.split()) for document in data.documents]
    assert statistics["words"] == {str(n): words.count(n) for n in sorted(set(words))}
    assert statistics["questions"] == {"direct dev": 600, "direct test": 2400}
    majors = [f.value for d in data.documents for f in d.facts if f.field == "major"]
    of_majors = statistics["fields"]["major"]
    assert of_majors["distinct_values"] == len(set(majors))
    assert of_majors["most_frequent"][1] == max(map(majors.count, majors))
    firsts = [document.entity.split()[0] for document in data.documents]
    shared = [firsts.count(name) for name in set(firsts)]
    assert statistics["first_words"] == {str(n): shared.count(n) for n in sorted(set(shared))}
    distances = [f.distance or 0 for d in data.documents for f in d.facts if f.field == "company"]
    assert of_majors["entropy"] < statistics["pool_bits"]["major"]
    assert statistics["fields"]["company"]["distances"] == {
        str(n): distances.count(n) for n in sorted(set(distances))
    }


def test_the_picture_is_a_png(folders):
    assert (folders / "one" / "statistics.png").read_bytes().startswith(b"\x89PNG")


def test_the_preview_writes_nothing_and_shows_every_fact(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = biogen("--preview", 2, "--distractors", 1, "--seed", 4)
    assert result.exit_code == 0, result.output
    for document in generate_biographies(BiogenConfig(people=2, distractors=1, seed=4)):
        assert document.doc_id in result.output
        for fact in document.facts:
            assert f"{fact.start}-{fact.end}" in result.output
    assert list(tmp_path.iterdir()) == []
    idle = biogen("--preview", 1, "--on", "slurm", "--set", "resources.cpus=2", "--people", 3)
    assert idle.stderr.splitlines() == [
        "note: --preview does not use --on",
        "note: --preview does not use --set",
    ]


def test_fields_from_a_file_are_kept_with_the_dataset(tmp_path):
    fields = [
        {
            "name": "shoe_size",
            "numbers": [35, 47],
            "templates": ["{name/they} {wears/wear} shoes of size {value}."],
            "questions": ["What is the shoe size of {name}?"],
        }
    ]
    (tmp_path / "fields.yaml").write_text(yaml.safe_dump(fields))
    arguments = ("--people", 5, "--field-file", tmp_path / "fields.yaml")
    assert biogen(*arguments, "--out", tmp_path / "out").exit_code == 0
    data = load_dataset_folder(tmp_path / "out")
    assert all("shoes of size" in document.text for document in data.documents)
    again = ("--people", 5, "--field-file", tmp_path / "out" / "own_fields.yaml")
    assert biogen(*again, "--out", tmp_path / "again").exit_code == 0
    assert hash_content(tmp_path / "again") == hash_content(tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--people", "0"], "people: input should be greater than or equal to 1 (got 0)"),
        (["--people", "9999999"], "is more than the"),
        (["--multi", "5"], "would repeat one text"),
        (["--fields", "birth_cty"], "unknown field 'birth_cty': did you mean 'birth_city'?"),
        (["--fields", "major", "--fields", "major"], "fields has 'major' twice"),
        (["--name-position", "middle"], "'first', 'any' or 'last'"),
        (["--dev-rate", "1"], "dev_rate: input should be less than 1"),
        (["--questions", "indirect"], "'direct', 'yes-no', 'reverse' or 'multi-hop'"),
        (["--field-file", "none.yaml"], "no field file at none.yaml"),
        (["--distance", "3"], "ask for at least 10"),
    ],
)
def test_bad_input_is_one_line(options, message, tmp_path):
    result = biogen(*options, "--out", tmp_path / "x")
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("fields: [", "is not valid YAML"),
        ("- name: color\n  values: [a]\n  name: hue", "line 3 repeats 'name' of line 1: keep one"),
        ("name: color", "should be a list of fields"),
        ("- {name: color, template: [x]}", "unknown key 'template': did you mean 'templates'?"),
        ("- {name: Color, values: [a, b], templates: [x], questions: [y]}", "name: string should"),
    ],
)
def test_a_bad_field_file_is_one_line(content, message, tmp_path):
    (tmp_path / "fields.yaml").write_text(content)
    result = biogen("--field-file", tmp_path / "fields.yaml", "--out", tmp_path / "x")
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
    assert "fields.yaml" in str(result.exception)


def test_without_a_folder_to_write_the_user_is_told_what_to_do():
    result = biogen("--people", 3)
    assert "--out DIR" in str(result.exception)
    assert "--preview 3" in str(result.exception)


def test_a_folder_of_a_version_without_a_setting_is_still_known(tmp_path):
    """Runs of earlier versions go on: a setting that they lack has its default."""
    generate_dataset(BiogenConfig(people=4, distractors=1, num_shot_people=4), tmp_path / "out")
    recorded = read_manifest(tmp_path / "out", "dataset").parameters
    assert "repeat_name" not in recorded
    other = BiogenConfig(people=4, distractors=1, num_shot_people=4, repeat_name="if-unclear")
    with pytest.raises(InputError, match="different repeat_name"):
        generate_dataset(other, tmp_path / "out")
