"""Scores of the arms that drop tokens: each is a function from documents to one score per token.

Ranks, Equation 1, protected spans, rate and output are shared, so arms differ in nothing else.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
from transformers import PreTrainedTokenizerBase

from elusive.augment.arms import ARMS, drops_tokens
from elusive.augment.config import AugmentConfig
from elusive.augment.dropping import mark_overlaps
from elusive.augment.scores.alignment import contrast_scores, move_to_words
from elusive.augment.scores.cache import read_or_score
from elusive.augment.scores.log_probability import score_log_probability
from elusive.augment.scores.scoring import Reading, score_attention
from elusive.augment.scores.token_scores import TokenScores
from elusive.augment.scores.units import encode, word_units
from elusive.augment.user_scores import compute_user_scores
from elusive.common.dataset.records import Document, Span
from elusive.common.errors import InputError
from elusive.common.lm.loading import (
    LoadedModel,
    choose_model_dtype,
    load_model,
    load_model_tokenizer,
    use_threads,
)
from elusive.common.lm.references import choose_threads, hash_model_weights, hash_settings
from elusive.common.seeding import stream

TINY = 1e-9
"""Attention below this counts as this in a ratio; a text's last token receives none at all."""


@dataclass(frozen=True)
class Scorers:
    """What a score may use beside the documents."""

    config: AugmentConfig
    load: Callable[[str], LoadedModel] = load_model
    """From a model reference to the model."""
    load_tokenizer: Callable[[str], PreTrainedTokenizerBase] = load_model_tokenizer
    """From a model reference to its tokenizer."""
    threads: int | None = None
    """CPU threads that models compute with; None for each model's default."""

    def check_models(self) -> None:
        """Raise InputError if a model that the arm cannot do without is not named."""
        arm = ARMS.get(self.config.method)
        for role in arm.models if arm else ():
            if getattr(self.config, role) is None:
                raise InputError(f"method {self.config.method!r} needs --{role} MODEL")

    def cut_units(self, documents: list[Document]) -> list[list[Span]]:
        """Droppable units: tokens of the model in use, or words where no model is named."""
        reference = self.config.model or self.config.large
        if reference is None or self.config.unit == "word":
            return [word_units(document.text) for document in documents]
        tokenizer = self.load_tokenizer(reference)
        return [encode(document.text, tokenizer).units for document in documents]

    def score_attention(
        self, role: str, documents: list[Document], minus_depth: float | None = None
    ) -> list[TokenScores]:
        """Attention received under the model of a role, as the config has it read."""
        config = self.config
        reading = Reading(
            config.layers, minus_depth, config.heads, config.own_query, config.queries
        )
        definition = {"score": "attention", **asdict(reading)}
        return self._read_or_score(
            role, documents, definition, partial(score_attention, reading=reading)
        )

    def score_log_probability(self, role: str, documents: list[Document]) -> list[TokenScores]:
        """Log-probability of every token under the model of a role."""
        return self._read_or_score(
            role, documents, {"score": "log-probability"}, score_log_probability
        )

    def _read_or_score(
        self,
        role: str,
        documents: list[Document],
        definition: dict[str, object],
        score: Callable[[list[Document], LoadedModel], list[TokenScores]],
    ) -> list[TokenScores]:
        """Scores under the model of a role, which is loaded only if the cache lacks some."""
        reference = getattr(self.config, role)
        threads = self.threads or choose_threads(reference)
        model = {
            "weights": hash_model_weights(reference),
            "settings": hash_settings(reference),
            "precision": str(choose_model_dtype(reference)),
            "threads": threads,
        }
        with use_threads(threads):
            return read_or_score(
                documents,
                definition | model,
                lambda missing: score(missing, self.load(reference)),
            )


Score = Callable[[list[Document], Scorers], list[TokenScores]]


def score_documents(documents: list[Document], scorers: Scorers) -> list[TokenScores]:
    """Score the units of every document under the arm of the config.

    Units of arms that drop nothing score +inf, which is never dropped.
    """
    config = scorers.config
    if config.method_file:
        score = _score_each(_user_score)
    elif drops_tokens(config.method):
        score = SCORES[config.method]
    else:
        score = _score_each(_never_dropped)
    scored = score(documents, scorers)
    return move_to_words(documents, scored) if config.unit == "word" else scored


def _score_each(score: Callable[[Document, list[Span], Scorers], np.ndarray]) -> Score:
    """A score from a function that scores one document without a model."""

    def score_all(documents: list[Document], scorers: Scorers) -> list[TokenScores]:
        return [
            TokenScores(units, score(document, units, scorers).astype(np.float32))
            for document, units in zip(documents, scorers.cut_units(documents), strict=True)
        ]

    return score_all


def _user_score(document: Document, units: list[Span], scorers: Scorers) -> np.ndarray:
    assert scorers.config.method_file is not None
    return compute_user_scores(scorers.config.method_file, document, units)


def _never_dropped(document: Document, units: list[Span], scorers: Scorers) -> np.ndarray:
    return np.full(len(units), np.inf)


def _constant(document: Document, units: list[Span], scorers: Scorers) -> np.ndarray:
    """Ties share the mean of p(r), so the rate is that of every other arm by construction."""
    return np.zeros(len(units))


def _earlier_higher(document: Document, units: list[Span], scorers: Scorers) -> np.ndarray:
    """What the paper's released scoring code amounts to."""
    return -np.arange(len(units))


def _later_higher(document: Document, units: list[Span], scorers: Scorers) -> np.ndarray:
    return np.arange(len(units))


def _shuffled(document: Document, units: list[Span], scorers: Scorers) -> np.ndarray:
    """The ranks of a contrast, permuted. Any ranks without ties permute to the same, so no model is
    asked. Unlike random, the same tokens are favored in every copy, as in the contrast."""
    rng = stream(scorers.config.seed, "shuffled", document.doc_id)
    return rng.permutation(len(units))


def _gold(document: Document, units: list[Span], scorers: Scorers) -> np.ndarray:
    """Names and values are never dropped; everything else takes the same rate."""
    spans = [*document.heads, *((fact.start, fact.end) for fact in document.facts)]
    return np.where(mark_overlaps(units, spans), np.inf, 0.0)


def _attention(documents: list[Document], scorers: Scorers) -> list[TokenScores]:
    return scorers.score_attention("model", documents)


def _depth_contrast(documents: list[Document], scorers: Scorers) -> list[TokenScores]:
    return scorers.score_attention("model", documents, minus_depth=scorers.config.depth)


def _contrast(documents: list[Document], scorers: Scorers) -> list[TokenScores]:
    """Source: arXiv 2409.17954, section on data augmentation; the log ratio is this toolkit's."""
    compare = DIFFERENCES[scorers.config.difference]
    large, small = (scorers.score_attention(role, documents) for role in ("large", "small"))
    return [contrast_scores(*pair, compare) for pair in zip(large, small, strict=True)]


def _reverse_contrast(documents: list[Document], scorers: Scorers) -> list[TokenScores]:
    return [
        replace(contrast, scores=-contrast.scores) for contrast in _contrast(documents, scorers)
    ]


def _surprisal_contrast(documents: list[Document], scorers: Scorers) -> list[TokenScores]:
    large, small = (scorers.score_log_probability(role, documents) for role in ("large", "small"))
    return [contrast_scores(*pair) for pair in zip(large, small, strict=True)]


def _log_ratio(large: np.ndarray, small: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(large, TINY)) - np.log(np.maximum(small, TINY))


DIFFERENCES = {"minus": np.subtract, "log-ratio": _log_ratio}

SCORES: dict[str, Score] = {
    "random": _score_each(_constant),
    "attention": _attention,
    "contrast": _contrast,
    "depth-contrast": _depth_contrast,
    "reverse-contrast": _reverse_contrast,
    "surprisal-contrast": _surprisal_contrast,
    "position": _score_each(_earlier_higher),
    "reverse-position": _score_each(_later_higher),
    "shuffled": _score_each(_shuffled),
    "oracle": _score_each(_gold),
}
"""The arms of kind `score` in `augment/arms.py`, each with the function that scores documents."""
