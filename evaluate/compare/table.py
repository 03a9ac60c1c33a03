"""Result tables: one row per arm, with intervals, ranks and comparisons."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from elusive.augment.arms import ARMS, UNTRAINED
from elusive.common.dataset.records import Prediction
from elusive.common.errors import InputError, build_unknown_name_error
from elusive.common.folders import hash_parameters
from elusive.common.intervals import Estimate
from elusive.evaluate.cells.cell import get_arm
from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.checks.contamination import warn_about_answers
from elusive.evaluate.compare.budgets import count_exposures, describe_budget
from elusive.evaluate.compare.provenance import describe_differences
from elusive.evaluate.compare.seed_noise import estimate_arms
from elusive.evaluate.compare.significance import Comparison, compare_with_baseline, rank_arms

DECIDING = ("dataset", "weights", "settings", "precision", "answering", "scoring")
"""Parameters that cells share where their arms can be compared."""
STAGES = ("scoring", "dropping", "training", "answering")
METRICS = ("em", "f1", "log_probability")
BASELINES = ("random", "plain")
"""Default baselines; the first of them that was run is used."""


@dataclass(frozen=True)
class ArmRow:
    """Results of one arm, with all its seeds together."""

    label: str
    seeds: int
    people: int
    questions: float
    """Mean number of questions per seed."""
    em: Estimate
    f1: Estimate
    log_probability: Estimate
    opens: float
    contains: float
    em_by_field: dict[str, float]
    em_by_kind: dict[str, float]
    """Exact match by kind of question, such as `direct` and `reverse`."""
    targets: dict[str, float]
    """Mean shares of the copies' tokens that training predicted, as in `TargetRates`; empty where
    nothing was trained or none were counted."""
    known_em: float | None
    """Exact match about what the model knew before; None if it was not asked."""
    known_perplexity: float | None
    drop_rate: float
    """Mean share of the tokens that a copy lost."""
    seconds: dict[str, float]
    """Mean seconds per cell of scoring, dropping, training and answering."""
    memory_mib: dict[str, float]
    """Largest peak memory of each stage over the cells, in MiB."""
    tokens_per_second: float
    """Speed of training; 0 if nothing was trained."""
    points_per_minute: float
    """EM points per minute of scoring, dropping and training; 0 if nothing was trained."""
    preparing: float
    """Seconds of scoring and dropping over those of training; 0 if nothing was trained."""
    rank: int | None = None
    """1 plus the number of significantly better arms; None with one seed."""
    difference: Estimate | None = None
    """Difference from the baseline; None for the baseline itself."""
    p_value: float | None = None
    """P-value of that difference, corrected for the number of arms."""
    effect: float | None = None
    """Cohen's d_z of that difference."""
    chosen: str = ""
    """From how many trials, and on whom, its settings were chosen; empty without a sweep."""
    exposures: int | None = None
    """How often training showed each document; None if nothing was trained."""
    training_tokens: float = 0.0
    """Mean number of tokens that training read, over all epochs."""
    equal_tokens: bool = False
    """Whether the budget is tokens: as many as whole documents have at this number of exposures."""
    verified: str = ""
    """On a leaderboard: of how many cells the answers were computed again."""


@dataclass(frozen=True)
class ResultTable:
    """Rows of arms, with the metric and the baseline of their comparison."""

    rows: list[ArmRow]
    metric: str
    baseline: str | None
    differences: str = ""
    """Versions and devices that differ between the cells, as one line."""

    @property
    def warning(self) -> str:
        """One line if the model answered many questions before training, else empty."""
        before = next((row for row in self.rows if row.label == UNTRAINED), None)
        return warn_about_answers(before.em.mean) if before else ""

    @property
    def is_people_only(self) -> bool:
        """Whether there is one seed, so that intervals and tests are over people only."""
        return self.rows[0].rank is None


def group_benchmarks(cells: list[CellResult]) -> dict[str, list[CellResult]]:
    """Group cells whose arms can be compared: same dataset, model, way of answering and budget.

    A benchmark is named `dataset, model`, with what differs between it and others that would have
    the same name, and with the budget if there are several. Cells without training belong to every
    budget.
    """
    groups: dict[str, list[CellResult]] = defaultdict(list)
    for cell in cells:
        deciding = [cell.parameters.get(name) for name in DECIDING]
        groups[hash_parameters(deciding)].append(cell)
    benchmarks: dict[str, list[CellResult]] = {}
    names = name_benchmarks([members[0].parameters for members in groups.values()])
    for name, members in zip(names, groups.values(), strict=True):
        by_budget = _group_budgets(members)
        for budget, own in by_budget.items():
            full_name = f"{name}, {budget}" if len(by_budget) > 1 else name
            benchmarks[_number_name(full_name, benchmarks)] = own
    return benchmarks


def name_benchmarks(parameters: list[dict[str, Any]]) -> list[str]:
    """Name benchmarks by their dataset and model, and by what else differs between equal names.

    >>> nano = {"dataset_name": "people", "model": "nano", "dataset": "0" * 64}
    >>> name_benchmarks([nano, nano | {"model": "smollm2"}])
    ['people, nano', 'people, smollm2']
    >>> name_benchmarks([nano, nano | {"dataset": "1a2b3c" + "0" * 58}])
    ['people 000000, nano', 'people 1a2b3c, nano']
    >>> name_benchmarks([nano | {"answering": {"num_shots": shots}} for shots in (0, 5)])
    ['people, nano, num_shots 0', 'people, nano, num_shots 5']
    """
    plain = [f"{own['dataset_name']}, {own['model']}" for own in parameters]
    names: list[str] = []
    for name, own in zip(plain, parameters, strict=True):
        flat = _flatten_deciding(own)
        others = [
            _flatten_deciding(other)
            for other_name, other in zip(plain, parameters, strict=True)
            if other_name == name
        ]
        differing = {
            key: value
            for key, value in flat.items()
            if any(other.get(key) != value for other in others)
        }
        dataset = f" {flat['dataset'][:6]}" if differing.pop("dataset", None) else ""
        parts = [f"{own['dataset_name']}{dataset}", str(own["model"])]
        parts += [f"{key} {str(value)[:12]}" for key, value in differing.items()]
        names.append(_number_name(", ".join(parts), names))
    return names


def _flatten_deciding(parameters: dict[str, Any]) -> dict[str, Any]:
    """List what decides a benchmark, with the settings of answering by their own names."""
    flat = {name: parameters.get(name) for name in DECIDING if name != "answering"}
    return flat | (parameters.get("answering") or {})


def _group_budgets(cells: list[CellResult]) -> dict[str | None, list[CellResult]]:
    """Group cells by training budget; cells without training belong to each group."""
    budgets = [describe_budget(cell.parameters) for cell in cells]
    names = dict.fromkeys(budget for budget in budgets if budget) or {None: None}
    return {
        name: [cell for cell, budget in zip(cells, budgets, strict=True) if budget in (None, name)]
        for name in names
    }


def select_missed(cells: list[CellResult]) -> list[CellResult]:
    """Keep only answers to questions that the model before training gets wrong, seed by seed.

    Raises:
        InputError: the model before training was not asked, or it got everything right.
    """
    untrained = [cell for cell in cells if get_arm(cell.parameters) == UNTRAINED]
    missed = {
        (cell.parameters["seed"], p.question_id)
        for cell in untrained
        for p in cell.predictions
        if p.em < 1
    }
    if not missed:
        raise InputError(
            f"there are no questions that {UNTRAINED!r} got wrong: run the plan with "
            "`untrained: true`, or leave out --missed"
        )
    return select_answers(cells, lambda seed, p: (seed, p.question_id) in missed)


def select_answers(
    cells: list[CellResult], is_chosen: Callable[[int, Prediction], bool]
) -> list[CellResult]:
    """Keep only some answers of cells.

    Args:
        cells: of any arms.
        is_chosen: whether an answer is kept, from the cell's seed and the answer.
    """
    return [
        replace(
            cell,
            predictions=[p for p in cell.predictions if is_chosen(cell.parameters["seed"], p)],
        )
        for cell in cells
    ]


def build_table(
    cells: list[CellResult], baseline: str | None = None, metric: str = "em"
) -> ResultTable:
    """Build a table with one row per arm, in the order of `augment/arms.py`.

    Cells with the same label but different settings are different arms; a number distinguishes
    them.

    Args:
        cells: cells of all arms.
        baseline: arm to compare the others with; by default random, else plain.
        metric: what arms are ranked and compared by: em, f1 or log_probability.

    Raises:
        InputError: arms differ in their questions or seeds, or the baseline or metric is unknown.
    """
    if metric not in METRICS:
        raise build_unknown_name_error("metric", metric, METRICS)
    arms = group_arms(cells)
    first = next(iter(arms))
    for name, members in arms.items():
        if _list_answered(members) != _list_answered(arms[first]):
            raise InputError(
                f"arms {first!r} and {name!r} differ in questions or seeds, so they cannot share "
                "a table: finish the run with `elusive run PLAN --out DIR`"
            )
    if baseline is not None and baseline not in arms:
        raise build_unknown_name_error("baseline", baseline, arms)
    baseline = baseline or next((name for name in BASELINES if name in arms), None)
    ranks = rank_arms(arms, metric)
    comparisons = compare_with_baseline(arms, baseline, metric) if baseline else {}
    estimates = {column: estimate_arms(arms, column) for column in METRICS}
    rows = [
        replace(
            _build_row(name, members, {column: estimates[column][name] for column in METRICS}),
            rank=ranks[name],
            **_describe_difference(comparisons, name),
        )
        for name, members in arms.items()
    ]
    return ResultTable(rows, metric, baseline, describe_differences(cells))


def build_tables(
    cells: list[CellResult], baseline: str | None = None, metric: str = "em"
) -> dict[str, ResultTable]:
    """Build a table per benchmark, by its name, of the arms that have all their seeds."""
    return {
        name: build_table(select_complete_arms(members), baseline, metric)
        for name, members in group_benchmarks(cells).items()
    }


def sort_rows(table: ResultTable) -> ResultTable:
    """Sort the rows by rank, then by the metric, best first."""
    rows = sorted(table.rows, key=lambda row: (row.rank or 0, -getattr(row, table.metric).mean))
    return replace(table, rows=rows)


def _describe_difference(
    comparisons: dict[str, tuple[Comparison, float]], arm: str
) -> dict[str, Any]:
    """Return an arm's difference from the baseline as fields of its row."""
    if arm not in comparisons:
        return {}
    comparison, p_value = comparisons[arm]
    return {
        "difference": comparison.difference,
        "p_value": p_value,
        "effect": comparison.effect,
    }


def select_complete_arms(cells: list[CellResult]) -> list[CellResult]:
    """Select the cells of the arms that have the largest number of seeds."""
    arms = group_arms(cells)
    num_seeds = max(map(len, arms.values()))
    return [cell for members in arms.values() if len(members) == num_seeds for cell in members]


def group_arms(cells: list[CellResult]) -> dict[str, list[CellResult]]:
    """Group cells by arm; cells that differ only in their seeds belong to one arm."""
    order = {name: position for position, name in enumerate(ARMS)}
    groups: dict[str, list[CellResult]] = defaultdict(list)
    # Users' own arms, which are not in ARMS, come last.
    for cell in sorted(cells, key=lambda cell: order.get(get_arm(cell.parameters), len(order))):
        groups[_hash_arm(cell)].append(cell)
    arms: dict[str, list[CellResult]] = {}
    for members in groups.values():
        arms[_number_name(members[0].parameters["label"], arms)] = members
    return arms


def _number_name(name: str, taken: Collection[str]) -> str:
    """Return the name, with a number if it is taken.

    >>> _number_name("plain", ["plain", "plain (2)", "random"])
    'plain (3)'
    """
    numbered = (f"{name} ({number})" for number in itertools.count(2))
    return next(other for other in itertools.chain([name], numbered) if other not in taken)


def _hash_arm(cell: CellResult) -> str:
    """Hash what decides a cell except its seeds."""
    parameters = {
        name: value for name, value in cell.parameters.items() if name not in ("seed", "train")
    }
    augment = {name: value for name, value in parameters["augment"].items() if name != "seed"}
    return hash_parameters(parameters | {"augment": augment})


def _list_answered(cells: list[CellResult]) -> list[tuple[int, str]]:
    """List the seed and question of every prediction, sorted."""
    return sorted(
        (cell.parameters["seed"], p.question_id) for cell in cells for p in cell.predictions
    )


def _build_row(label: str, cells: list[CellResult], estimates: dict[str, Estimate]) -> ArmRow:
    predictions = [p for cell in cells for p in cell.predictions]
    logs = [cell.log["targets"] for cell in cells if cell.log and cell.log.get("targets")]
    seconds = {
        stage: _mean(cell.costs["seconds"].get(stage, 0.0) for cell in cells) for stage in STAGES
    }
    preparing, training = seconds["scoring"] + seconds["dropping"], seconds["training"]
    tokens = _mean(cell.costs["training_tokens"] for cell in cells)
    em = estimates["em"]
    known = [cell.metrics["known"] for cell in cells if "known" in cell.metrics]
    return ArmRow(
        label=label,
        seeds=len(cells),
        people=len({p.entity for p in predictions}),
        questions=len(predictions) / len(cells),
        em=em,
        f1=estimates["f1"],
        log_probability=estimates["log_probability"],
        opens=_mean(p.opens for p in predictions),
        contains=_mean(p.contains for p in predictions),
        em_by_field=_average_by(predictions, lambda prediction: prediction.field),
        em_by_kind=_average_by(predictions, lambda prediction: prediction.kind),
        targets={
            name: _mean(log[name] for log in logs)
            for name in (logs[0] if logs else ())
            if all(name in log for log in logs)
        },
        known_em=_mean(scores["em"] for scores in known) if known else None,
        known_perplexity=_mean(scores["perplexity"] for scores in known) if known else None,
        drop_rate=_mean(cell.costs["drop_rate"] for cell in cells),
        seconds=seconds,
        memory_mib={
            stage: max(cell.costs["peak_memory_mib"].get(stage, 0.0) for cell in cells)
            for stage in STAGES
        },
        tokens_per_second=tokens / training if training else 0.0,
        points_per_minute=6000 * em.mean / (preparing + training) if training else 0.0,
        preparing=preparing / training if training else 0.0,
        chosen=_describe_choice(cells[0].parameters.get("chosen")),
        exposures=count_exposures(cells[0].parameters),
        training_tokens=tokens,
        equal_tokens=(cells[0].parameters.get("training") or {}).get("budget") == "tokens",
        verified=_count_verified(cells),
    )


def _average_by(
    predictions: list[Prediction], key: Callable[[Prediction], str]
) -> dict[str, float]:
    """Average exact match over groups of answers, in the order in which they first occur."""
    groups: dict[str, list[float]] = defaultdict(list)
    for prediction in predictions:
        groups[key(prediction)].append(prediction.em)
    return {name: _mean(values) for name, values in groups.items()}


def _count_verified(cells: list[CellResult]) -> str:
    trusts = [cell.trust for cell in cells if cell.trust]
    return f"{sum(trust.verified for trust in trusts)} of {len(cells)}" if trusts else ""


def _describe_choice(chosen: dict[str, Any] | None) -> str:
    """Say from how many trials, and on whom, an arm's settings were chosen."""
    if chosen is None:
        return ""
    people = "TEST" if chosen["protocol"] == "best-on-test" else "dev"
    failed = chosen.get("failed")
    return f"{chosen['tries']} on {people}" + (f", {failed} failed" if failed else "")


def _mean(numbers: Iterable[float]) -> float:
    return float(np.mean(list(numbers)))
