"""Make the training text of one arm from a dataset: each document's original and k copies."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from elusive.augment.arms import drops_tokens
from elusive.augment.config import AugmentConfig
from elusive.augment.copies import build_training_texts
from elusive.augment.diagnostics import diagnose
from elusive.augment.scores.arm_scores import Scorers, score_documents
from elusive.augment.scores.token_scores import scores_to_table
from elusive.augment.scores.user_scores import hash_method_file
from elusive.augment.training_text import KIND, SCORES, SUMMARY, TEXTS, AugmentSummary
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.dataset.records import TrainingText, to_table
from elusive.common.folders import create_folder, is_made, write_atomically, write_tables
from elusive.common.lm.references import hash_model_weights, hash_settings
from elusive.common.memory import measure_cost

MODEL_ROLES = ("model", "large", "small")


def collect_parameters(dataset: DatasetFolder, config: AugmentConfig) -> dict[str, Any]:
    """Collect what decides the training text: config, dataset, weights and tokenizers of models."""
    roles = {role: getattr(config, role) for role in MODEL_ROLES}
    if not config.endpoint:
        roles["writer"] = config.writer
    models = {role: name for role, name in roles.items() if name}
    parameters = config.model_dump() | {
        "dataset": dataset.content_hash,
        "weights": {role: hash_model_weights(name) for role, name in models.items()},
        "settings": {role: hash_settings(name) for role, name in models.items()},
    }
    if config.method_file:
        parameters["method_hash"] = hash_method_file(config.method_file)
    return parameters


def augment_dataset(
    dataset: DatasetFolder,
    config: AugmentConfig,
    out: Path,
    workers: int = 1,
    scorers: Scorers | None = None,
) -> bool:
    """Write the training text of one arm to the folder `out`; return False if it is there already.

    Raises:
        InputError: `out` holds other files; a model that the arm needs is missing or unusable.
    """
    scorers = scorers or Scorers(config)
    scorers.check_models()
    parameters = collect_parameters(dataset, config)
    if is_made(out, KIND, parameters):
        return False
    # 1) Score the units of every document, and draw the copies.
    documents = dataset.select_training_documents()
    with measure_cost() as scoring:
        scored = score_documents(documents, scorers)
    with measure_cost() as dropping:
        texts = build_training_texts(
            documents, scored, config, workers, questions=dataset.questions
        )
    scoring.seconds = sum(scores.seconds for scores in scored)
    # 2) Check the copies for what they lost and repeat.
    costs = {"scoring": scoring, "dropping": dropping}
    summary = AugmentSummary(
        num_texts=len(texts),
        drop_rate=float(np.mean([text.drop_rate for text in texts if text.copy > 0])),
        diagnostics=diagnose(documents, scored, texts, drops_tokens(config.method)),
        seconds={stage: cost.seconds for stage, cost in costs.items()},
        peak_memory_mib={stage: cost.peak_memory_mib for stage, cost in costs.items()},
    )
    # 3) Write the folder, which appears only once it is complete.
    with create_folder(out, KIND, parameters) as folder:
        doc_ids = [document.doc_id for document in documents]
        tables = {TEXTS: to_table(texts, TrainingText), SCORES: scores_to_table(doc_ids, scored)}
        write_tables(folder, tables)
        write_atomically(folder / SUMMARY, json.dumps(asdict(summary), indent=2) + "\n")
    return True
