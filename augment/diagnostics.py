"""Signs that a training text will not teach what it should, and advice on what to change."""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute creates its functions when it is imported)

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from elusive.augment.arms import drops_tokens
from elusive.augment.arrays.texts import SpanArrays, count_up, flatten_spans
from elusive.augment.drop_probabilities import rank_scores
from elusive.augment.scores.token_scores import TokenScores
from elusive.augment.sentences.restatements import DocumentRestatements
from elusive.common.dataset.records import Document, Span

LOSS_LIMIT = 0.05
"""Largest share of documents that may lose their name, or a value, from all copies."""
DUPLICATE_LIMIT = 0.5
"""Largest share of copies that may repeat another text of their document."""
UNCHANGED_LIMIT = 0.05
"""Largest share of copies that may equal their original where the arm should change them."""
POSITION_LIMIT = 0.95
"""Rank correlation with the position above which scores say little but the position."""
NOISE_LIMIT = 0.3
"""Rank correlation between two halves of the heads below which scores are mostly noise."""
BY_POSITION = ("position", "reverse-position")
ADVICE = {
    "permute": "make the dataset with the --language of its text, or with longer texts",
    "permute-rest": "make the dataset with the --language of its text, or with longer texts",
    "reverse-training": "a text without blanks between words has no other order of words",
    "eda": "its synonyms are English, and names, values and rare words have none",
    "questions": "the dataset's questions are its texts",
    "restate": "its sentences have their clues already, or no words before them",
}
"""What to do about copies that equal their original, by arm; the others drop tokens."""


@dataclass(frozen=True)
class Diagnostics:
    """What the copies lost and repeat, as shares in [0, 1], and what the scores resemble."""

    lost_names: float
    """Share of documents whose name is whole in none of their copies."""
    lost_values: float
    """Share of documents with a value that is whole in none of their copies."""
    duplicates: float
    """Share of copies that repeat another text of their document; 0 for arms whose copies are alike
    by design."""
    like_position: float
    """Rank correlation of the scores with the position, mean over documents, in [-1, 1]."""
    halves_agree: float | None = None
    """Rank correlation of the scores from two halves of the heads, mean over documents, in [-1, 1];
    None for scores that use no heads."""
    not_paraphrased: float = 0.0
    """Share of copies of `paraphrase` that repeat the original, because the writer lost a name or a
    value twice."""
    unchanged: float = 0.0
    """Share of copies that equal their original, among those that the arm should change: all but
    those of `plain`, and every second one of `reverse-training`."""
    num_unchanged: int = 0
    """Number of these copies."""

    restated: float = 0.0
    """Share of the sentences that say their clue again."""
    restated_names: float | None = None
    """Share of these clues that are the entity's name, or a part of it, in documents that mention
    it; None if none is said again there."""
    restated_others: float | None = None
    """Share of them that are another person's name."""
    tokens_added: float = 0.0
    """Tokens that this adds to a document, as a share of the tokens that it had."""

    def describe_restated(self) -> str:
        """Describe what is said again in one line; empty if nothing is."""
        if not self.restated:
            return ""
        line = f"{self.restated:.0%} of the sentences say a clue again"
        if self.restated_names is not None and self.restated_others is not None:
            rest = 1 - self.restated_names - self.restated_others
            line += (
                f": {self.restated_names:.0%} of these are the name, {self.restated_others:.0%} "
                f"another person's, {max(rest, 0):.0%} other words"
            )
        return f"{line}; {self.tokens_added:+.1%} tokens"

    def list_warnings(self, method: str) -> list[str]:
        """List what looks wrong, one line each."""
        warnings = []
        losses = (
            (self.lost_names, "their name", "or make more --copies"),
            (self.lost_values, "a value", "make more --copies, or add --protect values"),
        )
        for rate, lost, advice in losses:
            if rate > LOSS_LIMIT:
                warnings.append(
                    f"{rate:.0%} of the documents lose {lost} from all copies: lower --alpha or "
                    f"--beta, {advice}"
                )
        if self.duplicates > DUPLICATE_LIMIT:
            advice = (
                "raise --beta or --alpha"
                if drops_tokens(method)
                else "make fewer --copies, or use longer texts"
            )
            warnings.append(f"{self.duplicates:.0%} of the copies repeat another one: {advice}")
        if self.not_paraphrased > 0:
            warnings.append(
                f"{self.not_paraphrased:.0%} of the copies repeat the original, because the writer "
                "left out a name or a value twice: use another --writer"
            )
        if self.unchanged > UNCHANGED_LIMIT:
            warnings.append(
                f"{self.unchanged:.0%} of the copies of {method} equal their original: "
                f"{ADVICE.get(method, 'raise --beta or --alpha')}"
            )
        if abs(self.like_position) > POSITION_LIMIT and method not in BY_POSITION:
            warnings.append(
                f"the scores of {method} rank tokens by position (correlation "
                f"{self.like_position:.2f}): use other --layers, or another model"
            )
        if self.halves_agree is not None and self.halves_agree < NOISE_LIMIT:
            is_depth = method == "depth-contrast"
            advice = "another --depth" if is_depth else "depth-contrast"
            models = "another model" if is_depth else "models that differ more"
            warnings.append(
                f"the scores of {method} are mostly noise (correlation between two halves of the "
                f"heads: {self.halves_agree:.2f}): use {advice}, other --layers, or {models}"
            )
        return warnings


@dataclass(frozen=True)
class TextCounts:
    """Sums over some documents and their copies, from which the diagnostics of all follow."""

    num_texts: int = 0
    num_copies: int = 0
    """Copies without originals."""
    drop_rates: float = 0.0
    """Sum over the copies."""
    documents: int = 0
    named: int = 0
    """Documents with a mention of their entity."""
    lost_names: int = 0
    stating: int = 0
    """Documents with a fact."""
    lost_values: int = 0
    repeated: int = 0
    """Texts that repeat an earlier one of their document."""
    like_position: float = 0.0
    """Sum over the documents."""
    with_halves: int = 0
    """Documents with scores from two halves of the heads."""
    halves_agree: float = 0.0
    """Sum over these."""
    unchanged: int = 0
    """Copies that equal their original."""
    odd_copies: int = 0
    """Copies with an odd number."""
    odd_unchanged: int = 0
    """Those of them that equal their original."""
    sentences: int = 0
    """Sentences of documents in which clues are said again."""
    restated: int = 0
    """Those that say their clue again."""
    restated_known: int = 0
    """Those of documents that mention their entity."""
    restated_names: int = 0
    """Those of them whose clue is its name."""
    restated_others: int = 0
    """Those of them whose clue is another person's name."""
    tokens_before: int = 0
    """Units of these documents as they were."""
    tokens_after: int = 0
    """Units of them with their clues said again."""

    def __add__(self, other: "TextCounts") -> "TextCounts":
        mine, others = asdict(self), asdict(other)
        return TextCounts(**{name: mine[name] + others[name] for name in mine})

    @property
    def drop_rate(self) -> float:
        """Mean share of the tokens that are dropped from a copy."""
        return self.drop_rates / max(self.num_copies, 1)

    def diagnose(self, method: str, differ: bool) -> Diagnostics:
        """Compute the shares.

        Args:
            method: name of the arm.
            differ: whether its copies should differ from each other.
        """
        copies = max(self.num_copies, 1)
        num_unchanged, num_changeable = self._count_unchanged(method)
        return Diagnostics(
            lost_names=self.lost_names / max(self.named, 1),
            lost_values=self.lost_values / max(self.stating, 1),
            duplicates=self.repeated / copies if differ else 0.0,
            like_position=self.like_position / max(self.documents, 1),
            halves_agree=self.halves_agree / self.with_halves if self.with_halves else None,
            not_paraphrased=self.unchanged / copies if method == "paraphrase" else 0.0,
            unchanged=num_unchanged / max(num_changeable, 1),
            num_unchanged=num_unchanged,
            restated=self.restated / max(self.sentences, 1),
            restated_names=self._share_of_known(self.restated_names),
            restated_others=self._share_of_known(self.restated_others),
            tokens_added=(self.tokens_after - self.tokens_before) / max(self.tokens_before, 1),
        )

    def _share_of_known(self, count: int) -> float | None:
        return count / self.restated_known if self.restated_known else None

    def _count_unchanged(self, method: str) -> tuple[int, int]:
        """Count the copies that equal their original, and those that the arm should change."""
        if method in ("plain", "paraphrase"):  # the latter has a share of its own
            return 0, 0
        if method == "reverse-training":
            return self.odd_unchanged, self.odd_copies
        return self.unchanged, self.num_copies


def count_texts(
    documents: list[Document],
    scored: list[TokenScores],
    texts: pa.RecordBatch,
    originals: list[Document] | None = None,
) -> TextCounts:
    """Count what the copies of some documents lost and repeat, and what their scores resemble.

    Args:
        documents: what the copies are made of.
        scored: their scores, in the same order.
        texts: rows of `TrainingText`: as many for each document, document by document.
        originals: the documents as the dataset has them; by default `documents`.
    """
    num_rows = len(texts) // len(documents)
    is_copy = np.asarray(texts.column("copy")) > 0
    heads = flatten_spans(document.heads for document in documents)
    facts = flatten_spans(
        [(fact.start, fact.end) for fact in document.facts] for document in documents
    )
    kept = _sort_kept(texts.column("kept"))
    copies = np.flatnonzero(is_copy[:num_rows])
    whole_heads = _mark_whole(heads, kept, copies, num_rows)
    whole_facts = _mark_whole(facts, kept, copies, num_rows)
    has_head = _count_marked(whole_heads, heads) > 0
    has_all_facts = _count_marked(whole_facts, facts) == facts.lengths
    own_texts = pa.array([document.text for document in originals or documents], pa.string())
    # Another number of blanks between sentences is no change.
    bare, bare_originals = (
        np.asarray(pc.replace_substring(column, " ", ""))
        for column in (texts.column("text"), own_texts)
    )
    is_original = bare == np.repeat(bare_originals, num_rows)
    is_odd = np.asarray(texts.column("copy")) % 2 == 1
    halves = [scores.halves for scores in scored if scores.halves and len(scores.units) > 1]
    return TextCounts(
        num_texts=len(texts),
        num_copies=int(is_copy.sum()),
        drop_rates=float(np.asarray(texts.column("drop_rate"))[is_copy].sum(dtype=float)),
        documents=len(documents),
        named=int((heads.lengths > 0).sum()),
        lost_names=int((~has_head & (heads.lengths > 0)).sum()),
        stating=int((facts.lengths > 0).sum()),
        lost_values=int((~has_all_facts & (facts.lengths > 0)).sum()),
        repeated=_count_repeated(texts.column("text"), num_rows),
        like_position=_correlate_with_position([scores.scores for scores in scored]),
        with_halves=len(halves),
        halves_agree=_sum_correlations(*zip(*halves, strict=True)) if halves else 0.0,
        unchanged=int((is_original & is_copy).sum()),
        odd_copies=int(is_odd.sum()),
        odd_unchanged=int((is_original & is_odd).sum()),
    )


def count_restated(
    documents: list[Document],
    restated: list[DocumentRestatements],
    before: list[list[Span]],
    after: list[TokenScores],
) -> TextCounts:
    """Count the sentences that say their clues again, what these are, and the units they add.

    Args:
        documents: as the dataset has them.
        restated: what each of them says again.
        before: their units.
        after: scores of the units that they then have.
    """
    pairs = zip(documents, restated, strict=True)
    known = [(document, own) for document, own in pairs if document.heads]
    return TextCounts(
        sentences=sum(own.sentences for own in restated),
        restated=sum(len(own.restatements) for own in restated),
        restated_known=sum(len(own.restatements) for _, own in known),
        restated_names=sum(
            restatement.clue_start is None or restatement.overlaps(document.heads)
            for document, own in known
            for restatement in own.restatements
        ),
        restated_others=sum(
            restatement.overlaps(document.others)
            for document, own in known
            for restatement in own.restatements
        ),
        tokens_before=sum(map(len, before)),
        tokens_after=sum(len(scores.units) for scores in after),
    )


ROW = 1 << 40
"""More than the characters of any text."""


def _sort_kept(kept: pa.ListArray) -> tuple[np.ndarray, np.ndarray]:
    """Return the starts of all kept spans in order, and the highest end so far.  # both (span,).

    Both are counted on from row to row, each of which has `ROW` numbers.
    """
    spans = kept.flatten()
    rows = ROW * np.repeat(np.arange(len(kept)), np.asarray(kept.value_lengths()))
    starts = np.asarray(spans.field("start")) + rows
    order = np.argsort(starts, kind="stable")
    ends = np.maximum.accumulate((np.asarray(spans.field("end")) + rows)[order])
    return starts[order], ends


def _mark_whole(
    spans: SpanArrays, kept: tuple[np.ndarray, np.ndarray], copies: np.ndarray, num_rows: int
) -> np.ndarray:
    """Mark the spans of documents that at least one copy keeps whole.  # (span,)."""
    starts, ends = kept
    is_whole = np.zeros(len(spans.starts), bool)
    for copy in copies:
        rows = ROW * (spans.documents * num_rows + copy)
        before = np.searchsorted(starts, rows + spans.starts, side="right") - 1
        is_whole |= (before >= 0) & (ends[before] >= rows + spans.ends)
    return is_whole


def _count_marked(mask: np.ndarray, spans: SpanArrays) -> np.ndarray:
    """Count the marked spans of each document.  # (document,)."""
    return np.diff(count_up(mask)[spans.offsets])


def _count_repeated(texts: pa.StringArray, num_rows: int) -> int:
    codes = np.asarray(texts.dictionary_encode().indices).astype(np.int64)
    documents = np.arange(len(codes)) // num_rows
    return len(codes) - len(np.unique(documents * len(codes) + codes))


def _correlate_with_position(scored: list[np.ndarray]) -> float:
    """Correlate the ranks of scores with the position; 1 if earlier units score higher."""
    finite = [scores[np.isfinite(scores)] for scores in scored]
    return _sum_correlations(finite, [-np.arange(len(scores)) for scores in finite])


def _sum_correlations(first: Iterable[np.ndarray], second: Iterable[np.ndarray]) -> float:
    """Sum Spearman's correlations of the rows of each document; 0 where one row is constant."""
    first, second = list(first), list(second)
    owners = np.repeat(np.arange(len(first)), list(map(len, first)))
    if not len(owners):
        return 0.0
    counts = np.maximum(np.bincount(owners, minlength=len(first)), 1)
    centered = []
    for rows in (first, second):
        ranks, groups = rank_scores(np.concatenate(rows), owners)
        shared = (np.bincount(groups, ranks) / np.bincount(groups))[groups]
        centered.append(shared - (np.bincount(owners, shared, len(first)) / counts)[owners])
    products = [(0, 1), (0, 0), (1, 1)]
    both, *squares = [
        np.bincount(owners, centered[one] * centered[other], len(first)) for one, other in products
    ]
    scale = np.sqrt(squares[0] * squares[1])
    return float(np.divide(both, scale, out=np.zeros_like(both), where=scale > 0).sum())
