"""The arms: each is a function from documents to one score per token. The rest is shared.

Arms that write a text anew are in `rewriting.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from elusive.augment.config import METHOD_NAMES, AugmentConfig
from elusive.augment.dropping import overlaps
from elusive.augment.rewriting import REWRITES
from elusive.augment.scoring import (
    TokenScores,
    late_minus_early,
    mean_over_layers,
    score_attention,
)
from elusive.augment.tokens import encode, word_units
from elusive.common.errors import InputError
from elusive.common.models import LoadedModel, load_model, tokenizer_of
from elusive.common.records import Document, Span
from elusive.common.seeding import stream

LoadModel = Callable[[str], LoadedModel]


@dataclass(frozen=True)
class Scorers:
    """What a method may use beside the documents."""

    config: AugmentConfig
    load: LoadModel = load_model
    """From a model reference to the model."""
    load_tokenizer: Callable[[str], PreTrainedTokenizerBase] = tokenizer_of
    """From a model reference to its tokenizer."""

    def model(self, role: str) -> LoadedModel:
        """The model that the config names for a role: `model`, `large` or `small`."""
        return self.load(getattr(self.config, role))

    def check_roles(self) -> None:
        """Raise InputError if a model that the method cannot do without is not named."""
        for role in ROLES.get(self.config.method, ()):
            if getattr(self.config, role) is None:
                raise InputError(f"method {self.config.method!r} needs --{role} MODEL")

    def units(self, documents: list[Document]) -> list[list[Span]]:
        """Droppable units: tokens of the model in use, or words where no model is named."""
        reference = self.config.model or self.config.large
        if reference is None:
            return [word_units(document.text) for document in documents]
        tokenizer = self.load_tokenizer(reference)
        return [encode(document.text, tokenizer).units for document in documents]


def _score_each(
    score: Callable[[Document, list[Span], Scorers], np.ndarray],
) -> Callable[[list[Document], Scorers], list[TokenScores]]:
    """A method from a function that scores one document without a model."""

    def score_all(documents: list[Document], scorers: Scorers) -> list[TokenScores]:
        all_units = scorers.units(documents)
        return [
            TokenScores(units, score(document, units, scorers).astype(np.float32))
            for document, units in zip(documents, all_units, strict=True)
        ]

    return score_all


def _never_dropped(document: Document, units: list[Span], scorers: Scorers) -> np.ndarray:
    """Plain: the original, repeated."""
    return np.full(len(units), np.inf)


def _constant(document: Document, units: list[Span], scorers: Scorers) -> np.ndarray:
    """Random: ties share the mean of p(r), so the rate is matched by construction."""
    return np.zeros(len(units))


def _earlier_higher(document: Document, units: list[Span], scorers: Scorers) -> np.ndarray:
    """Position: what the released scoring code of the paper amounts to."""
    return -np.arange(len(units))


def _later_higher(document: Document, units: list[Span], scorers: Scorers) -> np.ndarray:
    """Reverse position."""
    return np.arange(len(units))


def _permuted(document: Document, units: list[Span], scorers: Scorers) -> np.ndarray:
    """Shuffled: the ranks of a contrast, permuted. Any tie-free ranks permute to the same, so no
    model is asked. Unlike random, the same tokens are favoured in every copy, as in contrast."""
    rng = stream(scorers.config.seed, "shuffled", document.doc_id)
    return rng.permutation(len(units))


def _gold(document: Document, units: list[Span], scorers: Scorers) -> np.ndarray:
    """Oracle: names and values are never dropped, everything else takes the same rate."""
    spans = [*document.heads, *((fact.start, fact.end) for fact in document.facts)]
    return np.where(overlaps(units, spans), np.inf, 0.0)


def _attention(documents: list[Document], scorers: Scorers) -> list[TokenScores]:
    """Attention received under one model, mean over layers, heads and later queries."""
    return score_attention(documents, scorers.model("model"), mean_over_layers)


def _contrast(documents: list[Document], scorers: Scorers) -> list[TokenScores]:
    """Attention received under the large model minus under the small one (arXiv 2409.17954)."""
    large = score_attention(documents, scorers.model("large"), mean_over_layers)
    small = score_attention(documents, scorers.model("small"), mean_over_layers)
    scores = []
    for document, by_large, by_small in zip(documents, large, small, strict=True):
        if by_large.units != by_small.units:
            raise InputError(
                f"{scorers.config.large!r} and {scorers.config.small!r} cut document "
                f"{document.doc_id!r} into different tokens: choose two models with one tokenizer"
            )
        scores.append(TokenScores(by_large.units, by_large.scores - by_small.scores))
    return scores


def _depth_contrast(documents: list[Document], scorers: Scorers) -> list[TokenScores]:
    """One model: attention received over all layers minus over its first layers."""
    return score_attention(
        documents, scorers.model("model"), late_minus_early(scorers.config.depth)
    )


METHODS: dict[str, Callable[[list[Document], Scorers], list[TokenScores]]] = {
    "plain": _score_each(_never_dropped),
    "random": _score_each(_constant),
    "attention": _attention,
    "contrast": _contrast,
    "depth-contrast": _depth_contrast,
    "position": _score_each(_earlier_higher),
    "reverse-position": _score_each(_later_higher),
    "shuffled": _score_each(_permuted),
    "oracle": _score_each(_gold),
    "permute": _score_each(_never_dropped),
}
assert tuple(METHODS) == METHOD_NAMES

NOT_DROPPING = ("plain", *REWRITES)
"""Methods to which Equation 1 does not apply."""

ROLES = {"attention": ("model",), "contrast": ("large", "small"), "depth-contrast": ("model",)}
"""Models that a method cannot do without."""
