"""The original and the copies of each document, made from scores; this imports no PyTorch."""

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
from elusive.augment.rewrites import REWRITES
from elusive.augment.scores.token_scores import TokenScores
from elusive.common.dataset.records import Document, Span, TrainingText
from elusive.common.seeding import stream


def build_training_texts(
    documents: list[Document],
    scored: list[TokenScores],
    config: AugmentConfig,
    workers: int = 1,
    epoch: int = 0,
) -> list[TrainingText]:
    """Build the original and `config.copies` copies of every document, document by document.

    Without originals, there is one more copy, so that the number of texts is the same.

    Every copy has a random stream of its own, so the result does not depend on `workers`. Every
    epoch has different copies; `elusive augment` writes those of epoch 0.
    """
    pairs = zip(documents, scored, strict=True)
    jobs = [(document, scores, config, epoch) for document, scores in pairs]
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
    job: tuple[Document, TokenScores, AugmentConfig, int],
) -> list[TrainingText]:
    document, scored, config, epoch = job
    epoch_key = (epoch,) if epoch else ()
    _, probabilities = find_drop_probabilities(document, scored, config)
    original = _build_original(document, config)
    texts = [original] if config.original else []
    for copy in range(1, config.copies + 1 + (not config.original)):
        rng = stream(config.seed, "copies", document.doc_id, copy, *epoch_key)
        changes = _change(document, scored.units, probabilities, copy, rng, config)
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


def _change(
    document: Document,
    units: list[Span],
    probabilities: np.ndarray,
    copy: int,
    rng: np.random.Generator,
    config: AugmentConfig,
) -> dict[str, Any]:
    """Change a document as an arm does; return the fields of the copy that differ."""
    # 1) Rewrite it.
    rewrite = REWRITES.get(config.method) or REWRITES.get(config.rewrite)
    text, kept = document.text, [(0, len(document.text))]
    if rewrite:
        text, kept = rewrite(document, rng, copy)
    is_arranged = " ".join(document.text[start:end] for start, end in kept) == text
    changes = {"text": text, "kept": kept, "pieces": kept if is_arranged else []}
    if not drops_tokens(config.method):
        return changes
    # 2) Drop units from it.
    keep_mask = sample_keep_mask(probabilities, rng)
    if keep_mask.all():
        return changes
    text, kept = drop_units(document.text, units, keep_mask)
    if rewrite:
        text, kept = arrange_kept(document.text, changes["pieces"], kept)
    drop_rate = 1 - int(np.count_nonzero(keep_mask)) / len(keep_mask)
    return changes | {"text": text, "kept": kept, "drop_rate": drop_rate}
