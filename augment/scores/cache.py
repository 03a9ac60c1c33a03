"""Cache of the scores that models give, so that another seed, arm or run can read them."""

import os
import uuid
from collections.abc import Callable, Collection
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
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

VERSION = 6
"""To be raised when the same definition gives other scores, or when the file format changes."""
CHUNK = 256
"""Number of documents after which scores are written by default: an interruption loses at most
these."""


def read_or_score(
    documents: list[Document],
    definition: dict[str, object],
    score: Callable[[list[Document]], list[TokenScores]],
    chunk_size: int | None = None,
    hash_one: Callable[[Document], str] | None = None,
) -> list[TokenScores]:
    """Read the scores of every document from the cache; compute and keep those that it lacks.

    Args:
        documents: to be scored.
        definition: all that decides the scores: model, weights, precision and options.
        score: computes the scores of documents.
        chunk_size: number of documents that are scored and written at a time; CHUNK if None.
        hash_one: hashes what the scores of a document depend on; by default `hash_document`.
    """
    definition_hash = hash_parameters({**definition, "version": VERSION})[:32]
    folder = prepare_cache_folder() / "scores" / definition_hash
    keys = [(hash_one or hash_document)(document) for document in documents]
    scores = _read(folder, set(keys))
    missing = [index for index, key in enumerate(keys) if key not in scores]
    chunk_size = chunk_size or CHUNK
    for first in range(0, len(missing), chunk_size):
        chunk = missing[first : first + chunk_size]
        scored = score([documents[index] for index in chunk])
        new_scores = dict(zip([keys[index] for index in chunk], scored, strict=True))
        _write(folder, new_scores)
        scores |= new_scores
    return [scores[key] for key in keys]


def hash_document(document: Document) -> str:
    """Hash a document's text and the spans of its values, all that scores depend on."""
    values = [(fact.start, fact.end) for fact in document.facts]
    return sha256(repr((document.text, values)).encode()).hexdigest()


def _read(folder: Path, keys: set[str]) -> dict[str, TokenScores]:
    """Read the scores of some documents; delete files that cannot be read."""
    scores: dict[str, TokenScores] = {}
    wanted = np.sort(_shorten(keys))
    for path in sorted(folder.glob("*.parquet")):
        try:
            if not _occur(_list_keys(path), wanted):
                continue
            table = pq.read_table(path, schema=COSTED_SCHEMA)
        except (OSError, pa.ArrowInvalid):
            path.unlink(missing_ok=True)
            continue
        is_needed = [key in keys for key in table["doc_id"].to_pylist()]
        scores |= scores_from_table(table.filter(pa.array(is_needed, pa.bool_())))
    return scores


@cache
def _list_keys(path: Path) -> np.ndarray:
    """List the documents of a file, which never changes, so that others need not be read whole."""
    return _shorten(pq.read_table(path, columns=["doc_id"])["doc_id"].to_pylist())


def _shorten(keys: Collection[str]) -> np.ndarray:
    return np.array([int(key[:16], 16) for key in keys], np.uint64)


def _occur(keys: np.ndarray, wanted: np.ndarray) -> bool:
    """Return whether any of some keys is wanted; the latter are sorted."""
    if not len(wanted):
        return False
    found = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
    return bool((wanted[found] == keys).any())


def _write(folder: Path, scores: dict[str, TokenScores]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{uuid.uuid4().hex}.parquet"
    draft = path.with_suffix(".tmp")
    pq.write_table(scores_to_table(scores.keys(), scores.values(), COSTED_SCHEMA), draft)
    os.replace(draft, path)
