"""Export cells as records of Every Eval Ever (arXiv 2606.14516), schema version 0.3.0."""

import hashlib
import json
import math
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elusive.common.dataset.records import Prediction
from elusive.common.folders import create_folder, hash_file, hash_parameters, is_made, read_manifest
from elusive.common.intervals import INTERVAL_METHOD, RATE, RESAMPLES, UNBOUNDED, estimate_mean
from elusive.common.lm.references import ALIASES, BUILT_IN_NAMES
from elusive.evaluate.answering.prompts import render_question
from elusive.evaluate.cells.cell import compute_cell_id
from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.cells.metrics import RATES, has_metric

SCHEMA_VERSION = "0.3.0"
METRICS: dict[str, dict[str, Any]] = {
    "em": {
        "metric_id": "exact_match",
        "metric_name": "Exact match",
        "metric_kind": "accuracy",
        "metric_unit": "proportion",
        "evaluation_description": "Equal to a gold answer after SQuAD's normalization "
        "(in other languages than English, MLQA's).",
        "lower_is_better": False,
        "score_type": "continuous",
        "min_score": 0,
        "max_score": 1,
    },
    "f1": {
        "metric_id": "f1",
        "metric_name": "F1",
        "metric_kind": "f1",
        "metric_unit": "proportion",
        "evaluation_description": "Best F1 over bags of words after SQuAD's normalization "
        "(in other languages than English, MLQA's).",
        "lower_is_better": False,
        "score_type": "continuous",
        "min_score": 0,
        "max_score": 1,
    },
    "log_probability": {
        "metric_id": "gold_log_probability",
        "metric_name": "Gold log-probability",
        "metric_kind": "log_likelihood",
        "metric_unit": "nats per token",
        "evaluation_description": "Mean log-probability per token of the first gold answer.",
        "lower_is_better": False,
        "score_type": "continuous",
        "min_score": "-Infinity",
        "max_score": 0,
    },
    "forced_choice": {
        "metric_id": "forced_choice",
        "metric_name": "Forced choice",
        "metric_kind": "accuracy",
        "metric_unit": "proportion",
        "evaluation_description": "Share of wrong answers that have a lower mean log-probability "
        "per token than the first gold answer: other entities' answers to such a question or, if "
        "the entity has several such answers, its other ones. A tie counts half.",
        "lower_is_better": False,
        "score_type": "continuous",
        "min_score": 0,
        "max_score": 1,
    },
}
"""Description of each metric, by its column in predictions."""


def export_records(cells: list[CellResult], out: Path, organization: str) -> list[Path]:
    """Write one record per cell, with a file beside it that has one line per question and metric.

    Args:
        cells: finished cells.
        out: folder to write, with the layout of the datastore.
        organization: name of the organization that ran the cells.

    Returns:
        Paths of the records.

    Raises:
        InputError: `out` holds something else.
    """
    parameters = {
        "format": "every-eval-ever",
        "organization": organization,
        "cells": [compute_cell_id(cell.parameters) for cell in cells],
    }
    if not is_made(out, "export", parameters):
        with create_folder(out, "export", parameters) as folder:
            for cell in cells:
                _write_record(cell, folder, organization)
    return sorted(out.glob("data/*/*/*/*.json"))


def build_model_id(cell: CellResult) -> str:
    """Build the identifier `developer/name` of a model, with the cell's id if trained."""
    parameters = cell.parameters
    base = build_base_id(parameters["model"])
    if parameters["train"] is None and "adapter" not in parameters:
        return base
    name = base.split("/", 1)[1]
    arm = f"{parameters['label']}-seed{parameters['seed']}-{compute_cell_id(parameters)}"
    return f"elusive/{_to_path_part(f'{name}-{arm}')}"


def build_base_id(reference: str) -> str:
    """Build the identifier `developer/name` of a base model from its reference.

    >>> [build_base_id(name) for name in ("nano-large", "Qwen/Qwen3-8B", "/models/mine.gguf")]
    ['elusive/nano-large', 'Qwen/Qwen3-8B', 'local/mine.gguf']
    """
    if reference in BUILT_IN_NAMES:
        return f"elusive/{reference}"
    if reference in ALIASES:
        reference = ALIASES[reference].hub_id
    if re.fullmatch(r"[\w.-]+/[\w.-]+", reference) and not Path(reference).exists():
        return reference
    return f"local/{_to_path_part(Path(reference).name)}"


def _to_path_part(name: str) -> str:
    """The name with signs replaced that some file systems do not allow."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip(".-") or "unnamed"


def _write_record(cell: CellResult, folder: Path, organization: str) -> None:
    developer, name = build_model_id(cell).split("/", 1)
    collection = _to_path_part(f"elusive-{cell.parameters['dataset_name']}")
    location = Path("data", collection, developer, name)
    digest = hashlib.sha256(compute_cell_id(cell.parameters).encode()).digest()
    identifier = uuid.UUID(bytes=digest[:16], version=4)
    samples = location / f"{identifier}_samples.jsonl"
    (folder / location).mkdir(parents=True, exist_ok=True)
    record = _record(cell, organization)
    lines = [json.dumps(row, ensure_ascii=True) for row in _rows(cell, record["evaluation_id"])]
    (folder / samples).write_text("\n".join(lines) + "\n", encoding="utf-8")
    record["detailed_evaluation_results"] = {
        "format": "jsonl",
        "file_path": samples.as_posix(),
        "hash_algorithm": "sha256",
        "checksum": hash_file(folder / samples),
        "total_rows": len(lines),
    }
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    (folder / location / f"{identifier}.json").write_text(text, encoding="utf-8")


def _record(cell: CellResult, organization: str) -> dict[str, Any]:
    finished = int((cell.folder / "manifest.json").stat().st_mtime)
    versions = read_manifest(cell.folder, "cell").versions
    identifier = build_model_id(cell)
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"elusive-{cell.parameters['dataset_name']}/{identifier}/{finished}",
        "evaluation_timestamp": str(finished),
        "retrieved_timestamp": str(int(time.time())),
        "source_metadata": {
            "source_name": "elusive",
            "source_type": "evaluation_run",
            "source_organization_name": organization,
            "evaluator_relationship": "first_party"
            if identifier.startswith(("elusive/", "local/"))
            else "third_party",
        },
        "eval_library": {"name": "elusive", "version": versions["elusive"]},
        "model_info": _model_info(cell, versions),
        "evaluation_results": [_result(cell, column) for column in _list_columns(cell)],
    }


def _list_columns(cell: CellResult) -> list[str]:
    return [column for column in METRICS if has_metric(cell.predictions, column)]


def _select_scored(cell: CellResult, column: str) -> list[Prediction]:
    """Select the answers that have a metric; questions without distractors lack a forced choice."""
    return [p for p in cell.predictions if getattr(p, column) is not None]


def _model_info(cell: CellResult, versions: dict[str, str]) -> dict[str, Any]:
    """The model, what it was made from, and the software that answered."""
    parameters, identifier = cell.parameters, build_model_id(cell)
    served = parameters["answering"].get("served")
    details = {
        "deployment_type": "unknown" if served else "self_deployed",
        "model_availability": "unknown"
        if identifier != build_base_id(parameters["model"]) or identifier.startswith("local/")
        else "open_weights",
        "base_model": build_base_id(parameters["model"]),
        "arm": parameters["label"],
        "seed": str(parameters["seed"]),
        "augment": json.dumps(parameters["augment"], sort_keys=True),
        "training": json.dumps(parameters["training"], sort_keys=True),
    }
    # Of a model that only a server knows, the parameter `weights` is a hash of its name there.
    if not served or parameters["weights"] != hash_parameters(served):
        details["base_weights_sha256"] = parameters["weights"]
    return {
        "name": identifier.split("/", 1)[1],
        "id": identifier,
        "developer": identifier.split("/", 1)[0],
        "inference_engine": {"name": "OpenAI-compatible server"}
        if served
        else {"name": "transformers", "version": versions["transformers"]},
        "additional_details": details,
    }


def _result(cell: CellResult, column: str) -> dict[str, Any]:
    parameters = cell.parameters
    answering = parameters["answering"]
    predictions = _select_scored(cell, column)
    values = [getattr(prediction, column) for prediction in predictions]
    entities = [prediction.entity for prediction in predictions]
    bounds = RATE if column in RATES else UNBOUNDED
    estimate = estimate_mean(values, entities, bounds=bounds)
    uncertainty: dict[str, Any] = {"num_samples": len(values)}
    if math.isfinite(estimate.low):
        uncertainty |= {
            "num_bootstrap_samples": RESAMPLES,
            "confidence_interval": {
                "lower": estimate.low,
                "upper": estimate.high,
                "confidence_level": 0.95,
                "method": INTERVAL_METHOD,
            },
        }
    arguments: dict[str, Any] = {"temperature": 0.0}  # decoding is greedy
    if not answering["chat_template"]:
        arguments["prompt_template"] = render_question("{question}")
    return {
        "evaluation_result_id": column,
        "evaluation_name": f"elusive-{parameters['dataset_name']}",
        "source_data": {
            "dataset_name": parameters["dataset_name"],
            "source_type": "other",
            "additional_details": {"content_sha256": parameters["dataset"]},
        },
        "metric_config": METRICS[column],
        "score_details": {"score": estimate.mean, "uncertainty": uncertainty},
        "generation_config": {
            "generation_args": arguments,
            "additional_details": {name: json.dumps(value) for name, value in answering.items()},
        },
    }


def _rows(cell: CellResult, evaluation_id: str) -> Iterator[dict[str, Any]]:
    for column in _list_columns(cell):
        for prediction in _select_scored(cell, column):
            yield {
                "schema_version": SCHEMA_VERSION,
                "evaluation_id": evaluation_id,
                "model_id": build_model_id(cell),
                "evaluation_name": f"elusive-{cell.parameters['dataset_name']}",
                "evaluation_result_id": column,
                **_sample(prediction, getattr(prediction, column)),
            }


def _sample(prediction: Prediction, score: float) -> dict[str, Any]:
    """A question, its answer and one of its scores."""
    identity = prediction.question + json.dumps(prediction.answers)
    return {
        "sample_id": prediction.question_id,
        "sample_hash": hashlib.sha256(identity.encode()).hexdigest(),
        "interaction_type": "single_turn",
        "input": {"raw": prediction.question, "reference": prediction.answers},
        "output": {"raw": [prediction.prediction]},
        "answer_attribution": [
            {
                "turn_idx": 0,
                "source": "output.raw",
                "extracted_value": prediction.prediction,
                "extraction_method": "first line, surrounding white space removed",
                "is_terminal": True,
            }
        ],
        "evaluation": {"score": score, "is_correct": prediction.em == 1.0},
        "metadata": {
            "entity": prediction.entity,
            "field": prediction.field,
            "kind": prediction.kind,
        },
    }
