"""Scores of the arms that drop tokens: each is a function from documents to one score per unit.

All arms share ranks, Equation 1, protected spans, rate and output, so they differ in the score
only.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256

import numpy as np
from transformers import PreTrainedTokenizerBase

from elusive.augment.arms import drops_tokens
from elusive.augment.clue_spans import list_entity_spans, mark_targets, split_sentences
from elusive.augment.config import AugmentConfig
from elusive.augment.dropping import mark_overlaps
from elusive.augment.scores.alignment import contrast_scores, move_to_units
from elusive.augment.scores.cache import hash_document, read_or_score
from elusive.augment.scores.log_probability import score_entropy, score_log_probability
from elusive.augment.scores.model_scores import Reading, score_attention
from elusive.augment.scores.sentence_scores import score_sentences
from elusive.augment.scores.token_scores import TokenScores
from elusive.augment.scores.units import cut_words, encode
from elusive.augment.scores.user_scores import compute_user_scores
from elusive.common.dataset.records import Document, Span
from elusive.common.large.devices import ONE, Devices
from elusive.common.large.processes import run_in_processes
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
"""Least attention in a ratio, as the last token of a text receives none at all."""


def _choose_one(reference: str) -> Devices:
    return ONE


def _choose_same(devices: Devices, reference: str) -> Devices:
    return devices


@dataclass(frozen=True)
class Scorers:
    """What a score may use besides the documents."""

    config: AugmentConfig
    load: Callable[[str], LoadedModel] = load_model
    """Loads the model of a reference."""
    load_tokenizer: Callable[[str], PreTrainedTokenizerBase] = load_model_tokenizer
    """Loads the tokenizer of a model reference."""
    threads: int | None = None
    """Number of CPU threads that models compute with; None for each model's default."""
    choose_devices: Callable[[str], Devices] = _choose_one
    """Chooses what the model of a reference gets to compute with."""

    def cut_units(self, documents: list[Document]) -> list[list[Span]]:
        """Cut documents into the tokens of the model in use, or into words if there is none."""
        reference = self.config.model or self.config.large
        if reference is None or self.config.unit == "word":
            return [cut_words(document.text) for document in documents]
        tokenizer = self.load_tokenizer(reference)
        return [encode(document.text, tokenizer).units for document in documents]

    def score_attention(
        self, role: str, documents: list[Document], minus_depth: float | None = None
    ) -> list[TokenScores]:
        """Score by attention received under the model of a role, read as the config says."""
        config = self.config
        reading = Reading(
            config.layers, minus_depth, config.heads, config.own_query, config.queries
        )
        definition = {"score": "attention", **asdict(reading)}
        return self._read_or_score(
            role, documents, definition, partial(score_attention, reading=reading)
        )

    def score_sentences(
        self, role: str, documents: list[Document], minus_depth: float | None = None
    ) -> list[TokenScores]:
        """Score by attention received from each sentence.  # each (sentence, unit)."""
        reading = Reading(self.config.layers, minus_depth, self.config.heads)
        definition = {"score": "attention by sentence", **asdict(reading)}

        def score(documents: list[Document], scorer: LoadedModel) -> list[TokenScores]:
            scored = score_sentences(documents, scorer, reading)
            return [replace(scores, scores=scores.scores.ravel()) for scores in scored]

        scored = self._read_or_score(role, documents, definition, score, _hash_sentences)
        return [
            replace(scores, scores=scores.scores.reshape(len(split_sentences(document)), -1))
            for document, scores in zip(documents, scored, strict=True)
        ]

    def score_log_probability(self, role: str, documents: list[Document]) -> list[TokenScores]:
        """Score by log-probability under the model of a role."""
        scored = self._read_or_score(
            role, documents, {"score": "log-probability"}, score_log_probability
        )
        return [replace(scores, adds_up=True) for scores in scored]

    def score_entropy(self, role: str, documents: list[Document]) -> list[TokenScores]:
        """Score by the entropy of predictions under the model of a role."""
        return self._read_or_score(role, documents, {"score": "entropy"}, score_entropy)

    def _read_or_score(
        self,
        role: str,
        documents: list[Document],
        definition: dict[str, object],
        score: Callable[[list[Document], LoadedModel], list[TokenScores]],
        hash_one: Callable[[Document], str] = hash_document,
    ) -> list[TokenScores]:
        """Score under the model of a role, which is loaded only if the cache lacks some scores."""
        reference = getattr(self.config, role)
        threads = self.threads or choose_threads(reference)
        model = {
            "weights": hash_model_weights(reference),
            "settings": hash_settings(reference),
            "precision": str(choose_model_dtype(reference)),
            "threads": threads,
        }
        processes = self.choose_devices(reference).processes
        if processes > 1:

            def score_missing(missing: list[Document]) -> list[TokenScores]:
                inputs = (score, missing, reference, threads)
                return run_in_processes(processes, "heads", _score_in_process, *inputs)

            # The processes load the model anew for each chunk.
            return read_or_score(
                documents, definition | model, score_missing, len(documents) or 1, hash_one
            )
        with use_threads(threads):
            return read_or_score(
                documents,
                definition | model,
                lambda missing: score(missing, self.load(reference)),
                hash_one=hash_one,
            )


def _score_in_process(
    score: Callable[[list[Document], LoadedModel], list[TokenScores]],
    documents: list[Document],
    reference: str,
    threads: int,
) -> list[TokenScores]:
    """Load this process's share of a model, and score with the others."""
    with use_threads(threads):
        return score(documents, load_model(reference))


def _hash_sentences(document: Document) -> str:
    """Hash what scores by sentence depend on."""
    return sha256(repr((document.text, split_sentences(document))).encode()).hexdigest()


def build_scorers(
    config: AugmentConfig, devices: Devices = ONE, threads: int | None = None
) -> Scorers:
    """Build what an arm scores with if all models compute with the same devices."""
    return Scorers(
        config,
        partial(load_model, devices=devices),
        threads=threads,
        choose_devices=partial(_choose_same, devices),
    )


Score = Callable[[list[Document], Scorers], list[TokenScores]]


def score_documents(documents: list[Document], scorers: Scorers) -> list[TokenScores]:
    """Score the units of every document under the arm of the config.

    The units are the same for all arms with the same `model`, whichever models an arm reads. An arm
    that drops nothing scores +inf, which is never dropped.
    """
    config = scorers.config
    if config.method_file:
        score = _score_each(_user_score)
    elif drops_tokens(config.method):
        score = SCORES[config.method]
    else:
        score = _score_each(_never_dropped)
    pairs = zip(score(documents, scorers), scorers.cut_units(documents), strict=True)
    return [move_to_units(scores, units) for scores, units in pairs]


def _score_each(score: Callable[[Document, list[Span], Scorers], np.ndarray]) -> Score:
    """Turn a function that scores one document without a model into a score of all documents."""

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
    """Ties share the mean of p(r), so by construction the rate is that of every other arm."""
    return np.zeros(len(units))


def _earlier_higher(document: Document, units: list[Span], scorers: Scorers) -> np.ndarray:
    """This is what the paper's released scoring code amounts to."""
    return -np.arange(len(units))


def _later_higher(document: Document, units: list[Span], scorers: Scorers) -> np.ndarray:
    return np.arange(len(units))


def _shuffled(document: Document, units: list[Span], scorers: Scorers) -> np.ndarray:
    """Permute the ranks of a contrast. Any ranks without ties permute to the same, so this asks no
    model. Unlike random, it favors the same tokens in every copy, as a contrast does."""
    rng = stream(scorers.config.seed, "shuffled", document.doc_id)
    return rng.permutation(len(units))


def _gold(document: Document, units: list[Span], scorers: Scorers) -> np.ndarray:
    """Names and values are never dropped; all other tokens are dropped equally often."""
    return np.where(mark_overlaps(units, list_entity_spans(document)), np.inf, 0.0)


def _gold_with_relations(document: Document, units: list[Span], scorers: Scorers) -> np.ndarray:
    is_relation = mark_targets(document, units)["relation"]
    return np.where(is_relation, np.inf, _gold(document, units, scorers))


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


def _entropy(documents: list[Document], scorers: Scorers) -> list[TokenScores]:
    """Source: EntroDrop, arXiv 2512.23422; its schedule over the steps is left out."""
    return scorers.score_entropy("model", documents)


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
    "entropy": _entropy,
    "position": _score_each(_earlier_higher),
    "reverse-position": _score_each(_later_higher),
    "shuffled": _score_each(_shuffled),
    "oracle": _score_each(_gold),
    "oracle-unmatched": _score_each(_gold),
    "oracle-relations": _score_each(_gold_with_relations),
}
"""The arms of kind `score` in `augment/arms.py`, each with the function that scores documents."""
