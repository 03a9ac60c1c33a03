"""The result of the clue benchmark as a folder: computed once, read afterwards."""

import json
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from elusive.augment.clues.benchmark import ClueReport, ClueRow, LayerRow, ScorerRow, run_clues
from elusive.augment.clues.heads import Head
from elusive.augment.clues.report import (
    draw_clues,
    render_csv,
    render_markdown,
    render_sentences_csv,
)
from elusive.augment.clues.sentences import SentenceRow
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.errors import InputError
from elusive.common.folders import create_folder, is_made, write_atomically
from elusive.common.intervals import Estimate
from elusive.common.large.devices import ONE, Devices
from elusive.common.lm.loading import load_model
from elusive.common.lm.references import hash_model_weights, hash_settings

REPORT = "clues.json"
VERSION = 4
"""To be raised when the report measures something else."""


def write_clues(
    dataset: DatasetFolder,
    models: list[str],
    depth: float,
    out: Path,
    words: int = 2,
    devices: Devices = ONE,
    heads: Sequence[Head] = (),
) -> ClueReport:
    """Run the clue benchmark and write its result to `out`, or read it if `out` holds it.

    `out` holds clues.json, clues.csv (all rows), sentences.csv (all rows by sentence), table.md and
    clues.png.

    Raises:
        InputError: a model cannot be used, a setting is wrong, or `out` holds something else.
    """
    if not 0 < depth < 1:
        raise InputError(f"depth: should be above 0 and below 1 (got {depth})")
    if len(set(models)) < len(models):
        raise InputError(f"model: {', '.join(models)} names a model twice: name each model once")
    parameters = {
        "dataset": dataset.content_hash,
        "models": {name: [hash_model_weights(name), hash_settings(name)] for name in models},
        "depth": depth,
        "words": words,
        "heads": [list(head) for head in heads],
        "version": VERSION,
    }
    if is_made(out, "clues", parameters):
        return load_clues(out)
    load = partial(load_model, devices=devices)
    report = run_clues(dataset.documents, models, depth, load, words, heads)
    with create_folder(out, "clues", parameters) as folder:
        content = _without_infinity(report.as_json())
        write_atomically(folder / REPORT, json.dumps(content, indent=2, allow_nan=False) + "\n")
        write_atomically(folder / "clues.csv", render_csv(report.rows))
        write_atomically(folder / "sentences.csv", render_sentences_csv(report.sentences))
        write_atomically(folder / "table.md", render_markdown(report))
        draw_clues(report, folder / "clues.png")
    return report


def load_clues(folder: Path) -> ClueReport:
    """Read the result of a clue benchmark from its folder."""
    content = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    return ClueReport(
        rows=[ClueRow(**_restore_estimates(row)) for row in content["rows"]],
        scorers=[ScorerRow(**row) for row in content["scorers"]],
        layers=[LayerRow(**_restore_estimates(row)) for row in content["layers"]],
        sentences=[SentenceRow(**_restore_estimates(row)) for row in content["sentences"]],
        seconds=content["seconds"],
    )


def _without_infinity(value: Any) -> Any:
    """Replace the bounds of intervals that know none by null, as JSON has no infinity."""
    if isinstance(value, dict):
        return {name: _without_infinity(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_infinity(inner) for inner in value]
    return None if isinstance(value, float) and math.isinf(value) else value


def _restore_estimates(row: dict) -> dict:
    return {
        name: _restore_estimate(**value) if isinstance(value, dict) else value
        for name, value in row.items()
    }


def _restore_estimate(mean: float, low: float | None, high: float | None) -> Estimate:
    return Estimate(mean, -math.inf if low is None else low, math.inf if high is None else high)
