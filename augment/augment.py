"""Training text from a dataset: each document's original and k copies with tokens dropped."""

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from elusive.augment.config import AugmentConfig
from elusive.augment.diagnostics import Diagnostics, diagnose
from elusive.augment.dropping import droppable_mask, kept_text
from elusive.augment.rewrites import REWRITES
from elusive.augment.sampler import drop_probabilities, sample_keep_mask
from elusive.augment.scores.alignment import on_words
from elusive.augment.scores.scorers import NOT_DROPPING, Scorers, method_of
from elusive.augment.scores.scoring import TokenScores
from elusive.augment.user_scores import own_method_hash
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.dataset.records import (
    Document,
    DocumentScores,
    TrainingText,
    from_table,
    to_table,
)
from elusive.common.folders import (
    already_made,
    checked_manifest,
    new_folder,
    read_table,
    write_atomically,
    write_tables,
)
from elusive.common.lm.references import reference_hash
from elusive.common.memory import measured
from elusive.common.seeding import stream

SUMMARY = "summary.json"
MODEL_ROLES = ("model", "large", "small", "reference")


@dataclass(frozen=True)
class AugmentSummary:
    """What was made, for the user to read."""

    num_texts: int
    drop_rate: float
    """Mean share of tokens dropped from a copy, the originals left out."""
    diagnostics: Diagnostics
    seconds: dict[str, float]
    """Wall-clock seconds of `scoring`, when it was done if its scores were kept, and `dropping`."""
    peak_memory_mib: dict[str, float]
    """Peak memory of both stages, as they were run now."""


def training_texts(
    documents: list[Document],
    scored: list[TokenScores],
    config: AugmentConfig,
    workers: int = 1,
    epoch: int = 0,
) -> list[TrainingText]:
    """The original and `config.copies` copies of every document, document by document.

    Every copy has a random stream of its own, so the result does not depend on `workers`. Each
    epoch has other copies; those of epoch 0 are what `elusive augment` writes.
    """
    pairs = zip(documents, scored, strict=True)
    jobs = [(document, scores, config, epoch) for document, scores in pairs]
    if workers == 1:
        groups = [_copies(job) for job in jobs]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            groups = list(pool.map(_copies, jobs, chunksize=max(1, len(jobs) // (4 * workers))))
    return [text for group in groups for text in group]


def _copies(job: tuple[Document, TokenScores, AugmentConfig, int]) -> list[TrainingText]:
    """The original and the copies of one document."""
    document, scored, config, epoch = job
    of_epoch = (epoch,) if epoch else ()
    rewrite = REWRITES.get(config.method)
    values = [(fact.start, fact.end) for fact in document.facts]
    protected = values if config.protect == "values" else []
    droppable = droppable_mask(document.text, scored.units, protected)
    probabilities = drop_probabilities(scored.scores, droppable, config.alpha, config.beta)
    texts = [_training_text(document, scored, np.ones_like(droppable), 0, config)]
    for copy in range(1, config.copies + 1):
        rng = stream(config.seed, "copies", document.doc_id, copy, *of_epoch)
        if rewrite:
            text, kept = rewrite(document, rng, copy)
            texts.append(replace(texts[0], copy=copy, text=text, kept=kept))
        else:
            keep_mask = sample_keep_mask(probabilities, rng)
            texts.append(_training_text(document, scored, keep_mask, copy, config))
    return texts


def _training_text(
    document: Document,
    scored: TokenScores,
    keep_mask: np.ndarray,
    copy: int,
    config: AugmentConfig,
) -> TrainingText:
    """One copy as a record."""
    text, kept = kept_text(document.text, scored.units, keep_mask)
    drops = config.method not in NOT_DROPPING
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


def scored_documents(documents: list[Document], scorers: Scorers) -> list[TokenScores]:
    """Scores of every document under the config's method, on the units that it drops."""
    scored = method_of(scorers.config)(documents, scorers)
    return on_words(documents, scored) if scorers.config.unit == "word" else scored


def augment_parameters(dataset: DatasetFolder, config: AugmentConfig) -> dict[str, Any]:
    """What decides the training text: the config, the dataset, the weights of the models."""
    roles = {role: getattr(config, role) for role in MODEL_ROLES}
    weights = {role: reference_hash(name) for role, name in roles.items() if name}
    parameters = config.model_dump() | {"dataset": dataset.content_hash, "weights": weights}
    if config.method_file:
        parameters["method_hash"] = own_method_hash(config.method_file)
    return parameters


def augment_dataset(
    dataset: DatasetFolder,
    config: AugmentConfig,
    out: Path,
    workers: int = 1,
    scorers: Scorers | None = None,
) -> bool:
    """Write the training text of one arm to the folder `out`; False if it holds it already.

    Raises:
        InputError: `out` holds other files; a model that the method needs is missing or unusable.
    """
    scorers = scorers or Scorers(config)
    scorers.check_roles()
    parameters = augment_parameters(dataset, config)
    if already_made(out, "training-text", parameters):
        return False
    documents = dataset.training_documents()
    with measured() as scoring:
        scored = scored_documents(documents, scorers)
    with measured() as dropping:
        texts = training_texts(documents, scored, config, workers)
    scoring.seconds = sum(scores.seconds for scores in scored)
    stages = {"scoring": scoring, "dropping": dropping}
    seconds = {stage: cost.seconds for stage, cost in stages.items()}
    memory = {stage: cost.peak_memory_mib for stage, cost in stages.items()}
    with new_folder(out, "training-text", parameters) as folder:
        tables = {
            "texts": to_table(texts, TrainingText),
            "scores": to_table(_score_records(documents, scored), DocumentScores),
        }
        write_tables(folder, tables)
        rates = [text.drop_rate for text in texts if text.copy > 0]
        drops = config.method not in NOT_DROPPING
        diagnostics = diagnose(documents, scored, texts, drops)
        mean = float(np.mean(rates))
        summary = AugmentSummary(len(texts), mean, diagnostics, seconds, memory)
        write_atomically(folder / SUMMARY, json.dumps(asdict(summary), indent=2) + "\n")
    return True


def _score_records(documents: list[Document], scored: list[TokenScores]) -> list[DocumentScores]:
    """Scores as they are written beside the texts that they led to."""
    return [
        DocumentScores(document.doc_id, scores.units, scores.scores.tolist())
        for document, scores in zip(documents, scored, strict=True)
    ]


def load_scores(folder: Path) -> dict[str, TokenScores]:
    """Scores of a training-text folder by document, from which more copies can be drawn."""
    records = from_table(read_table(folder, "scores"), DocumentScores)
    return {
        each.doc_id: TokenScores(each.units, np.array(each.scores, dtype=np.float32))
        for each in records
    }


def load_training_texts(folder: Path) -> list[TrainingText]:
    """Read a training-text folder.

    Raises:
        InputError: no such folder, a broken manifest, or changed data files.
    """
    checked_manifest(folder, "training-text", "elusive augment DATASET --method NAME --out DIR")
    return from_table(read_table(folder, "texts"), TrainingText)


def read_summary(folder: Path) -> AugmentSummary:
    """The figures of a training-text folder as stored when it was made."""
    content = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    return AugmentSummary(**content | {"diagnostics": Diagnostics(**content["diagnostics"])})
