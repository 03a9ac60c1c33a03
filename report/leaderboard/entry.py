"""Entries of a leaderboard: one finished cell each, in the form that the JSON Schema publishes."""

import json
import math
from datetime import date
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, JsonValue

from elusive.common.dataset.records import Prediction
from elusive.common.errors import validated
from elusive.common.folders import file_hash, parameters_hash, read_manifest
from elusive.evaluate.cells.cell import KNOWN, PREDICTIONS, CellResult, cell_id

SCHEMA_VERSION = 1
SCHEMA_FILE = Path(__file__).parent / "entry.schema.json"
PATHS = ("model", "augment")
"""Parameters that may hold paths of the machine a cell was made on; they decide nothing."""
ENDS = ("first_loss", "last_loss")

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Rate = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[FiniteFloat, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    """What all parts of an entry share: unknown keys are errors, docstrings become descriptions."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Augmentation(BaseModel):
    """How the training text was made: all settings of `elusive augment`; `untrained` has one."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)

    method: str
    """Arm, or name of one's own scoring function."""


class Parameters(_Part):
    """Everything that decides a cell's outcome, and its names."""

    label: str = Field(min_length=1, max_length=200)
    """Name of the arm in tables."""
    dataset: Hash
    """Content hash of the dataset."""
    dataset_name: str = Field(min_length=1, max_length=200)
    """Name of the dataset."""
    train: Hash | None
    """Content hash of the training text; null where nothing was trained."""
    augment: Augmentation
    """How that text was made."""
    model: str = Field(min_length=1, max_length=500)
    """Reference of the model; of a local folder, its name alone."""
    weights: str
    """Hash of the model's weights."""
    seed: int
    """Seed of adapter, order, shots and replay."""
    training: dict[str, JsonValue] | None
    """Settings of training; null where nothing was trained."""
    answering: dict[str, JsonValue]
    """Settings of answering."""
    scoring: str
    """Hash of how answers were scored."""
    known: Hash | None = None
    """Content hash of the dataset of what the model knew before, if it was asked."""
    adapter: Hash | None = None
    """Hash of the adapter that was scored in place of training one."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """CPU threads that the cell computed with, where the plan set them."""
    acting: dict[str, JsonValue] | None = None
    """What decides the outcome of an arm that acts in training."""


class Scores(_Part):
    """Mean scores of some answers."""

    em: Rate
    """Exact match."""
    f1: Rate
    """F1 over bags of words."""
    opens: Rate
    """Answers that open with a gold answer."""
    contains: Rate
    """Answers in which a gold answer occurs."""
    log_probability: FiniteFloat
    """Mean log-probability per token of the gold answers, in nats."""
    questions: int = Field(ge=1)
    """Number of answers."""


class KnownScores(Scores):
    """Mean scores on what the model knew before."""

    perplexity: Amount | None
    """Perplexity of the texts that it knew."""


class Metrics(Scores):
    """Mean scores of all answers, and broken down."""

    by: dict[str, dict[str, Scores]]
    """By field, kind, distance, position, phrasing and hops."""
    known: KnownScores | None = None
    """On what the model knew before, if it was asked."""


class Costs(_Part):
    """What a cell took."""

    seconds: dict[str, Amount]
    """By stage: scoring, dropping, training, answering."""
    peak_memory_mib: dict[str, Amount]
    """Largest memory by stage, in MiB."""
    drop_rate: Rate
    """Share of tokens dropped from a copy."""
    training_tokens: Count
    """Tokens read in training."""
    questions: Count
    """Questions answered."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """CPU threads that the cell computed with; null if a server computed or none was recorded."""


class TrainingSummary(_Part):
    """How training went."""

    steps: Count
    """Optimizer steps."""
    tokens: Count
    """Tokens read, all epochs together."""
    losses: list[FiniteFloat | None]
    """Loss in nats per token at each logged step; null where it was no finite number."""
    first_loss: FiniteFloat | None
    """First of them."""
    last_loss: FiniteFloat | None
    """Last of them."""
    seconds: Amount
    """Seconds of training."""
    packed_attention: bool
    """Whether attention cost what its sequences cost, or that of whole rows."""


class Entry(_Part):
    """One submission to a leaderboard: a finished cell of `elusive run` or `elusive evaluate`.

    Made by `elusive leaderboard add`, never by hand.
    """

    schema_version: Literal[1]
    """Version of this schema."""
    cell: str = Field(pattern=r"^[0-9a-f]{12}$")
    """Identifier: follows from the parameters, and names the file."""
    parameters: Parameters
    """Everything that decides the outcome."""
    metrics: Metrics
    """Scores, which follow from the stored answers."""
    costs: Costs
    """Seconds, memory and tokens."""
    training_log: TrainingSummary | None
    """How training went; null where nothing was trained."""
    versions: dict[str, str]
    """Versions of the packages that made it."""
    predictions_sha256: Hash
    """SHA-256 of the answers beside the entry, `<cell>.parquet`."""
    known_sha256: Hash | None = None
    """SHA-256 of `<cell>.known.parquet`, the answers about what the model knew before."""
    submitted_by: str | None = Field(default=None, min_length=1, max_length=200)
    """Who submitted it."""
    submitted: date
    """Day of submission."""
    digest: Hash
    """SHA-256 of all the rest: shows that something was changed later, not who changed it."""


SUBMISSION = ("submitted_by", "submitted", "digest")
"""What tells apart two submissions of one cell."""


def schema_text() -> str:
    """The JSON Schema of entries, as it is published."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Entry.model_json_schema()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def entry_of(cell: CellResult, by: str | None, day: date) -> dict[str, Any]:
    """The entry of a finished cell, as JSON has it.

    Raises:
        InputError: the cell lacks something that entries hold, such as one of an older version.
    """
    parameters = {
        name: _without_paths(value) if name in PATHS else value
        for name, value in cell.parameters.items()
    }
    values: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "cell": cell_id(parameters),
        "parameters": parameters,
        "metrics": cell.metrics,
        "costs": cell.costs,
        "training_log": _finite(cell.log),
        "versions": read_manifest(cell.folder, "cell").versions,
        "predictions_sha256": file_hash(cell.folder / PREDICTIONS),
        "submitted": day.isoformat(),
    }
    if (known := cell.folder / KNOWN).exists():
        values["known_sha256"] = file_hash(known)
    if by is not None:
        values["submitted_by"] = by
    values["digest"] = digest(values)
    validated(Entry, values)
    return values


def digest(entry: dict[str, Any]) -> str:
    """SHA-256 of an entry as JSON has it, but for the digest itself."""
    return parameters_hash({name: value for name, value in entry.items() if name != "digest"})


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Names of what differs between two entries beside who submitted them and when."""
    names = (one.keys() | other.keys()) - set(SUBMISSION)
    return sorted(name for name in names if one.get(name) != other.get(name))


def cell_of(
    entry: dict[str, Any], path: Path, predictions: list[Prediction], known: list[Prediction]
) -> CellResult:
    """The cell that an entry was made of; its folder has the entry's name, and need not exist."""
    log = entry["training_log"]
    if log is not None:
        ends = {name: math.nan if log[name] is None else log[name] for name in ENDS}
        losses = [math.nan if loss is None else loss for loss in log["losses"]]
        log = log | ends | {"losses": losses}
    return CellResult(
        folder=path.with_suffix(""),
        parameters=entry["parameters"],
        predictions=predictions,
        known=known,
        metrics=entry["metrics"],
        costs=entry["costs"],
        log=log,
    )


def _without_paths(value: Any) -> Any:
    """Settings with absolute paths cut down to their last part: they tell of a machine, not a cell.

    >>> _without_paths({"model": "/home/me/models/tiny", "large": "nano-large"})
    {'model': 'tiny', 'large': 'nano-large'}
    """
    if isinstance(value, dict):
        return {name: _without_paths(each) for name, each in value.items()}
    if isinstance(value, str) and PurePath(value).is_absolute():
        return PurePath(value).name or value
    return value


def _finite(log: dict[str, Any] | None) -> dict[str, Any] | None:
    """A training log with null in place of the numbers that JSON lacks."""
    if log is None:
        return None
    losses = [loss if math.isfinite(loss) else None for loss in log["losses"]]
    ends = {name: log[name] if math.isfinite(log[name]) else None for name in ENDS}
    return log | ends | {"losses": losses}
