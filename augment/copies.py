"""The original and the copies of each document, made from scores; this imports no PyTorch."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np

from elusive.augment.arms import drops_tokens
from elusive.augment.config import AugmentConfig
from elusive.augment.drop_probabilities import compute_drop_probabilities, sample_keep_mask
from elusive.augment.dropping import drop_units, mark_droppable
from elusive.augment.rewrites import REWRITES
from elusive.augment.scores.token_scores import TokenScores
from elusive.common.dataset.records import Document, TrainingText
from elusive.common.seeding import stream


def build_training_texts(
    documents: list[Document],
    scored: list[TokenScores],
    config: AugmentConfig,
    workers: int = 1,
    epoch: int = 0,
) -> list[TrainingText]:
    """Build the original and `config.copies` copies of every document, document by document.

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
    protected = values if config.protect == "values" else []
    droppable = mark_droppable(document.text, scored.units, protected)
    probabilities = compute_drop_probabilities(scored.scores, droppable, config.alpha, config.beta)
    return droppable, probabilities


def _build_copies(
    job: tuple[Document, TokenScores, AugmentConfig, int],
) -> list[TrainingText]:
    document, scored, config, epoch = job
    epoch_key = (epoch,) if epoch else ()
    rewrite = REWRITES.get(config.method)
    _, probabilities = find_drop_probabilities(document, scored, config)
    texts = [_build_copy(document, scored, np.ones(len(scored.units), bool), 0, config)]
    for copy in range(1, config.copies + 1):
        rng = stream(config.seed, "copies", document.doc_id, copy, *epoch_key)
        if rewrite:
            text, kept = rewrite(document, rng, copy)
            texts.append(replace(texts[0], copy=copy, text=text, kept=kept))
        else:
            keep_mask = sample_keep_mask(probabilities, rng)
            texts.append(_build_copy(document, scored, keep_mask, copy, config))
    return texts


def _build_copy(
    document: Document,
    scored: TokenScores,
    keep_mask: np.ndarray,
    copy: int,
    config: AugmentConfig,
) -> TrainingText:
    text, kept = drop_units(document.text, scored.units, keep_mask)
    drops = drops_tokens(config.method)
    return TrainingText(
        doc_id=document.doc_id,
        copy=copy,
        text=text,
        kept=kept,
        drop_rate=1 - int(np.count_nonzero(keep_mask)) / len(keep_mask),
        method=config.method,
        alpha=config.alpha if drops else None,
        beta=config.beta if drops else None,
        seed=config.seed,
    )
