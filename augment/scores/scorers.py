"""The arms: each is a function from documents to one score per token. The rest is shared.

Arms that write a text anew are in `rewriting.py`.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np
from transformers import PreTrainedTokenizerBase

from elusive.augment.config import METHOD_NAMES, AugmentConfig
from elusive.augment.dropping import overlaps
from elusive.augment.rewrites import REWRITES
from elusive.augment.scores.alignment import moved_to
from elusive.augment.scores.cache import kept_scores
from elusive.augment.scores.log_probability import score_log_probability
from elusive.augment.scores.scoring import Reading, TokenScores, score_attention
from elusive.augment.scores.units import encode, word_units
from elusive.augment.user_scores import own_scores
from elusive.common.dataset.records import Document, Span
from elusive.common.errors import InputError
from elusive.common.lm.loading import (
    LoadedModel,
    fixed_threads,
    load_model,
    tokenizer_of,
    usual_dtype,
)
from elusive.common.lm.references import default_threads, reference_hash, settings_hash
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
    threads: int | None = None
    """CPU threads that models compute with; None for each model's default."""

    def model(self, role: str) -> LoadedModel:
        """The model that the config names for a role: `model`, `large` or `small`."""
        return self.load(getattr(self.config, role))

    def attention(
        self, role: str, documents: list[Document], minus_layers: str = ""
    ) -> list[TokenScores]:
        """Attention received under the model of a role, as the config has it read."""
        config = self.config
        reading = Reading(
            config.layers, minus_layers, config.heads, config.own_query, config.queries
        )
        return self._kept(
            role,
            documents,
            {"score": "attention", **asdict(reading)},
            lambda missing: score_attention(missing, self.model(role), reading),
        )

    def log_probability(self, role: str, documents: list[Document]) -> list[TokenScores]:
        """Log-probability of every token under the model of a role."""
        return self._kept(
            role,
            documents,
            {"score": "log-probability"},
            lambda missing: score_log_probability(missing, self.model(role)),
        )

    def _kept(
        self,
        role: str,
        documents: list[Document],
        definition: dict[str, object],
        score: Callable[[list[Document]], list[TokenScores]],
    ) -> list[TokenScores]:
        """Scores under the model of a role, read where they were made before."""
        reference = getattr(self.config, role)
        threads = self.threads or default_threads(reference)
        model = {
            "weights": reference_hash(reference),
            "settings": settings_hash(reference),
            "precision": str(usual_dtype(reference)),
            "threads": threads,
        }
        with fixed_threads(threads):
            return kept_scores(documents, definition | model, score)

    def check_roles(self) -> None:
        """Raise InputError if a model that the method cannot do without is not named."""
        for role in ROLES.get(self.config.method, ()):
            if getattr(self.config, role) is None:
                raise InputError(f"method {self.config.method!r} needs --{role} MODEL")

    def units(self, documents: list[Document]) -> list[list[Span]]:
        """Droppable units: tokens of the model in use, or words where no model is named."""
        reference = self.config.model or self.config.large
        if reference is None or self.config.unit == "word":
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
    return scorers.attention("model", documents)


def _contrast(documents: list[Document], scorers: Scorers) -> list[TokenScores]:
    """Attention received under the large model against under the small one (arXiv 2409.17954)."""
    compare = DIFFERENCES[scorers.config.difference]
    large, small = (scorers.attention(role, documents) for role in ("large", "small"))
    return _compared(large, small, compare)


def _reverse_contrast(documents: list[Document], scorers: Scorers) -> list[TokenScores]:
    """The contrast with its sign turned: what only the small model attends to."""
    return [replace(one, scores=-one.scores) for one in _contrast(documents, scorers)]


def _surprisal_contrast(documents: list[Document], scorers: Scorers) -> list[TokenScores]:
    """log p under the large model minus under the small one: what only the large one expects."""
    large, small = (scorers.log_probability(role, documents) for role in ("large", "small"))
    return _compared(large, small, np.subtract)


def _compared(
    large: list[TokenScores],
    small: list[TokenScores],
    compare: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> list[TokenScores]:
    """Two models' scores compared on the large one's tokens."""
    pairs = [(one, moved_to(one.units, other)) for one, other in zip(large, small, strict=True)]
    return [_compared_one(one, other, compare) for one, other in pairs]


def _compared_one(
    large: TokenScores, small: TokenScores, compare: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> TokenScores:
    """Scores of one document compared, halves of the heads with halves."""
    halves = None
    if large.halves and small.halves:
        first, second = (compare(*pair) for pair in zip(large.halves, small.halves, strict=True))
        halves = (first, second)
    scores = compare(large.scores, small.scores)
    return TokenScores(large.units, scores, large.seconds + small.seconds, halves)


def _log_ratio(large: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Logarithm of the ratio; attention of 0, that of a text's last token, counts as tiny."""
    return np.log(np.maximum(large, TINY)) - np.log(np.maximum(small, TINY))


def _depth_contrast(documents: list[Document], scorers: Scorers) -> list[TokenScores]:
    """One model: attention received over all layers minus over its first layers."""
    return scorers.attention("model", documents, minus_layers=f"0.0-{scorers.config.depth:.6f}")


TINY = 1e-9
DIFFERENCES = {"minus": np.subtract, "log-ratio": _log_ratio}

METHODS: dict[str, Callable[[list[Document], Scorers], list[TokenScores]]] = {
    "plain": _score_each(_never_dropped),
    "random": _score_each(_constant),
    "attention": _attention,
    "contrast": _contrast,
    "depth-contrast": _depth_contrast,
    "reverse-contrast": _reverse_contrast,
    "surprisal-contrast": _surprisal_contrast,
    "position": _score_each(_earlier_higher),
    "reverse-position": _score_each(_later_higher),
    "shuffled": _score_each(_permuted),
    "oracle": _score_each(_gold),
    "permute": _score_each(_never_dropped),
    "eda": _score_each(_never_dropped),
    "reverse-training": _score_each(_never_dropped),
    "d-ar": _score_each(_never_dropped),
    "attention-dropout": _score_each(_never_dropped),
    "rho-1": _score_each(_never_dropped),
}
assert tuple(METHODS) == METHOD_NAMES


def method_of(config: AugmentConfig) -> Callable[[list[Document], Scorers], list[TokenScores]]:
    """The arm that a config names: one of `METHODS`, or one of the user's own."""
    if config.method_file:
        return _score_each(_own)
    return METHODS[config.method]


def _own(document: Document, units: list[Span], scorers: Scorers) -> np.ndarray:
    """What the user's own function says."""
    assert scorers.config.method_file is not None
    return own_scores(scorers.config.method_file, document, units)


IN_TRAINING = ("d-ar", "attention-dropout", "rho-1")
"""Methods whose text is plain: they act in training, step by step."""
NOT_DROPPING = ("plain", *REWRITES, *IN_TRAINING)
"""Methods to which Equation 1 does not apply."""

ROLES = {
    "attention": ("model",),
    "depth-contrast": ("model",),
    "contrast": ("large", "small"),
    "reverse-contrast": ("large", "small"),
    "surprisal-contrast": ("large", "small"),
    "rho-1": ("reference",),
}
"""Models that a method cannot do without."""
