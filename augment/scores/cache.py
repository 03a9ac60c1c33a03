"""Scores that a model gave are kept, so that another seed, arm or day reads them."""

import os
import uuid
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from elusive.augment.scores.scoring import TokenScores, with_halves
from elusive.common.cache import cache_folder
from elusive.common.dataset.records import Document
from elusive.common.folders import parameters_hash

VERSION = 2
"""To be raised when the same definition gives other numbers."""
TOGETHER = 256
"""Documents after which scores are kept: what an interruption loses at most."""

SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("starts", pa.list_(pa.int32())),
        ("ends", pa.list_(pa.int32())),
        ("scores", pa.list_(pa.float32())),
        ("rows", pa.int32()),
        ("seconds", pa.float64()),
    ]
)
"""A row is a document; `text` is a hash of its text; scores of halves of the heads, if there are,
stand behind the scores as two more rows."""


def kept_scores(
    documents: list[Document],
    definition: dict[str, object],
    score: Callable[[list[Document]], list[TokenScores]],
) -> list[TokenScores]:
    """Scores of every document, those that are not kept yet made by `score` and kept.

    Args:
        documents: what is scored.
        definition: of the score: model, weights, precision and options, all that decides it.
        score: makes scores of documents.
    """
    folder = cache_folder() / "scores" / parameters_hash({**definition, "version": VERSION})[:32]
    keys = [text_key(document) for document in documents]
    found = _load(folder, set(keys))
    missing = [place for place, key in enumerate(keys) if key not in found]
    for first in range(0, len(missing), TOGETHER):
        places = missing[first : first + TOGETHER]
        made = score([documents[place] for place in places])
        new = {keys[place]: scores for place, scores in zip(places, made, strict=True)}
        _keep(folder, new)
        found |= new
    return [found[key] for key in keys]


def text_key(document: Document) -> str:
    """Hash of a document's text and of where its values stand."""
    values = [(fact.start, fact.end) for fact in document.facts]
    return sha256(repr((document.text, values)).encode()).hexdigest()


def _load(folder: Path, wanted: set[str]) -> dict[str, TokenScores]:
    """The kept scores of some texts; a file that cannot be read counts as absent."""
    found: dict[str, TokenScores] = {}
    for path in sorted(folder.glob("*.parquet")):
        try:
            table = pq.read_table(path, schema=SCHEMA)
        except (OSError, pa.ArrowInvalid):
            path.unlink(missing_ok=True)
            continue
        for row in table.to_pylist():
            if row["text"] in wanted:
                units = list(zip(row["starts"], row["ends"], strict=True))
                scores = np.array(row["scores"], dtype=np.float32).reshape(row["rows"], -1)
                found[row["text"]] = with_halves(units, scores, row["seconds"])
    return found


def _keep(folder: Path, scored: dict[str, TokenScores]) -> None:
    """Add scores in a file of their own, which appears whole."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "text": key,
            "starts": [start for start, _ in scores.units],
            "ends": [end for _, end in scores.units],
            "scores": np.concatenate([scores.scores, *(scores.halves or ())]).tolist(),
            "rows": 3 if scores.halves else 1,
            "seconds": scores.seconds,
        }
        for key, scores in scored.items()
    ]
    path = folder / f"{uuid.uuid4().hex}.parquet"
    draft = path.with_suffix(".tmp")
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), draft)
    os.replace(draft, path)
