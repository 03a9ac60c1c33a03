"""Entries of a leaderboard: one finished cell each, in the form that a JSON Schema describes."""

import json
import math
from datetime import date
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, JsonValue

from elusive.common.dataset.records import Prediction
from elusive.common.errors import validate_config
from elusive.common.folders import hash_file, hash_parameters, read_manifest
from elusive.evaluate.cells.cell import compute_cell_id
from elusive.evaluate.cells.cell_folder import KNOWN, PREDICTIONS, CellResult, Trust

SCHEMA_VERSION = 1
SCHEMA_FILE = Path(__file__).parent / "entry.schema.json"
PATHS = ("model", "augment", "reference_model")
"""Parameters that may contain paths of the machine that made the cell; the id ignores them."""
ENDS = ("first_loss", "last_loss")

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Rate = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[FiniteFloat, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    """Base of all parts: unknown keys are errors, docstrings become descriptions of the schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Augmentation(BaseModel):
    """All settings of `elusive augment`; only `method` where nothing was trained."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)

    method: str
    """Arm, or name of a scoring function of one's own."""


class Choice(_Part):
    """How a sweep chose the settings of an arm."""

    protocol: Literal["best-on-dev", "best-on-test"]
    """Whose questions the trials were asked; with best-on-test, those of this very comparison."""
    metric: str
    """Metric of the trials."""
    value: FiniteFloat
    """Highest value of that metric."""
    tries: Annotated[int, Field(ge=1)]
    """Number of settings that were tried."""
    failed: Count = 0
    """Number of trials that failed."""
    seeds: list[int] = []
    """Seeds of each trial."""
    settings: dict[str, JsonValue]
    """Settings that were chosen."""


class Parameters(_Part):
    """Everything that decides the result of a cell, and its names."""

    label: str = Field(min_length=1, max_length=200)
    """Name of the arm in tables."""
    dataset: Hash
    """Content hash of the dataset."""
    dataset_name: str = Field(min_length=1, max_length=200)
    """Name of the dataset."""
    train: Hash | None
    """Content hash of the training text; null if nothing was trained."""
    augment: Augmentation
    """Settings that the training text was made with."""
    model: str = Field(min_length=1, max_length=500)
    """Hub id, alias or file name of the model; for a local folder, only its name."""
    weights: str
    """Hash of the model's weights."""
    seed: int
    """Seed of the adapter, the order of texts, the shots and the replay."""
    training: dict[str, JsonValue] | None
    """Settings of training; null if nothing was trained."""
    answering: dict[str, JsonValue]
    """Settings of answering."""
    scoring: str
    """Hash of the scoring of answers, after their language and a hyphen unless it is English."""
    known_scoring: str | None = None
    """The same for the answers about what the model knew before, if their language is another."""
    facts: Literal["by place"] | None = None
    """How the facts that are asked for were told apart, where a field has several in one text."""
    known: Hash | None = None
    """Content hash of the dataset of what the model knew before training, if that was asked."""
    adapter: Hash | None = None
    """Hash of a finished adapter that was scored instead of training one."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """CPU threads that the cell computed with."""
    control: str | None = Field(default=None, max_length=200)
    """Arm of kind `control`, unless it is `untrained`; null if something was trained."""
    settings: Hash | None = None
    """Hash of the model's config, tokenizer and chat template; entries before 0.2 lack it."""
    precision: str | None = Field(default=None, max_length=20)
    """Floating-point type of the loaded weights."""
    quantization: Literal["8bit", "4bit"] | None = None
    """Quantization of a model that was asked without training."""
    chosen: Choice | None = None
    """How a sweep chose the settings."""
    reference: Hash | None = None
    """Hash of the weights of the reference model, where the objective of training has one."""
    reference_settings: Hash | None = None
    """Hash of that model's config and tokenizer."""
    reference_model: str | None = Field(default=None, max_length=500)
    """Reference of that model."""


class Scores(_Part):
    """Mean scores of some answers."""

    em: Rate
    """Exact match."""
    f1: Rate
    """F1 over bags of words, the highest over the gold answers."""
    opens: Rate
    """Share of answers that begin with a gold answer."""
    contains: Rate
    """Share of answers that contain a gold answer."""
    log_probability: FiniteFloat
    """Mean log-probability per token of the first gold answer, in nats."""
    forced_choice: Rate | None = None
    """Mean share of distractors that are less likely than the gold answer; entries before 0.2 and
    questions without distractors lack it."""
    questions: int = Field(ge=1)
    """Number of answers."""


class KnownScores(Scores):
    """Mean scores on what the model knew before training."""

    perplexity: Amount | None
    """Perplexity of the texts that the model knew."""


class Metrics(Scores):
    """Mean scores of all answers, in total and broken down."""

    by: dict[str, dict[str, Scores]]
    """Mean scores by field, kind, distance, position, phrasing and hops."""
    known: KnownScores | None = None
    """Mean scores on what the model knew before training, if that was asked."""


class Costs(_Part):
    """Cost of a cell."""

    seconds: dict[str, Amount]
    """Seconds of each stage: scoring, dropping, training, answering."""
    peak_memory_mib: dict[str, Amount]
    """Peak memory of each stage, in MiB."""
    drop_rate: Rate
    """Mean share of tokens dropped from a copy."""
    training_tokens: Count
    """Number of tokens read in training."""
    questions: Count
    """Number of questions answered."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """CPU threads that the cell computed with; null if a server computed or none were recorded."""
    device: str | None = Field(default=None, max_length=200)
    """GPU, or vector instructions of the CPU; null if a server computed or none was recorded."""


class TrainingSummary(_Part):
    """Log of training."""

    steps: Count
    """Number of optimizer steps."""
    tokens: Count
    """Number of tokens read in all epochs."""
    losses: list[FiniteFloat | None]
    """Loss in nats per token at each logged step; null if not finite."""
    first_loss: FiniteFloat | None
    """First loss."""
    last_loss: FiniteFloat | None
    """Last loss."""
    seconds: Amount
    """Seconds of training."""
    packed_attention: bool
    """Whether attention was computed per text of a packed row, or over whole rows."""
    targets: dict[str, Rate] = {}
    """Shares of the copies' tokens that were predicted: of all tokens, the first tokens of values,
    the tokens of names, and those of relation words."""
    left_out: list[str] = Field(default=[], max_length=1000)
    """Weights of the text decoder that the adapter leaves out, with how many there are."""


Columns = dict[str, Hash]
Parts = dict[str, Hash | Columns]
Splits = dict[str, Hash | Parts]
Proof = dict[str, Hash | Splits]
"""The tree of hashes of a dataset, by table, split, part and column."""


class Gold(_Part):
    """Proofs that questions and gold answers are those of the datasets."""

    dataset: Proof | None = None
    """Tree of hashes whose root is the dataset's content hash, with those of the questions."""
    known: Proof | None = None
    """The same of the dataset of what the model knew before training."""


class Entry(_Part):
    """One submission to a leaderboard: a finished cell of `elusive run` or `elusive evaluate`.

    `elusive leaderboard add` writes entries; never edit one by hand.
    """

    schema_version: Literal[1]
    """Version of this schema."""
    cell: str = Field(pattern=r"^[0-9a-f]{12}$")
    """Identifier, computed from the parameters; also the name of the file."""
    parameters: Parameters
    """Everything that decides the result."""
    metrics: Metrics
    """Scores, computed from the stored answers."""
    costs: Costs
    """Cost in seconds, memory and tokens."""
    training_log: TrainingSummary | None
    """Log of training; null if nothing was trained."""
    versions: dict[str, str]
    """Versions of the packages that made the cell."""
    predictions_sha256: Hash
    """SHA-256 of the answers beside the entry, `<cell>.parquet`."""
    known_sha256: Hash | None = None
    """SHA-256 of `<cell>.known.parquet`, the answers about what the model knew before training."""
    gold: Gold | None = None
    """Proofs that questions and gold answers are those of the datasets."""
    submitted_by: str | None = Field(default=None, min_length=1, max_length=200)
    """Name of the submitter."""
    submitted: date
    """Day of submission."""
    digest: Hash
    """SHA-256 of all the rest: shows that the entry was changed later, but not by whom."""


SUBMISSION = ("submitted_by", "submitted", "digest")
"""Keys in which two submissions of one cell may differ."""


def render_schema() -> str:
    """Render the JSON Schema of entries."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Entry.model_json_schema()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def build_entry(cell: CellResult, by: str | None, day: date) -> dict[str, Any]:
    """Build the entry of a finished cell, as JSON values.

    Args:
        cell: a finished cell in its folder.
        by: name of the submitter; None leaves it out.
        day: day of submission.

    Raises:
        InputError: the cell lacks something that entries need; cells of older versions may.
    """
    parameters = {
        name: _without_paths(value) if name in PATHS else value
        for name, value in cell.parameters.items()
    }
    values: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "cell": compute_cell_id(parameters),
        "parameters": parameters,
        "metrics": cell.metrics,
        "costs": cell.costs,
        "training_log": _finite(cell.log),
        "versions": read_manifest(cell.folder, "cell").versions,
        "gold": cell.gold,
        "predictions_sha256": hash_file(cell.folder / PREDICTIONS),
        "submitted": day.isoformat(),
    }
    if (known := cell.folder / KNOWN).exists():
        values["known_sha256"] = hash_file(known)
    if by is not None:
        values["submitted_by"] = by
    values["digest"] = hash_entry(values)
    validate_config(Entry, values)
    return values


def hash_entry(entry: dict[str, Any]) -> str:
    """Return the SHA-256 of an entry's JSON values without the digest itself."""
    return hash_parameters({name: value for name, value in entry.items() if name != "digest"})


def find_differences(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Return the keys in which two entries differ, apart from submitter, day and digest."""
    keys = (first.keys() | second.keys()) - set(SUBMISSION)
    return sorted(key for key in keys if first.get(key) != second.get(key))


def build_cell(
    entry: dict[str, Any],
    path: Path,
    predictions: list[Prediction],
    known: list[Prediction],
    trust: Trust | None = None,
) -> CellResult:
    """Build the cell of an entry; its folder is named like the entry and need not exist."""
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
        versions=entry["versions"],
        gold=entry.get("gold") or {},
        trust=trust,
    )


def _without_paths(value: Any) -> Any:
    """Settings with absolute paths cut to their last part, as paths say nothing about a cell.

    >>> _without_paths({"model": "/home/me/models/tiny", "large": "nano-large"})
    {'model': 'tiny', 'large': 'nano-large'}
    """
    if isinstance(value, dict):
        return {name: _without_paths(item) for name, item in value.items()}
    if isinstance(value, str) and PurePath(value).is_absolute():
        return PurePath(value).name or value
    return value


def _finite(log: dict[str, Any] | None) -> dict[str, Any] | None:
    """A training log with null in place of NaN and infinity, which JSON lacks."""
    if log is None:
        return None
    losses = [loss if math.isfinite(loss) else None for loss in log["losses"]]
    ends = {name: log[name] if math.isfinite(log[name]) else None for name in ENDS}
    return log | ends | {"losses": losses}
