"""Cells as records of Every Eval Ever (arXiv 2606.14516), schema version 0.3.0."""

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
from elusive.common.folders import already_made, file_hash, new_folder, read_manifest
from elusive.common.intervals import RESAMPLES, mean_over_entities
from elusive.common.lm.references import ALIASES, BUILT_IN_NAMES
from elusive.evaluate.answering.prompts import question_text
from elusive.evaluate.cells.cell import CellResult, cell_id
from elusive.evaluate.config import UNTRAINED

SCHEMA_VERSION = "0.3.0"
METRICS: dict[str, dict[str, Any]] = {
    "em": {
        "metric_id": "exact_match",
        "metric_name": "Exact match",
        "metric_kind": "accuracy",
        "metric_unit": "proportion",
        "evaluation_description": "Equal to a gold answer after SQuAD's normalisation.",
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
        "evaluation_description": "F1 over bags of words after SQuAD's normalisation.",
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
}
"""What is said of each metric, by its column in predictions."""


def export_records(cells: list[CellResult], out: Path, organization: str) -> list[Path]:
    """Paths of the records, one per cell, below a folder laid out as the datastore is.

    Beside each record stands a file with one line per question and metric.

    Args:
        cells: finished ones.
        out: folder to write.
        organization: who ran them.

    Raises:
        InputError: `out` holds something else.
    """
    parameters = {
        "format": "every-eval-ever",
        "organization": organization,
        "cells": [cell_id(cell.parameters) for cell in cells],
    }
    if not already_made(out, "export", parameters):
        with new_folder(out, "export", parameters) as folder:
            for cell in cells:
                _write_record(cell, folder, organization)
    return sorted(out.glob("data/*/*/*/*.json"))


def model_id(cell: CellResult) -> str:
    """A model's identifier, developer first; a trained one has its cell in its name."""
    parameters = cell.parameters
    base = base_id(parameters["model"])
    if parameters["augment"]["method"] == UNTRAINED and "adapter" not in parameters:
        return base
    name = base.split("/", 1)[1]
    end = f"{parameters['label']}-seed{parameters['seed']}-{cell_id(parameters)}"
    return f"elusive/{_component(f'{name}-{end}')}"


def base_id(reference: str) -> str:
    """A base model's identifier, developer first.

    >>> base_id("nano-large"), base_id("Qwen/Qwen3-8B"), base_id("/models/mine.gguf")
    ('elusive/nano-large', 'Qwen/Qwen3-8B', 'local/mine.gguf')
    """
    if reference in BUILT_IN_NAMES:
        return f"elusive/{reference}"
    if reference in ALIASES:
        reference = ALIASES[reference].hub_id
    if re.fullmatch(r"[\w.-]+/[\w.-]+", reference) and not Path(reference).exists():
        return reference
    return f"local/{_component(Path(reference).name)}"


def _component(name: str) -> str:
    """A name as a part of a path on any system."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip(".-") or "unnamed"


def _write_record(cell: CellResult, folder: Path, organization: str) -> None:
    """The record of a cell, and the lines of its questions."""
    developer, name = model_id(cell).split("/", 1)
    collection = _component(f"elusive-{cell.parameters['dataset_name']}")
    place = Path("data", collection, developer, name)
    digest = hashlib.sha256(cell_id(cell.parameters).encode()).digest()
    identifier = uuid.UUID(bytes=digest[:16], version=4)
    samples = place / f"{identifier}_samples.jsonl"
    (folder / place).mkdir(parents=True, exist_ok=True)
    record = _record(cell, organization)
    lines = [json.dumps(row, ensure_ascii=True) for row in _rows(cell, record["evaluation_id"])]
    (folder / samples).write_text("\n".join(lines) + "\n", encoding="utf-8")
    record["detailed_evaluation_results"] = {
        "format": "jsonl",
        "file_path": samples.as_posix(),
        "hash_algorithm": "sha256",
        "checksum": file_hash(folder / samples),
        "total_rows": len(lines),
    }
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    (folder / place / f"{identifier}.json").write_text(text, encoding="utf-8")


def _record(cell: CellResult, organization: str) -> dict[str, Any]:
    """A cell's record, without its questions."""
    now, parameters = int(time.time()), cell.parameters
    made = int((cell.folder / "manifest.json").stat().st_mtime)
    versions = read_manifest(cell.folder, "cell").versions
    name = parameters["dataset_name"]
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"elusive-{name}/{model_id(cell)}/{made}",
        "evaluation_timestamp": str(made),
        "retrieved_timestamp": str(now),
        "source_metadata": {
            "source_name": "elusive",
            "source_type": "evaluation_run",
            "source_organization_name": organization,
            "evaluator_relationship": "first_party"
            if model_id(cell).startswith(("elusive/", "local/"))
            else "third_party",
        },
        "eval_library": {"name": "elusive", "version": versions["elusive"]},
        "model_info": _model_info(cell, versions),
        "evaluation_results": [_result(cell, column) for column in METRICS],
    }


def _model_info(cell: CellResult, versions: dict[str, str]) -> dict[str, Any]:
    """What was asked, and on what it was trained."""
    parameters, identifier = cell.parameters, model_id(cell)
    details = {
        "deployment_type": "self_deployed",
        "model_availability": "unknown"
        if identifier != base_id(parameters["model"]) or identifier.startswith("local/")
        else "open_weights",
        "base_model": base_id(parameters["model"]),
        "base_weights_sha256": parameters["weights"],
        "arm": parameters["label"],
        "seed": str(parameters["seed"]),
        "augment": json.dumps(parameters["augment"], sort_keys=True),
        "training": json.dumps(parameters["training"], sort_keys=True),
    }
    return {
        "name": identifier.split("/", 1)[1],
        "id": identifier,
        "developer": identifier.split("/", 1)[0],
        "inference_engine": {"name": "transformers", "version": versions["transformers"]},
        "additional_details": details,
    }


def _result(cell: CellResult, column: str) -> dict[str, Any]:
    """One metric of a cell."""
    parameters = cell.parameters
    answering = parameters["answering"]
    values = [getattr(prediction, column) for prediction in cell.predictions]
    estimate = mean_over_entities(values, [each.entity for each in cell.predictions])
    uncertainty: dict[str, Any] = {"num_samples": len(values)}
    if math.isfinite(estimate.low):
        uncertainty |= {
            "num_bootstrap_samples": RESAMPLES,
            "confidence_interval": {
                "lower": estimate.low,
                "upper": estimate.high,
                "confidence_level": 0.95,
                "method": "expanded percentile bootstrap over people",
            },
        }
    arguments: dict[str, Any] = {"temperature": 0.0}
    if not answering["chat_template"]:
        arguments["prompt_template"] = question_text("{question}")
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
    """One line per question and metric."""
    for column in METRICS:
        for prediction in cell.predictions:
            yield {
                "schema_version": SCHEMA_VERSION,
                "evaluation_id": evaluation_id,
                "model_id": model_id(cell),
                "evaluation_name": f"elusive-{cell.parameters['dataset_name']}",
                "evaluation_result_id": column,
                **_sample(prediction, getattr(prediction, column)),
            }


def _sample(prediction: Prediction, score: float) -> dict[str, Any]:
    """A question, its answer and one of its scores."""
    asked = prediction.question + json.dumps(prediction.answers)
    return {
        "sample_id": prediction.question_id,
        "sample_hash": hashlib.sha256(asked.encode()).hexdigest(),
        "interaction_type": "single_turn",
        "input": {"raw": prediction.question, "reference": prediction.answers},
        "output": {"raw": [prediction.prediction]},
        "answer_attribution": [
            {
                "turn_idx": 0,
                "source": "output.raw",
                "extracted_value": prediction.prediction,
                "extraction_method": "first line, white space stripped",
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
