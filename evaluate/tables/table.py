"""Result tables: one row per arm, with intervals, ranks and comparisons."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from elusive.augment.arms import UNTRAINED
from elusive.common.dataset.records import Prediction
from elusive.common.errors import InputError, build_unknown_name_error
from elusive.common.intervals import Estimate
from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.cells.metrics import has_metric
from elusive.evaluate.checks.contamination import warn_about_answers
from elusive.evaluate.compare.budgets import count_exposures
from elusive.evaluate.compare.groups import group_arms, group_benchmarks
from elusive.evaluate.compare.metrics import METRICS
from elusive.evaluate.compare.provenance import describe_differences
from elusive.evaluate.compare.seed_noise import estimate_arms
from elusive.evaluate.compare.selection import select_comparable_cells
from elusive.evaluate.compare.significance import Comparison, compare_with_baseline, rank_arms

STAGES = ("scoring", "dropping", "training", "answering")
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
    forced_choice: Estimate | None
    """None if a cell lacks it, as those of earlier versions do."""
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
    """The best arm first."""
    metric: str
    baseline: str | None
    differences: str = ""
    """Versions and devices that differ between the cells, as one line."""
    selection: str = ""
    """Which questions it counts, if not all; such as `that 'untrained' got wrong`."""
    left_out: tuple[str, ...] = ()
    """A line for each arm and each seed that is not finished, as in `select_comparable_cells`."""

    @property
    def warning(self) -> str:
        """One line if the model answered many questions before training, else empty."""
        before = next((row for row in self.rows if row.label == UNTRAINED), None)
        return warn_about_answers(before.em.mean) if before else ""

    @property
    def notes(self) -> list[str]:
        """Lines to print below the table: what it counts, what differs, a warning, what lacks."""
        left_out = [f"not in the table: {line}" for line in self.left_out]
        part = f"only questions {self.selection}" if self.selection else ""
        return [line for line in (part, self.differences, self.warning, *left_out) if line]

    @property
    def is_people_only(self) -> bool:
        """Whether there is one seed, so that intervals and tests are over people only."""
        return self.rows[0].rank is None


def build_table(
    cells: list[CellResult], baseline: str | None = None, metric: str = "em"
) -> ResultTable:
    """Build a table with one row per arm, sorted by rank and then by the metric, best first.

    Cells with the same label but different settings are different arms; a number distinguishes
    them.

    Args:
        cells: cells of all arms.
        baseline: arm to compare the others with; by default random, else plain.
        metric: what arms are ranked and compared by, of `METRICS`.

    Raises:
        InputError: arms differ in their questions or seeds, the baseline or metric is unknown, or
            cells lack the metric.
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
    _check_metric(cells, metric)
    baseline = baseline or next((name for name in BASELINES if name in arms), None)
    ranks = rank_arms(arms, metric)
    comparisons = compare_with_baseline(arms, baseline, metric) if baseline else {}
    estimates = {column: _estimate_column(arms, column) for column in METRICS}
    rows = [
        replace(
            _build_row(name, members, {column: estimates[column].get(name) for column in METRICS}),
            rank=ranks[name],
            **_describe_difference(comparisons, name),
        )
        for name, members in arms.items()
    ]
    rows.sort(key=lambda row: (row.rank or 0, -getattr(row, metric).mean))
    return ResultTable(rows, metric, baseline, describe_differences(cells))


def _check_metric(cells: list[CellResult], metric: str) -> None:
    """Raise InputError unless all cells have a metric."""
    lacking = [cell for cell in cells if not has_metric(cell.predictions, metric)]
    if lacking:
        raise InputError(
            f"metric {metric!r}: {len(lacking)} of {len(cells)} cells lack it, first "
            f"{lacking[0].folder}: an earlier version made them, or no topic has two entities; "
            f"remove them and run the plan again, or choose another metric"
        )


def _estimate_column(arms: dict[str, list[CellResult]], metric: str) -> dict[str, Estimate]:
    """Estimate the mean of every arm all of whose cells have a metric."""
    having = {
        name: members
        for name, members in arms.items()
        if all(has_metric(cell.predictions, metric) for cell in members)
    }
    return estimate_arms(having, metric) if having else {}


def build_comparable_table(
    cells: list[CellResult], baseline: str | None = None, metric: str = "em"
) -> ResultTable:
    """Build a table of the arms and seeds of a benchmark that are finished, and name the others.

    Raises:
        InputError: as `build_table`, or the baseline is not finished.
    """
    measured, lacking = _leave_unmeasured_out(cells, metric)
    kept, left_out = select_comparable_cells(measured)
    left_out = [*lacking, *left_out]
    if baseline in group_arms(cells).keys() - group_arms(kept).keys():
        raise InputError(
            f"the baseline {baseline!r} is not in the table ({'; '.join(left_out)}): finish the "
            f"run, or choose another of {', '.join(group_arms(kept))}"
        )
    return replace(build_table(kept, baseline, metric), left_out=tuple(left_out))


def _leave_unmeasured_out(
    cells: list[CellResult], metric: str
) -> tuple[list[CellResult], list[str]]:
    """Leave out arms of earlier versions, which lack a newer metric, unless all cells lack it."""
    if metric not in METRICS or not any(has_metric(cell.predictions, metric) for cell in cells):
        return cells, []
    kept, lines = [], []
    for name, members in group_arms(cells).items():
        if any(has_metric(cell.predictions, metric) for cell in members):
            kept += members
        else:
            lines.append(f"{name}: its cells lack {metric}, as those of earlier versions do")
    return kept, lines


def build_tables(
    cells: list[CellResult], baseline: str | None = None, metric: str = "em"
) -> dict[str, ResultTable]:
    """Build a table per benchmark, by its name, as `build_comparable_table`."""
    return {
        name: build_comparable_table(members, baseline, metric)
        for name, members in group_benchmarks(cells).items()
    }


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


def _list_answered(cells: list[CellResult]) -> list[tuple[int, str]]:
    """List the seed and question of every prediction, sorted."""
    return sorted(
        (cell.parameters["seed"], p.question_id) for cell in cells for p in cell.predictions
    )


def _build_row(
    label: str, cells: list[CellResult], estimates: dict[str, Estimate | None]
) -> ArmRow:
    predictions = [p for cell in cells for p in cell.predictions]
    logs = [cell.log["targets"] for cell in cells if cell.log and cell.log.get("targets")]
    seconds = {
        stage: _mean(cell.costs["seconds"].get(stage, 0.0) for cell in cells) for stage in STAGES
    }
    preparing, training = seconds["scoring"] + seconds["dropping"], seconds["training"]
    tokens = _mean(cell.costs["training_tokens"] for cell in cells)
    em, f1, log_probability = (estimates[name] for name in ("em", "f1", "log_probability"))
    assert em is not None  # only the forced choice can be missing
    assert f1 is not None
    assert log_probability is not None
    known = [cell.metrics["known"] for cell in cells if "known" in cell.metrics]
    return ArmRow(
        label=label,
        seeds=len(cells),
        people=len({p.entity for p in predictions}),
        questions=len(predictions) / len(cells),
        em=em,
        f1=f1,
        log_probability=log_probability,
        forced_choice=estimates["forced_choice"],
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
