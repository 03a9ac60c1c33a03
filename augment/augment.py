"""Make the training text of one arm from a dataset: each document's original and k copies.

The corpus is cut into shards of documents, each of which is read, scored, copied and written by
itself. So memory does not grow with the corpus, finished shards can be read while others are made,
and an interrupted run resumes after them.
"""

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa

from elusive.augment.config import AugmentConfig
from elusive.augment.copies import BATCH, DRAWS, draws_by_hash, iterate_copies, reads_questions
from elusive.augment.diagnostics import TextCounts, count_restated, count_texts
from elusive.augment.scores.arm_scores import Scorers, score_documents
from elusive.augment.scores.inputs import check_roles, list_models
from elusive.augment.scores.token_scores import SCHEMA, scores_to_table
from elusive.augment.scores.user_scores import hash_method_file
from elusive.augment.sentences.choice import RESTATING, choose_restatements
from elusive.augment.sentences.restatements import (
    RESTATED,
    restate_documents,
    restatements_to_batch,
)
from elusive.augment.sentences.restatements import SCHEMA as RESTATED_SCHEMA
from elusive.augment.training_text import KIND, SCORES, SUMMARY, TEXTS, AugmentSummary
from elusive.common.dataset.folder import TRAIN, DatasetFolder
from elusive.common.dataset.records import SCHEMAS, TrainingText
from elusive.common.dataset.shards import (
    PROGRESS,
    claim_folder,
    count_missing,
    finish_folder,
    is_written,
    open_shard,
)
from elusive.common.dataset.shared_work import Share, SharedWork
from elusive.common.errors import InputError
from elusive.common.folders import write_atomically
from elusive.common.lm.references import hash_model_weights, hash_settings
from elusive.common.memory import Cost, measure_cost
from elusive.common.parent import end_with_parent
from elusive.common.text.languages import ENGLISH, get_base_code, is_unspaced
from elusive.common.text.sentences import name_sentence_rules

RESTATE_SETTINGS = {"restate_by", "restate_words", "restate_in", "restate_above"}
SHARD_DOCUMENTS = 4096
"""Documents per shard, a multiple of those that are scored or copied together."""
COUNTS = "counts"
"""Folder of what is counted in each shard, from which the summary follows."""
STAGES = ("scoring", "dropping")


def collect_parameters(dataset: DatasetFolder, config: AugmentConfig) -> dict[str, Any]:
    """Collect what decides the training text: config, dataset, weights and tokenizers of models."""
    models = list_models(config)
    idle = set() if config.clue_finder else RESTATE_SETTINGS
    if config.endpoint:  # its address decides nothing
        idle = {*idle, "endpoint"}
    own = config.model_dump(exclude=idle)
    parameters = own | {
        "dataset": dataset.content_hash,
        "weights": {role: hash_model_weights(name) for role, name in models.items()},
        "settings": {role: hash_settings(name) for role, name in models.items()},
    }
    if config.method_file:
        parameters["method_hash"] = hash_method_file(config.method_file)
    if config.clue_finder:
        parameters["restating"] = RESTATING
    is_wiki = dataset.manifest.parameters.get("generator") != "biogen"
    # Biographies end their sentences by any rules, and restating changed where none has blanks.
    if is_wiki and (config.permutes or (config.clue_finder and is_unspaced(dataset.language))):
        parameters["sentences"] = name_sentence_rules(dataset.language)
    if draws_by_hash(config):
        parameters["draws"] = DRAWS
    return parameters


def augment_dataset(
    dataset: DatasetFolder,
    config: AugmentConfig,
    out: Path,
    workers: int = 1,
    scorers: Scorers | None = None,
    on_documents: Callable[[int], object] = lambda count: None,
    share: Share | None = None,
) -> bool:
    """Write the training text of one arm to the folder `out`; return False if it is there already.

    Args:
        dataset: what is copied.
        config: settings of the arm.
        out: folder to write.
        workers: number of processes; the bytes written do not depend on it.
        scorers: load the models; by default they are loaded as the config names them.
        on_documents: called with the number of documents done since the last call.
        share: has the shards written by several tasks, each with as many processes; the bytes
            written do not depend on it, either.

    Raises:
        InputError: `out` holds other files; a model that the arm needs is missing or unusable.
    """
    scorers = scorers or Scorers(config)
    check_roles(config)
    _check_language(dataset, config)
    parameters = collect_parameters(dataset, config)
    dataset.check_training_documents()
    with claim_folder(out, KIND, parameters) as is_mine:
        if is_mine:
            if share:
                share(_build_work(dataset, out, scorers, workers))
            else:
                augment_shards(dataset, out, scorers, workers, on_documents=on_documents)
            finish_training_text(dataset, config, out)
    return is_mine


def _check_language(dataset: DatasetFolder, config: AugmentConfig) -> None:
    """Refuse a rule of English writing for text in another language."""
    if config.clue_finder == "named-subject" and get_base_code(dataset.language) != ENGLISH:
        raise InputError(
            f"restate_by 'named-subject' reads English, and the language of {dataset.path} is "
            f"{dataset.language}: use title"
        )


def list_tables(config: AugmentConfig) -> dict[str, pa.Schema]:
    """List the tables of a training text, with their schemas."""
    restated = {RESTATED: RESTATED_SCHEMA} if config.clue_finder else {}
    return {TEXTS: SCHEMAS[TrainingText], SCORES: SCHEMA} | restated


def _build_work(dataset: DatasetFolder, out: Path, scorers: Scorers, workers: int) -> SharedWork:
    write = partial(_augment_part, dataset.path, dataset.limit, out, scorers, workers)
    missing = partial(count_missing, out, count_shards(dataset), tuple(list_tables(scorers.config)))
    return SharedWork(out, "shard", write, missing)


def _augment_part(
    path: Path, limit: int | None, out: Path, scorers: Scorers, workers: int, task: int, tasks: int
) -> None:
    """Write the shards of one task on any machine."""
    augment_shards(DatasetFolder(path, limit), out, scorers, workers, task, tasks)


def count_shards(dataset: DatasetFolder) -> int:
    """Count the shards of a dataset's training text."""
    return -(-dataset.count_documents() // SHARD_DOCUMENTS)


def augment_shards(
    dataset: DatasetFolder,
    out: Path,
    scorers: Scorers,
    workers: int = 1,
    task: int = 0,
    tasks: int = 1,
    on_documents: Callable[[int], object] = lambda count: None,
) -> None:
    """Write the shards `task`, `task + tasks`, `task + 2 * tasks` and so on that are missing.

    Several machines can share the work: one claims the folder (`claim_folder`), each makes the
    shards of one task, and the first calls `finish_training_text` once all are there. Shards appear
    complete or not at all, so a task that was killed can simply be repeated.

    Args:
        dataset: what is copied.
        out: claimed folder.
        scorers: of the arm.
        workers: number of processes; each loads the arm's models.
        task: number of this task, from 0.
        tasks: number of tasks.
        on_documents: called with the number of documents done since the last call.
    """
    count = count_shards(dataset)
    missing = []
    for index in range(task, count, tasks):
        if is_written(out, index, count, list_tables(scorers.config)):
            on_documents(len(_find_rows(dataset, index)))
        else:
            missing.append(index)
    (out / PROGRESS / COUNTS).mkdir(parents=True, exist_ok=True)
    if workers == 1 or len(missing) < 2:
        kept = replace(scorers, load=lru_cache(1)(scorers.load))
        for index in missing:
            on_documents(_write_shard(dataset, kept, out, index))
        return
    write = partial(_write_shard_alone, dataset.path, dataset.limit, scorers, out)
    processes, context = min(workers, len(missing)), get_context("spawn")
    with ProcessPoolExecutor(processes, context, end_with_parent) as pool:
        for done in pool.map(write, missing):
            on_documents(done)


def _write_shard_alone(
    path: Path, limit: int | None, scorers: Scorers, out: Path, index: int
) -> int:
    """Write a shard in another process, which keeps its models loaded."""
    return _write_shard(DatasetFolder(path, limit), _keep_models(scorers), out, index)


@lru_cache(1)
def _keep_models(scorers: Scorers) -> Scorers:
    return replace(scorers, load=lru_cache(1)(scorers.load))


def _find_rows(dataset: DatasetFolder, index: int) -> range:
    start = index * SHARD_DOCUMENTS
    return range(start, min(start + SHARD_DOCUMENTS, dataset.count_documents()))


def _write_shard(dataset: DatasetFolder, scorers: Scorers, out: Path, index: int) -> int:
    """Write one shard; return the number of its documents."""
    config, rows = scorers.config, _find_rows(dataset, index)
    documents = dataset.read_documents(rows.start, rows.stop)
    documents = [document for document in documents if document.split == TRAIN]
    counts, costs = TextCounts(), {stage: Cost() for stage in STAGES}
    with open_shard(out, index, count_shards(dataset), list_tables(config)) as append:
        if documents:
            with measure_cost() as costs["scoring"]:
                sources, restated, finding = documents, [], Cost()
                if config.clue_finder:
                    with measure_cost() as finding:
                        restated = choose_restatements(documents, scorers)
                    sources = restate_documents(documents, restated)
                scored = score_documents(sources, scorers)
            costs["scoring"].seconds = sum(scores.seconds for scores in scored) + finding.seconds
            if restated:
                append(RESTATED, restatements_to_batch(restated))
                units = scorers.cut_units(documents)
                counts += count_restated(documents, restated, units, scored)
            doc_ids = [document.doc_id for document in documents]
            append(SCORES, scores_to_table(doc_ids, scored).combine_chunks().to_batches()[0])
            with measure_cost() as costs["dropping"]:
                questions = dataset.read_questions(set(doc_ids)) if reads_questions(config) else []
                batches = iterate_copies(
                    sources, scored, config, questions=questions, originals=documents
                )
                for start, batch in zip(range(0, len(documents), BATCH), batches, strict=True):
                    chosen = slice(start, start + BATCH)
                    append(TEXTS, batch)
                    counts += count_texts(sources[chosen], scored[chosen], batch, documents[chosen])
        content = {"counts": asdict(counts), "costs": {k: asdict(v) for k, v in costs.items()}}
        write_atomically(_find_counts(out, index), json.dumps(content) + "\n")
    return len(rows)


def _find_counts(out: Path, index: int) -> Path:
    return out / PROGRESS / COUNTS / f"{index:05d}.json"


def finish_training_text(dataset: DatasetFolder, config: AugmentConfig, out: Path) -> None:
    """Turn a folder of which all shards are written into a training text with its summary.

    Raises:
        InputError: shards are missing.
    """
    count = count_shards(dataset)
    tables = list_tables(config)
    missing = [index for index in range(count) if not is_written(out, index, count, tables)]
    if missing:
        raise InputError(
            f"{out}: {len(missing)} of {count} shards are missing "
            f"({', '.join(map(str, missing[:5]))}{', ...' if missing[5:] else ''}): repeat their "
            "tasks"
        )
    paths = [_find_counts(out, index) for index in range(count)]
    shards = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    counts = sum((TextCounts(**shard["counts"]) for shard in shards), TextCounts())
    costs = {stage: [Cost(**shard["costs"][stage]) for shard in shards] for stage in STAGES}
    summary = AugmentSummary(
        num_texts=counts.num_texts,
        drop_rate=counts.drop_rate,
        diagnostics=counts.diagnose(config.method, config.copies_differ),
        seconds={stage: sum(cost.seconds for cost in costs[stage]) for stage in STAGES},
        peak_memory_mib={
            stage: max(cost.peak_memory_mib for cost in costs[stage]) for stage in STAGES
        },
    )
    write_atomically(out / SUMMARY, json.dumps(asdict(summary), indent=2) + "\n")
    finish_folder(out, KIND, collect_parameters(dataset, config), tables)
