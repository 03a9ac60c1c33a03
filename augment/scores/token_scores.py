"""Scores of a document's units, in memory and as an Arrow table; this imports no PyTorch."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from elusive.augment.arrays.texts import count_up, flatten_spans
from elusive.common.dataset.records import Span

_UNITS = pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32())]))
SCHEMA = pa.schema([("doc_id", pa.string()), ("units", _UNITS), ("scores", pa.list_(pa.float32()))])
"""Scores as a training text stores them."""
COSTED_SCHEMA = pa.schema(
    [
        *SCHEMA,
        ("first_half", pa.list_(pa.float32())),
        ("second_half", pa.list_(pa.float32())),
        ("seconds", pa.float64()),
    ]
)
"""Scores as the cache stores them: also from halves of the heads, and their cost."""


@dataclass(frozen=True)
class TokenScores:
    """The units of a document and their scores under one scorer."""

    units: list[Span]
    scores: np.ndarray
    """One float32 per unit; higher is kept more often, +inf is never dropped.  # (..., unit)"""
    seconds: float = 0.0
    """Time that a model took to read the document: its share of the batch's time."""
    halves: tuple[np.ndarray, np.ndarray] | None = None
    """The same scores from every second head, and from the other heads. How well the two halves
    agree shows how much of the score is signal. None for scores that use no heads."""
    adds_up: bool = False
    """Whether the score of a whole is the sum of its parts' scores, as for log-probabilities; if
    not, it is their mean."""

    @classmethod
    def from_rows(
        cls, units: list[Span], rows: np.ndarray, seconds: float, adds_up: bool = False
    ) -> "TokenScores":
        """Build scores from rows: all heads, then, if there are three rows, the two halves."""
        halves = (rows[1], rows[2]) if len(rows) == 3 else None
        return cls(units, rows[0], seconds, halves, adds_up)

    @property
    def rows(self) -> np.ndarray:
        """All scores in the form that `from_rows` takes.  # (1 or 3, unit)."""
        return np.stack([self.scores, *(self.halves or ())])


def scores_to_table(
    doc_ids: Iterable[str], scored: Iterable[TokenScores], schema: pa.Schema = SCHEMA
) -> pa.Table:
    """Build an Arrow table with one row per document; `schema` is `SCHEMA` or `COSTED_SCHEMA`."""
    scored = list(scored)
    lengths = [len(scores.scores) for scores in scored]
    offsets = pa.array(count_up(lengths).astype(np.int32))
    values = np.concatenate([np.empty(0, np.float32), *(scores.scores for scores in scored)])
    columns = {
        "doc_id": pa.array(list(doc_ids), pa.string()),
        "units": flatten_spans(scores.units for scores in scored).to_arrow(),
        "scores": pa.ListArray.from_arrays(offsets, pa.array(values, pa.float32())),
    }
    for number, name in enumerate(("first_half", "second_half")):
        halves = [scores.halves[number].tolist() if scores.halves else None for scores in scored]
        columns[name] = pa.array(halves, pa.list_(pa.float32()))
    columns["seconds"] = pa.array([scores.seconds for scores in scored], pa.float64())
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def scores_from_table(table: pa.Table) -> dict[str, TokenScores]:
    """Read scores by document id; the inverse of `scores_to_table`."""
    return {row["doc_id"]: _from_row(row) for row in table.to_pylist()}


def _from_row(row: dict) -> TokenScores:
    units = [(unit["start"], unit["end"]) for unit in row["units"]]
    columns = [row["scores"], row.get("first_half"), row.get("second_half")]
    rows = np.array([scores for scores in columns if scores is not None], dtype=np.float32)
    return TokenScores.from_rows(units, rows, row.get("seconds") or 0.0)
