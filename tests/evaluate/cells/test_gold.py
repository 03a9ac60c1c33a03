"""Proofs of gold answers: every column that scoring uses is bound to the dataset's content hash."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.common.content_hash import FIRST, NUM_FIRST, ROWS
from elusive.common.dataset.folder import DatasetFolder, load_dataset_folder
from elusive.common.dataset.records import Prediction
from elusive.evaluate.answering.predictions import Answer, build_predictions
from elusive.evaluate.cells import gold
from elusive.evaluate.cells.gold import (
    GOLD,
    build_proof,
    find_proof_problem,
    find_proven_part,
    find_question_problem,
    select_known_questions,
    write_gold_proofs,
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> DatasetFolder:
    """A dataset with more test questions than a proof of the first ones covers."""
    folder = tmp_path_factory.mktemp("datasets") / "people"
    generate_dataset(BiogenConfig(people=80, num_shot_people=8), folder)
    return load_dataset_folder(folder)


def answer(questions) -> list[Prediction]:
    return build_predictions(questions, [Answer("?", -1.0, None)] * len(questions), None)


def check(dataset: DatasetFolder, predictions: list[Prediction], part: str = ROWS) -> str | None:
    proof = json.loads(json.dumps(build_proof(dataset, "test", part)))
    return find_proof_problem(proof, dataset.content_hash, predictions, "test", part)


def test_answers_to_the_questions_of_a_dataset_are_proven(dataset):
    questions = [question for question in dataset.questions if question.split == "test"]
    assert len(questions) > NUM_FIRST
    assert len(dataset.questions) > len(questions)
    assert check(dataset, answer(questions)) is None
    assert check(dataset, answer(select_known_questions(dataset)), FIRST) is None
    assert find_question_problem(questions, answer(questions)) is None


@pytest.mark.parametrize("part", [ROWS, FIRST])
def test_another_gold_answer_question_or_order_is_not_proven(dataset, part):
    questions = [question for question in dataset.questions if question.split == "test"]
    questions = questions[:NUM_FIRST] if part == FIRST else questions
    honest = answer(questions)
    for change in (
        {"answers": [*honest[7].answers, "?"]},
        {"answers": ["?"]},
        {"question": "Who?"},
        {"entity": "Someone Else"},
        {"hops": 2},
    ):
        forged = [*honest[:7], replace(honest[7], **change), *honest[8:]]
        (name,) = change
        assert check(dataset, forged, part) == f"the dataset has other {name}"
        assert find_question_problem(questions, forged) is not None
    for forged in (honest[:-1], honest[::-1], [honest[0], *honest]):
        assert (check(dataset, forged, part) or "").startswith("the dataset has other question_id")


@pytest.mark.parametrize(
    ("answering", "part"),
    [
        ({"limit": None}, ROWS),
        ({"limit": NUM_FIRST}, FIRST),
        ({"limit": 100}, None),
        ({"limit": None, "phrasing": "held-out"}, None),
    ],
)
def test_a_cell_has_a_proof_only_of_the_questions_that_it_was_asked(
    answering, part, dataset, tmp_path
):
    assert find_proven_part(answering) == part
    write_gold_proofs(tmp_path, dataset, {"split": "test"} | answering, None)
    proofs = json.loads((tmp_path / GOLD).read_text())
    assert list(proofs) == (["dataset"] if part else [])


def test_a_proof_without_its_part_is_no_proof(dataset, monkeypatch):
    monkeypatch.setattr(gold, "hash_tree", lambda tree: dataset.content_hash)
    proof = {"questions": {"test": {}}}
    problem = find_proof_problem(proof, dataset.content_hash, [], "test", ROWS)
    assert problem == "it does not cover the questions of the split 'test'"


def test_a_forged_proof_does_not_belong_to_the_dataset(dataset):
    questions = [question for question in dataset.questions if question.split == "test"]
    proof = build_proof(dataset, "test", ROWS)
    assert isinstance(proof, dict)
    proof = json.loads(json.dumps(proof))
    proof["questions"]["test"]["rows"]["answers"] = "0" * 64
    problem = find_proof_problem(proof, dataset.content_hash, answer(questions), "test", ROWS)
    assert problem == f"it does not belong to the dataset {dataset.content_hash[:12]}"
    other = build_proof(dataset, "dev", ROWS)
    problem = find_proof_problem(other, dataset.content_hash, answer(questions), "test", ROWS)
    assert problem == "it does not cover the questions of the split 'test'"


def test_a_part_of_a_dataset_has_no_proof(dataset):
    assert build_proof(DatasetFolder(dataset.path, limit=3), "test", ROWS) is None
    assert build_proof(dataset, "all", ROWS) is None


def test_a_proof_is_short(dataset):
    assert len(json.dumps(build_proof(dataset, "test", ROWS))) < 2500


def test_what_is_known_is_asked_of_test_people_or_else_of_dev_people(tmp_path: Path, dataset):
    assert {question.split for question in select_known_questions(dataset)} == {"test"}
    settings = {"people": 3, "num_shot_people": 8, "dev_rate": 0}
    generate_dataset(BiogenConfig.model_validate(settings), tmp_path / "few")
    few = load_dataset_folder(tmp_path / "few")
    assert select_known_questions(few) == few.questions
