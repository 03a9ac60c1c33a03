"""The original and the copies of each document, made from scores; this imports no PyTorch."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

import numpy as np

from elusive.augment.arms import ARMS, drops_tokens
from elusive.augment.config import AugmentConfig
from elusive.augment.drop_probabilities import compute_drop_probabilities, sample_keep_mask
from elusive.augment.dropping import (
    arrange_kept,
    drop_units,
    find_units_before,
    mark_droppable,
)
from elusive.augment.rewrites import REWRITES, Rewrite, RewriteInputs
from elusive.augment.scores.token_scores import TokenScores
from elusive.common.dataset.records import Document, Question, Span, TrainingText
from elusive.common.seeding import stream


def build_training_texts(
    documents: list[Document],
    scored: list[TokenScores],
    config: AugmentConfig,
    workers: int = 1,
    epoch: int = 0,
    questions: Sequence[Question] = (),
) -> list[TrainingText]:
    """Build the original and `config.copies` copies of every document, document by document.

    Without originals, there is one more copy, so that the number of texts is the same.

    Every copy has a random stream of its own, so the result does not depend on `workers`. Every
    epoch has different copies; `elusive augment` writes those of epoch 0.

    Raises:
        InputError: the arm cannot rewrite these documents.
    """
    prepare = REWRITES.get(config.method) or REWRITES.get(config.rewrite)
    inputs = RewriteInputs(config, questions, epoch)
    rewrites = prepare(documents, inputs) if prepare else [None] * len(documents)
    triples = zip(documents, scored, rewrites, strict=True)
    jobs = [(*triple, config, epoch) for triple in triples]
    if workers == 1:
        groups = [_build_copies(job) for job in jobs]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            chunk = max(1, len(jobs) // (4 * workers))
            groups = list(pool.map(_build_copies, jobs, chunksize=chunk))
    return [text for group in groups for text in group]


def find_drop_probabilities(
    document: Document, scored: TokenScores, config: AugmentConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Find which units may be dropped, and each unit's drop probability.  # both (unit,)."""
    values = [(fact.start, fact.end) for fact in document.facts]
    protected: list[Span] = []
    if config.protect == "values":
        protected = values
    elif config.protect == "before-values":
        protected = find_units_before(scored.units, [start for start, _ in values])
    droppable = mark_droppable(document.text, scored.units, protected)
    matched = config.method not in ARMS or ARMS[config.method].matched
    probabilities = compute_drop_probabilities(
        scored.scores, droppable, config.alpha, config.beta, matched
    )
    return droppable, probabilities


def _build_copies(
    job: tuple[Document, TokenScores, Rewrite | None, AugmentConfig, int],
) -> list[TrainingText]:
    document, scored, rewrite, config, epoch = job
    epoch_key = (epoch,) if epoch else ()
    _, probabilities = find_drop_probabilities(document, scored, config)
    original = _build_original(document, config)
    texts = [original] if config.original else []
    for copy in range(1, config.copies + 1 + (not config.original)):
        rng = stream(config.seed, "copies", document.doc_id, copy, *epoch_key)
        changes = _rewrite_copy(document, rewrite, rng, copy)
        if drops_tokens(config.method):
            keep_mask = sample_keep_mask(probabilities, rng)
            changes |= _drop_from_copy(document, scored.units, keep_mask, changes["pieces"])
        texts.append(replace(original, copy=copy, **changes))
    return texts


def _build_original(document: Document, config: AugmentConfig) -> TrainingText:
    drops = drops_tokens(config.method)
    return TrainingText(
        doc_id=document.doc_id,
        copy=0,
        text=document.text,
        kept=[(0, len(document.text))],
        pieces=[(0, len(document.text))],
        drop_rate=0.0,
        method=config.method,
        alpha=config.alpha if drops else None,
        beta=config.beta if drops else None,
        seed=config.seed,
    )


def _rewrite_copy(
    document: Document, rewrite: Rewrite | None, rng: np.random.Generator, copy: int
) -> dict[str, Any]:
    """Rewrite a document; return the fields of the copy."""
    text, kept = document.text, [(0, len(document.text))]
    if rewrite:
        text, kept = rewrite(document, rng, copy)
    is_arranged = " ".join(document.text[start:end] for start, end in kept) == text
    return {"text": text, "kept": kept, "pieces": kept if is_arranged else []}


def _drop_from_copy(
    document: Document, units: list[Span], keep_mask: np.ndarray, pieces: list[Span]
) -> dict[str, Any]:
    """Drop units from a copy; return its fields that change."""
    if keep_mask.all():
        return {}
    text, kept = drop_units(document.text, units, keep_mask)
    if pieces != [(0, len(document.text))]:
        text, kept = arrange_kept(document.text, pieces, kept)
    drop_rate = 1 - int(np.count_nonzero(keep_mask)) / len(keep_mask)
    return {"text": text, "kept": kept, "drop_rate": drop_rate}
