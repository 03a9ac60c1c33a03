"""Datasets and training texts in formats that other tools read."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from commands import line_of_error, run

from elusive.augment.training_text import TrainingTextFolder
from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.folders import hash_file, read_table


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People with questions in both splits, and texts of which some are not trained on."""
    folder = tmp_path_factory.mktemp("datasets") / "people"
    config = BiogenConfig(
        people=8, num_shot_people=6, dev_rate=0.4, wordings=3, held_out_wordings=1, distance=(40,)
    )
    generate_dataset(config, folder)
    return folder


@pytest.fixture(scope="module")
def text(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training text of an arm that drops tokens."""
    folder = tmp_path_factory.mktemp("texts") / "random"
    run("augment", dataset, "--method", "random", "--copies", 2, "--out", folder)
    return folder


def read_rows(path: Path) -> list[dict]:
    """Rows of a file as its readers see them; CSV has lists and records as JSON."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in file]
        return list(csv.DictReader(file))


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_all_columns_of_all_tables_are_exported(suffix, dataset, tmp_path):
    result = run("export", dataset, "--format", suffix, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    for table in ("corpus", "questions", "shots"):
        expected = read_table(dataset, table).to_pylist()
        rows = read_rows(tmp_path / "out" / f"{table}.{suffix}")
        assert f"{table}.{suffix} ({len(expected)} rows)" in result.output
        assert len(rows) == len(expected)
        if suffix != "csv":
            assert rows == expected
            continue
        for row, right in zip(rows, expected, strict=True):
            for name, value in right.items():
                if isinstance(value, (list, dict)):
                    assert json.loads(row[name]) == value
                else:
                    assert row[name] == str(value)


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_training_text_is_exported_for_trainers(suffix, text, dataset, tmp_path):
    run("export", text, "--format", suffix, "--layout", "text", "--out", tmp_path / "out")
    expected = [{"text": row.text} for row in TrainingTextFolder(text).read_texts()]
    assert read_rows(tmp_path / "out" / f"train.{suffix}") == expected
    run("export", dataset, "--format", suffix, "--layout", "text", "--out", tmp_path / "originals")
    documents = load_dataset_folder(dataset).select_training_documents()
    rows = read_rows(tmp_path / "originals" / f"train.{suffix}")
    assert rows == [{"text": document.text} for document in documents]
    assert 0 < len(rows) < len(load_dataset_folder(dataset).documents)


def test_questions_are_exported_as_prompts_and_completions(dataset, tmp_path):
    options = ("--format", "jsonl", "--layout", "prompt-completion")
    run("export", dataset, *options, "--out", tmp_path / "out")
    folder = load_dataset_folder(dataset)
    for split in ("dev", "test"):
        asked = [question for question in folder.questions if question.split == split]
        rows = read_rows(tmp_path / "out" / f"{split}.jsonl")
        assert [row["completion"] for row in rows] == [f" {q.answers[0]}" for q in asked]
        assert rows[0]["prompt"] == f"Question: {asked[0].question}\nAnswer:"
    shots = read_rows(tmp_path / "out" / "train.jsonl")
    assert [row["completion"] for row in shots] == [f" {shot.answer}" for shot in folder.shots]


@pytest.mark.parametrize(("suffix", "kind"), [("jsonl", "json"), ("parquet", "parquet")])
def test_datasets_loads_what_was_exported(suffix, kind, text, tmp_path):
    from datasets import load_dataset

    run("export", text, "--format", suffix, "--out", tmp_path / "out")
    file = str(tmp_path / "out" / f"texts.{suffix}")
    loaded = load_dataset(kind, data_files=file, split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded["text"][:] == [row.text for row in TrainingTextFolder(text).read_texts()]


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_croissant_names_files_that_exist_and_all_their_columns(suffix, dataset, tmp_path):
    run("export", dataset, "--format", suffix, "--out", tmp_path / "out")
    metadata = json.loads((tmp_path / "out" / "croissant.json").read_text())
    assert metadata["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert metadata["name"] == "people"
    for file in metadata["distribution"]:
        assert hash_file(tmp_path / "out" / file["contentUrl"]) == file["sha256"]
    fields = {record["name"]: record["field"] for record in metadata["recordSet"]}
    assert set(fields) == {"corpus", "questions", "shots"}
    for table, described in fields.items():
        names = [field["name"].split("/")[1] for field in described]
        assert names == read_table(dataset, table).column_names
    by_name = {field["name"]: field for field in fields["corpus"]}
    if suffix == "csv":
        assert by_name["corpus/facts"]["dataType"] == "sc:Text"
        return
    (start,) = (f for f in by_name["corpus/facts"]["subField"] if f["name"].endswith("/start"))
    assert start["dataType"] == "sc:Integer"
    assert start["source"]["extract"] == {"column": "facts"}
    assert start["source"]["transform"] == {"jsonPath": "start"}


def test_wrong_exports_are_one_line(dataset, text, tmp_path, capsys):
    def line(*arguments: object) -> str:
        return line_of_error(capsys, "export", *arguments, "--out", tmp_path / "out")

    wrong = line(dataset, "--format", "jsonl", "--layout", "promt-completion")
    assert "did you mean 'prompt-completion'?" in wrong
    wrong = line(text, "--format", "csv", "--layout", "prompt-completion")
    assert "has texts, not questions" in wrong
    assert "is not a dataset or training text" in line(tmp_path, "--format", "csv")
    assert "did you mean 'parquet'?" in line(dataset, "--format", "parqet")
    assert not (tmp_path / "out").exists()
    run("export", dataset, "--format", "csv", "--out", tmp_path / "out")
    assert "holds another run's files" in line(dataset, "--format", "jsonl")
