"""Scores that a model gave, kept so that another seed, arm or day can read them."""

import os
import uuid
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from elusive.augment.scores.token_scores import (
    COSTED_SCHEMA,
    TokenScores,
    scores_from_table,
    scores_to_table,
)
from elusive.common.cache import prepare_cache_folder
from elusive.common.dataset.records import Document
from elusive.common.folders import hash_parameters

VERSION = 3
"""Raise it when the same definition gives other numbers, or when the files change."""
CHUNK = 256
"""Documents after which scores are written: the most that an interruption loses."""


def read_or_score(
    documents: list[Document],
    definition: dict[str, object],
    score: Callable[[list[Document]], list[TokenScores]],
) -> list[TokenScores]:
    """Scores of every document, read from the cache or else made by `score` and kept there.

    Args:
        documents: what is scored.
        definition: of the score: model, weights, precision and options, all that decides it.
        score: makes scores of documents.
    """
    folder = (
        prepare_cache_folder() / "scores" / hash_parameters({**definition, "version": VERSION})[:32]
    )
    keys = [hash_document(document) for document in documents]
    scores = _read(folder, set(keys))
    missing = [index for index, key in enumerate(keys) if key not in scores]
    for first in range(0, len(missing), CHUNK):
        chunk = missing[first : first + CHUNK]
        scored = score([documents[index] for index in chunk])
        new = {
            keys[index]: document_scores
            for index, document_scores in zip(chunk, scored, strict=True)
        }
        _write(folder, new)
        scores |= new
    return [scores[key] for key in keys]


def hash_document(document: Document) -> str:
    """Hash of a document's text and of the spans of its values."""
    values = [(fact.start, fact.end) for fact in document.facts]
    return sha256(repr((document.text, values)).encode()).hexdigest()


def _read(folder: Path, keys: set[str]) -> dict[str, TokenScores]:
    """The kept scores of some texts; a file that cannot be read is removed and made again."""
    scores: dict[str, TokenScores] = {}
    for path in sorted(folder.glob("*.parquet")):
        try:
            table = pq.read_table(path, schema=COSTED_SCHEMA)
        except (OSError, pa.ArrowInvalid):
            path.unlink(missing_ok=True)
            continue
        is_asked = [key in keys for key in table["doc_id"].to_pylist()]
        scores |= scores_from_table(table.filter(pa.array(is_asked, pa.bool_())))
    return scores


def _write(folder: Path, scores: dict[str, TokenScores]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{uuid.uuid4().hex}.parquet"
    draft = path.with_suffix(".tmp")
    pq.write_table(scores_to_table(scores.keys(), scores.values(), COSTED_SCHEMA), draft)
    os.replace(draft, path)
