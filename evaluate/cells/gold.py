"""Proofs that the questions and gold answers of stored answers are those of a dataset.

A dataset's content hash is the root of a tree of hashes. A proof is that tree with only one part
written out: the hashes of the columns of the questions that were asked. Anyone can hash the columns
of stored answers and compare, with no other trace of the dataset than its content hash.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from elusive.common.content_hash import (
    FIRST,
    NUM_FIRST,
    ROWS,
    Tree,
    collapse,
    hash_batches,
    hash_tree,
)
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.dataset.records import SCHEMAS, Prediction, Question
from elusive.common.folders import write_atomically

GOLD = "gold.json"
TABLE = "questions"
COLUMNS = tuple(name for name in SCHEMAS[Question].names if name in SCHEMAS[Prediction].names)
"""What answers repeat of their questions: all that scoring and tables use of them."""


def select_known_questions(known: DatasetFolder) -> list[Question]:
    """Select the first questions of the split test, or of dev if there is no other."""
    split = _choose_known_split(known)
    return [question for question in known.questions if question.split == split][:NUM_FIRST]


def _choose_known_split(known: DatasetFolder) -> str:
    return "test" if any(question.split == "test" for question in known.questions) else "dev"


def write_gold_proofs(
    folder: Path, dataset: DatasetFolder, answering: dict[str, Any], known: DatasetFolder | None
) -> None:
    """Write the proofs of a cell into its folder; none where there cannot be one."""
    part = find_proven_part(answering)
    proofs = {"dataset": build_proof(dataset, answering["split"], part) if part else None}
    if known:
        proofs["known"] = build_proof(known, _choose_known_split(known), FIRST)
    proofs = {name: proof for name, proof in proofs.items() if proof}
    write_atomically(folder / GOLD, json.dumps(proofs, indent=1) + "\n")


def find_proven_part(answering: dict[str, Any]) -> str | None:
    """Find the part of a split's questions that a proof can cover and that a cell was asked.

    Args:
        answering: parameters of the cell's answers.

    Returns:
        `rows` for all questions, `first` for the first ones; None for another number of them, or
        for those in held-out phrasings.
    """
    if answering.get("phrasing", "all") != "all":
        return None
    return {None: ROWS, NUM_FIRST: FIRST}.get(answering["limit"])


def build_proof(dataset: DatasetFolder, split: str, part: str) -> Tree | None:
    """Build a proof for the questions of a split.

    Returns:
        None if the dataset has a limit, has no such split, or was made by a version that hashed
        bytes.
    """
    tree = dataset.content_tree
    if split not in tree[TABLE] or hash_tree(tree) != dataset.content_hash:
        return None
    return collapse(tree, (TABLE, split, part))


def find_proof_problem(
    proof: Any, dataset_hash: str, predictions: list[Prediction], split: str | None, part: str
) -> str | None:
    """Say why a proof does not show that answers are about the questions of a dataset.

    Args:
        proof: the proof.
        dataset_hash: content hash of the dataset.
        predictions: all answers, in the order of the dataset.
        split: whose questions were asked; any if None.
        part: `rows` if all of them were asked, `first` if only the first ones.
    """
    if hash_tree(proof) != dataset_hash:
        return f"it does not belong to the dataset {dataset_hash[:12]}"
    splits = proof.get(TABLE)
    parts = [
        parts[part]
        for name, parts in (splits.items() if isinstance(splits, dict) else ())
        if split in (None, name) and isinstance(parts, dict) and isinstance(parts.get(part), dict)
    ]
    if not parts:
        return f"it does not cover the questions of the split {split!r}"
    own = _hash_questions(predictions)
    wrong = [name for name in COLUMNS if parts[0].get(name) != own[name]]
    return f"the dataset has other {', '.join(wrong)}" if wrong else None


def _hash_questions(predictions: list[Prediction]) -> dict[str, Tree]:
    """Hash the columns that answers share with their questions."""
    schema = pa.schema([SCHEMAS[Prediction].field(name) for name in COLUMNS])
    rows = [asdict(prediction) for prediction in predictions]
    table = pa.Table.from_pylist([{name: row[name] for name in COLUMNS} for row in rows], schema)
    (hashes,) = hash_batches(table.to_batches()).values()
    assert isinstance(hashes, dict)
    columns = hashes[ROWS]
    assert isinstance(columns, dict)
    return columns


def find_question_problem(questions: list[Question], predictions: list[Prediction]) -> str | None:
    """Say how the questions of stored answers differ from those of a dataset."""
    if len(questions) != len(predictions):
        return f"{len(predictions)} questions were asked, the dataset has {len(questions)}"
    wrong = [
        question.question_id
        for question, prediction in zip(questions, predictions, strict=True)
        if any(getattr(question, name) != getattr(prediction, name) for name in COLUMNS)
    ]
    if not wrong:
        return None
    return f"{len(wrong)} questions differ from those of the dataset, first {wrong[0]!r}"
