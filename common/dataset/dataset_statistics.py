"""Statistics of a dataset, from one pass over its tables: lengths, distances, values, names."""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute defines its functions at import)

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from elusive.common.content_hash import read_numbers
from elusive.common.dataset.arrow_arrays import (
    build_boolean_array,
    build_integer_array,
    build_string_array,
)
from elusive.common.dataset.shards import read_batches
from elusive.common.text.languages import ENGLISH, count_words, is_unspaced

MOST_PARTS = 1_000
"""Small batches that wait to be merged; each takes kilobytes in addition to its rows."""
Histogram = dict[int, int]
"""How often each whole number occurs."""

STATISTICS, PICTURE = "statistics.json", "statistics.png"


@dataclass(frozen=True)
class FieldStatistics:
    """The facts of one field."""

    facts: int
    distinct_values: int
    entropy: float
    """Of the values as they occur, in bits per fact; at most log2 of the number of facts."""
    repeated_values: int
    """Values that occur more than once."""
    most_frequent: tuple[str, int]
    """The most frequent value, and how often it occurs."""
    distances: Histogram
    """Words from the nearest head mention before the value."""
    no_head_before: int
    """Facts without a head mention before them."""

    @property
    def mean_distance(self) -> float | None:
        """Mean over the facts that have a head mention before them."""
        total = sum(self.distances.values())
        return sum(d * n for d, n in self.distances.items()) / total if total else None


@dataclass(frozen=True)
class DatasetStatistics:
    """Statistics of a dataset."""

    documents: int
    entities: int
    documents_by_split: dict[str, int]
    words: Histogram
    """Words per document."""
    fields: dict[str, FieldStatistics]
    questions: dict[str, int]
    """Questions by kind and split, such as `direct test`."""
    shots: int
    first_words: Histogram
    """How many first words of names are shared by each number of entities."""
    last_words: Histogram
    """The same for the last word."""

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return asdict(self)


@dataclass
class _Corpus:
    """Counts of the rows read so far."""

    documents: int = 0
    entities: int = 0
    splits: dict[str, int] = field(default_factory=dict)
    words: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))
    distances: dict[str, np.ndarray] = field(default_factory=dict)
    no_head: dict[str, int] = field(default_factory=dict)
    values: dict[str, "_Tally"] = field(default_factory=dict)
    """Of each field."""
    first_words: "_Tally" = field(default_factory=lambda: _Tally())
    last_words: "_Tally" = field(default_factory=lambda: _Tally())
    names: "_Tally" = field(default_factory=lambda: _Tally())
    """Entities, where the rows about one of them need not be adjacent."""
    last_entity: str | None = None
    """Entity of the last row."""


class _Tally:
    """Counts of distinct strings, merged now and then to keep memory small.

    Arrow's `group_by` would import pandas, which takes longer than generating 100,000 biographies.
    """

    def __init__(self) -> None:
        self._values: list[pa.Array] = []
        self._counts: list[np.ndarray] = []
        self._rows = 0

    def add(self, strings: pa.Array) -> None:
        counted = pc.value_counts(strings)
        self._append(counted.field("values"), read_numbers(counted.field("counts")))
        if self._rows > 500_000 or len(self._values) > MOST_PARTS:
            merged = self.merge()
            self._values, self._counts, self._rows = [], [], 0
            self._append(*merged)

    def merge(self) -> tuple[pa.Array, np.ndarray]:
        """Return the distinct strings and the count of each."""
        if not self._values:
            return build_string_array([]), np.zeros(0, np.int64)
        encoded = pa.concat_arrays(self._values).dictionary_encode()
        counts = np.zeros(len(encoded.dictionary), np.int64)
        np.add.at(counts, read_numbers(encoded.indices), np.concatenate(self._counts))
        return encoded.dictionary, counts

    def _append(self, values: pa.Array, counts: np.ndarray) -> None:
        self._values.append(values)
        self._counts.append(counts)
        self._rows += len(values)


def compute_dataset_statistics(
    folder: Path,
    fields: tuple[str, ...] = (),
    texts_repeat: bool = True,
    language: str = ENGLISH,
) -> DatasetStatistics:
    """Compute the statistics of a dataset folder, in memory that does not grow with it.

    Args:
        folder: of the dataset, finished or not.
        fields: that come first, in this order; others follow by name.
        texts_repeat: whether all texts about an entity state the same facts and are adjacent, so
            that their values are counted only once.
        language: of the texts.
    """
    corpus = _Corpus()
    for batch in read_batches(folder, "corpus"):
        _count_documents(corpus, batch, texts_repeat)
        words = _count_words(batch.column("text"), language)
        corpus.words = _add_counts(corpus.words, np.bincount(words))
    _count_names(corpus, corpus.names.merge()[0])
    questions = _Tally()
    for batch in read_batches(folder, "questions"):
        columns = batch.column("kind"), batch.column("split")
        blanks = build_string_array([" "]).take(build_integer_array(np.zeros(len(batch))))
        questions.add(pc.binary_join_element_wise(*columns, blanks))
    kinds, counts = questions.merge()
    return DatasetStatistics(
        documents=corpus.documents,
        entities=corpus.entities,
        documents_by_split=corpus.splits,
        words=_to_histogram(corpus.words),
        fields=_compute_field_statistics(corpus, fields),
        questions=dict(sorted(zip(kinds.to_pylist(), counts.tolist(), strict=True))),
        shots=sum(map(len, read_batches(folder, "shots"))),
        first_words=_count_sharing(corpus.first_words),
        last_words=_count_sharing(corpus.last_words),
    )


def _count_documents(corpus: _Corpus, batch: pa.RecordBatch, texts_repeat: bool) -> None:
    corpus.documents += len(batch)
    for split in pc.value_counts(batch.column("split")).to_pylist():
        corpus.splits[split["values"]] = corpus.splits.get(split["values"], 0) + split["counts"]
    is_new = _is_new_entity(corpus, batch.column("entity"))
    names = batch.column("entity").filter(is_new)
    if texts_repeat:
        _count_names(corpus, names)
    else:
        corpus.names.add(names)
    _count_facts(corpus, batch.column("facts"), is_new if texts_repeat else None)


def _count_words(texts: pa.StringArray, language: str) -> np.ndarray:
    """Count the words of each text; in languages without blanks, characters.  # (text,)."""
    if not is_unspaced(language):
        return read_numbers(pc.count_substring_regex(texts, r"\S+"))
    return np.array([count_words(text, language) for text in texts.to_pylist()])


def _is_new_entity(corpus: _Corpus, entities: pa.Array) -> pa.Array:
    """Return a mask of the rows that are the first about their entity."""
    is_same = entities[0].as_py() == corpus.last_entity
    corpus.last_entity = entities[-1].as_py()
    is_next_new = pc.not_equal(entities.slice(1), entities.slice(0, len(entities) - 1))
    return pa.concat_arrays([build_boolean_array(np.array([not is_same])), is_next_new])


def _count_names(corpus: _Corpus, names: pa.Array) -> None:
    corpus.entities += len(names)
    words = pc.split_pattern(names, " ")
    ends = read_numbers(words.offsets)
    corpus.first_words.add(words.values.take(build_integer_array(ends[:-1])))
    corpus.last_words.add(words.values.take(build_integer_array(ends[1:] - 1)))


def _count_facts(corpus: _Corpus, facts: pa.ListArray, is_counted: pa.Array | None) -> None:
    """Add the distances of all facts, and the values of the texts whose values count."""
    flat = facts.flatten()
    fields = flat.field("field").dictionary_encode()
    codes, distances = read_numbers(fields.indices), flat.field("distance")
    known = read_numbers(distances.is_valid())
    words = np.where(known, read_numbers(distances), 0)
    for code, name in enumerate(fields.dictionary.to_pylist()):
        mask = codes == code
        counts = np.bincount(words[mask & known], minlength=1)
        corpus.distances[name] = _add_counts(
            corpus.distances.get(name, np.zeros(1, np.int64)), counts
        )
        corpus.no_head[name] = corpus.no_head.get(name, 0) + int((mask & ~known).sum())
    if is_counted is not None:
        flat = facts.filter(is_counted).flatten()
    _count_values(corpus, flat.field("field"), flat.field("value"))


def _count_values(corpus: _Corpus, fields: pa.Array, values: pa.Array) -> None:
    encoded = fields.dictionary_encode()
    codes = read_numbers(encoded.indices)
    for code, name in enumerate(encoded.dictionary.to_pylist()):
        tally = corpus.values.setdefault(name, _Tally())
        tally.add(values.filter(build_boolean_array(codes == code)))


def _add_counts(counts: np.ndarray, more: np.ndarray) -> np.ndarray:
    """Add two arrays of counts, which may differ in length."""
    total = np.zeros(max(len(counts), len(more)), np.int64)
    total[: len(counts)] += counts
    total[: len(more)] += more
    return total


def _to_histogram(counts: np.ndarray) -> Histogram:
    return {int(number): int(counts[number]) for number in np.flatnonzero(counts)}


def _count_sharing(tally: _Tally) -> Histogram:
    """Count how many names are shared by each number of entities."""
    return _to_histogram(np.bincount(tally.merge()[1], minlength=1))


def _compute_field_statistics(
    corpus: _Corpus, order: tuple[str, ...]
) -> dict[str, FieldStatistics]:
    statistics = {}
    stated = [name for name in order if name in corpus.distances]
    for name in [*stated, *sorted(corpus.distances.keys() - set(stated))]:
        distances = corpus.distances[name]
        values, counts = corpus.values.get(name, _Tally()).merge()
        most_frequent = ("", 0)
        if len(counts):
            is_most = build_boolean_array(counts == counts.max())
            most_frequent = (pc.min(values.filter(is_most)).as_py(), int(counts.max()))
        counts = np.sort(counts)[::-1].astype(np.float64)
        shares = counts / counts.sum()
        statistics[name] = FieldStatistics(
            facts=int(distances.sum()) + corpus.no_head[name],
            distinct_values=len(counts),
            entropy=float(-(shares * np.log2(shares)).sum()) + 0.0,
            repeated_values=int((counts > 1).sum()),
            most_frequent=most_frequent,
            distances=_to_histogram(distances),
            no_head_before=corpus.no_head[name],
        )
    return statistics
