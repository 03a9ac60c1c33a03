"""The original and the copies of each document, made from scores; this imports no PyTorch."""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute creates its functions when it is imported)

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from elusive.augment.arms import ARMS, drops_tokens
from elusive.augment.arrays.joining import (
    Layout,
    join_kept,
    lay_out_documents,
    lay_out_pieces,
    write_rows,
)
from elusive.augment.arrays.texts import (
    SpanArrays,
    Texts,
    count_up,
    count_within,
    flatten_spans,
    join_texts,
)
from elusive.augment.config import RESTATE, AugmentConfig
from elusive.augment.drop_probabilities import (
    compute_drop_probabilities,
    compute_thresholds,
    draw_keep_mask,
)
from elusive.augment.dropping import find_units_before, mark_all_droppable
from elusive.augment.rewrites import NEW_WORDS, REARRANGEMENTS, Arrange, Rewrite, RewriteInputs
from elusive.augment.scores.token_scores import TokenScores
from elusive.common.dataset.records import (
    SCHEMAS,
    Document,
    Question,
    TrainingText,
    from_table,
    to_table,
)
from elusive.common.seeding import derived_seed, hash_names, hashed, stream
from elusive.common.text.sentences import join_pieces

DRAWS = 2
"""To be raised when equal settings draw other copies."""
SCHEMA = SCHEMAS[TrainingText]
BATCH = 512
"""Documents whose copies are made together."""


def build_training_texts(
    documents: list[Document],
    scored: list[TokenScores],
    config: AugmentConfig,
    epoch: int = 0,
    questions: Sequence[Question] = (),
    originals: list[Document] | None = None,
) -> list[TrainingText]:
    """Build the original and `config.copies` copies of every document as records.

    Arguments and errors as in `iterate_copies`.
    """
    batches = iterate_copies(documents, scored, config, epoch, questions, originals)
    return [text for batch in batches for text in from_table(batch, TrainingText)]


def iterate_copies(
    documents: list[Document],
    scored: list[TokenScores],
    config: AugmentConfig,
    epoch: int = 0,
    questions: Sequence[Question] = (),
    originals: list[Document] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the original and `config.copies` copies of every document, document by document.

    Without originals, there is one more copy, so that the number of texts is the same.

    Every draw is a hash of the seed, the document's id, the copy and the unit, so no document and
    no copy depends on another. Every epoch has different copies; `elusive augment` writes those of
    epoch 0.

    Args:
        documents: what copies are made of; where sentences say their clues again, the restated
            documents.
        scored: scores of their units.
        config: settings of the arm.
        epoch: number of the epoch.
        questions: of the dataset.
        originals: the documents as the dataset has them; by default `documents`.

    Yields:
        Rows of the schema of `TrainingText`, for `BATCH` documents at a time.

    Raises:
        InputError: the arm cannot rewrite these documents.
    """
    prepare = NEW_WORDS.get(config.method)
    rewrites = prepare(documents, RewriteInputs(config, questions, epoch)) if prepare else []
    for start in range(0, len(documents), BATCH):
        chosen = slice(start, start + BATCH)
        if prepare:
            texts = list(_write_copies(documents[chosen], rewrites[chosen], config, epoch))
            yield to_table(texts, TrainingText).combine_chunks().to_batches()[0]
        else:
            batch = DocumentBatch(documents[chosen], scored[chosen], config, epoch)
            yield batch.build(originals[chosen] if originals else None)


def draws_by_hash(config: AugmentConfig) -> bool:
    """Return whether copies depend on how hashes are turned into draws, which `DRAWS` counts."""
    return drops_tokens(config.method) or config.permutes


def reads_questions(config: AugmentConfig) -> bool:
    """Return whether copies are made from the questions of the dataset."""
    return config.method == "questions"


def list_copies(config: AugmentConfig) -> list[int]:
    """List the numbers of a document's copies: from 1, with one more if there is no original."""
    return list(range(1, config.copies + 1 + (not config.original)))


def find_drop_probabilities(
    document: Document, scored: TokenScores, config: AugmentConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Find which units may be dropped, and each unit's drop probability.  # both (unit,)."""
    batch = DocumentBatch([document], [scored], config)
    return batch.droppable, batch.probabilities


@dataclass(frozen=True)
class DocumentBatch:
    """Documents whose copies are made together."""

    documents: list[Document]
    scored: list[TokenScores]
    config: AugmentConfig
    epoch: int = 0

    @cached_property
    def texts(self) -> Texts:
        """The characters of all documents."""
        return join_texts([document.text for document in self.documents])

    @cached_property
    def units(self) -> SpanArrays:
        """The units of all documents."""
        return flatten_spans([scores.units for scores in self.scored])

    @cached_property
    def originals(self) -> Layout:
        """The documents as they are."""
        return lay_out_documents(self.texts, self.units)

    @cached_property
    def droppable(self) -> np.ndarray:
        """Mark the units that may be dropped.  # (unit,)."""
        protected = flatten_spans([[]] * len(self.documents))
        if self.config.protect == "values":
            protected = flatten_spans(
                [(fact.start, fact.end) for fact in document.facts] for document in self.documents
            )
        elif self.config.protect == "before-values":
            protected = flatten_spans(
                find_units_before(scores.units, [fact.start for fact in document.facts])
                for document, scores in zip(self.documents, self.scored, strict=True)
            )
        return mark_all_droppable(self.texts, self.units, protected)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Compute each unit's drop probability.  # (unit,)."""
        config = self.config
        matched = config.method not in ARMS or ARMS[config.method].matched
        scores = np.concatenate([scores.scores for scores in self.scored])
        return compute_drop_probabilities(
            scores, self.droppable, config.alpha, config.beta, matched, self.units.documents
        )

    def build(self, originals: list[Document] | None = None) -> pa.RecordBatch:
        """Build the rows of all originals and copies, document by document.

        Args:
            originals: the originals, if they are not the documents that copies are made of.
        """
        copies = [self._build_original(originals)] if self.config.original else []
        rearrange = self._prepare_rearrangement()
        copies += [self._build_copy(copy, rearrange) for copy in list_copies(self.config)]
        # 1) Put the copies of one document together, which stand in tables of their own.
        order = np.arange(len(copies) * len(self.documents)).reshape(len(copies), -1).T.ravel()
        table = pa.concat_tables(copies).combine_chunks().take(pa.array(order))
        # 2) Add what is the same for all.
        drops = drops_tokens(self.config.method)
        settings = {
            "method": self.config.method,
            "alpha": self.config.alpha if drops else None,
            "beta": self.config.beta if drops else None,
            "seed": self.config.seed,
        }
        for name, value in settings.items():
            column = pa.repeat(pa.scalar(value, SCHEMA.field(name).type), len(table))
            table = table.append_column(name, column)
        return table.select(SCHEMA.names).cast(SCHEMA).combine_chunks().to_batches()[0]

    def _prepare_rearrangement(self) -> Arrange | None:
        config = self.config
        has_own = config.method in REARRANGEMENTS and config.method != RESTATE
        name = config.method if has_own else config.rewrite
        rearrange = REARRANGEMENTS.get(name)
        return rearrange(self.documents) if rearrange else None

    def _build_original(self, originals: list[Document] | None) -> pa.Table:
        texts, pieces = self._written_originals
        if originals:
            whole = flatten_spans([(0, len(document.text))] for document in originals)
            texts = pa.array([document.text for document in originals], pa.string())
            pieces = whole.to_arrow()
        return self._build_table(0, texts, pieces, pieces, None)

    @cached_property
    def _written_originals(self) -> tuple[pa.StringArray, pa.ListArray]:
        return write_rows(self.originals), self.originals.pieces.to_arrow()

    def _build_copy(self, copy: int, rearrange: Arrange | None) -> pa.Table:
        layout, (texts, pieces) = self.originals, self._written_originals
        if rearrange:
            layout = lay_out_pieces(layout, *rearrange(copy, self._derive_key("pieces", copy)))
            texts, pieces = write_rows(layout), layout.pieces.to_arrow()
        if not drops_tokens(self.config.method):
            return self._build_table(copy, texts, pieces, pieces, None)
        keep_mask = self.draw_keep_mask(copy)
        joined, kept = join_kept(layout.parts, keep_mask)
        num_dropped = np.diff(count_up(~keep_mask)[self.units.offsets])
        # White space stays as it is in a copy from which nothing is dropped.
        if not num_dropped.all():
            joined = pc.if_else(pa.array(num_dropped > 0), joined, texts)
        rates = num_dropped / np.maximum(self.units.lengths, 1)
        return self._build_table(copy, joined, kept, pieces, rates)

    def draw_keep_mask(self, copy: int) -> np.ndarray:
        """Draw True for each unit that a copy keeps.  # (unit,)."""
        keys = hashed(self._derive_key("units", copy), self._names)
        return draw_keep_mask(self._thresholds, np.repeat(keys, self.units.lengths), self._indices)

    @cached_property
    def _thresholds(self) -> np.ndarray:
        return compute_thresholds(self.probabilities)

    @cached_property
    def _indices(self) -> np.ndarray:
        """Index of each unit in its document.  # (unit,)."""
        return count_within(self.units.offsets)

    def _derive_key(self, purpose: str, copy: int) -> int:
        return derived_seed(self.config.seed, purpose, copy, self.epoch)

    @cached_property
    def _doc_ids(self) -> pa.Array:
        return pa.array([document.doc_id for document in self.documents], pa.string())

    @cached_property
    def _names(self) -> np.ndarray:
        return hash_names(document.doc_id for document in self.documents)

    def _build_table(
        self,
        copy: int,
        texts: pa.StringArray,
        kept: pa.ListArray,
        pieces: pa.ListArray,
        rates: np.ndarray | None,
    ) -> pa.Table:
        count = len(self.documents)
        return pa.table(
            {
                "doc_id": self._doc_ids,
                "copy": pa.repeat(pa.scalar(copy, pa.int32()), count),
                "text": texts,
                "kept": kept,
                "pieces": pieces,
                "drop_rate": np.zeros(count) if rates is None else rates,
            }
        )


def _write_copies(
    documents: list[Document], rewrites: list[Rewrite], config: AugmentConfig, epoch: int
) -> Iterator[TrainingText]:
    epoch_key = (epoch,) if epoch else ()
    for document, rewrite in zip(documents, rewrites, strict=True):
        whole = [(0, len(document.text))]
        original = TrainingText(
            *(document.doc_id, 0, document.text, whole, whole, 0.0),
            *(config.method, None, None, config.seed),
        )
        if config.original:
            yield original
        for copy in list_copies(config):
            rng = stream(config.seed, "copies", document.doc_id, copy, *epoch_key)
            text, kept = rewrite(document, rng, copy)
            is_arranged = join_pieces(document.text, kept, document.language) == text
            pieces = kept if is_arranged else []
            yield replace(original, copy=copy, text=text, kept=kept, pieces=pieces)
