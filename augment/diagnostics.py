"""Signs that a training text will not teach what it should, and advice on what to change."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from elusive.augment.clues.targets import compute_rank_correlation
from elusive.augment.scores.token_scores import TokenScores
from elusive.common.dataset.records import Document, Span, TrainingText

LOSS_LIMIT = 0.05
"""Largest share of documents that may lose their name, or a value, from all copies."""
DUPLICATE_LIMIT = 0.5
"""Largest share of copies that may repeat another text of their document."""
POSITION_LIMIT = 0.95
"""Rank correlation with the position above which scores say little but the position."""
NOISE_LIMIT = 0.3
"""Rank correlation between two halves of the heads below which scores are mostly noise."""
BY_POSITION = ("position", "reverse-position")


@dataclass(frozen=True)
class Diagnostics:
    """What the copies lost and repeat, as shares in [0, 1], and what the scores resemble."""

    lost_names: float
    """Share of documents whose name is whole in none of their copies."""
    lost_values: float
    """Share of documents with a value that is whole in none of their copies."""
    duplicates: float
    """Share of copies that repeat another text of their document; 0 for arms that drop nothing."""
    like_position: float
    """Rank correlation of the scores with the position, mean over documents, in [-1, 1]."""
    halves_agree: float | None = None
    """Rank correlation of the scores from two halves of the heads, mean over documents, in [-1, 1];
    None for scores that use no heads."""
    not_paraphrased: float = 0.0
    """Share of copies of `paraphrase` that repeat the original, because the writer lost a name or a
    value twice."""

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
            warnings.append(
                f"{self.duplicates:.0%} of the copies repeat another one: raise --beta or --alpha"
            )
        if self.not_paraphrased > 0:
            warnings.append(
                f"{self.not_paraphrased:.0%} of the copies repeat the original, because the writer "
                "left out a name or a value twice: use another --writer"
            )
        if abs(self.like_position) > POSITION_LIMIT and method not in BY_POSITION:
            warnings.append(
                f"the scores of {method} rank tokens by position (correlation "
                f"{self.like_position:.2f}): use other --layers, or another model"
            )
        if self.halves_agree is not None and self.halves_agree < NOISE_LIMIT:
            warnings.append(
                f"the scores of {method} are mostly noise (correlation between two halves of the "
                f"heads: {self.halves_agree:.2f}): use depth-contrast, other --layers, or models "
                "that differ more"
            )
        return warnings


def diagnose(
    documents: list[Document], scored: list[TokenScores], texts: list[TrainingText], drops: bool
) -> Diagnostics:
    """Check what the copies of a training text lost and repeat, and what its scores resemble.

    Args:
        documents: the originals.
        scored: their scores, in the same order.
        texts: the original and the copies of each document, document by document in that order.
        drops: whether the arm drops tokens, so that its copies should differ.
    """
    groups = [list(group) for _, group in groupby(texts, key=lambda text: text.doc_id)]
    copies = [[text for text in group if text.copy > 0] for group in groups]
    pairs = list(zip(documents, copies, strict=True))
    names = [_is_lost(document.heads, group) for document, group in pairs if document.heads]
    values = [
        any(_is_lost([(fact.start, fact.end)], group) for fact in document.facts)
        for document, group in pairs
        if document.facts
    ]
    num_repeated = sum(len(group) - len({text.text for text in group}) for group in groups)
    num_copies = sum(map(len, copies))
    agreements = [
        compute_rank_correlation(*scores.halves)
        for scores in scored
        if scores.halves and len(scores.units) > 1
    ]
    return Diagnostics(
        lost_names=_mean(names),
        lost_values=_mean(values),
        duplicates=num_repeated / num_copies if drops and num_copies else 0.0,
        like_position=_mean([_correlate_with_position(scores.scores) for scores in scored]),
        halves_agree=_mean(agreements) if agreements else None,
        not_paraphrased=_mean(
            [
                text.text == document.text
                for document, group in pairs
                for text in group
                if text.method == "paraphrase"
            ]
        ),
    )


def _is_lost(spans: list[Span], copies: list[TrainingText]) -> bool:
    """Return whether no copy holds any of the spans whole."""
    return not any(
        first <= start and end <= last
        for text in copies
        for first, last in text.kept
        for start, end in spans
    )


def _correlate_with_position(scores: np.ndarray) -> float:
    """Correlate the ranks of scores with the position; 1 if earlier units score higher."""
    finite = scores[np.isfinite(scores)]
    return compute_rank_correlation(finite, -np.arange(len(finite)))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
