"""Tables of results: one row per arm, every number with its interval."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from elusive.augment.config import METHOD_NAMES
from elusive.common.errors import InputError, unknown_name
from elusive.common.folders import parameters_hash
from elusive.common.intervals import Estimate, mean_over_entities
from elusive.evaluate.cells.cell import CellResult, load_cell
from elusive.evaluate.compare.ranks import Comparison, against, shared_ranks
from elusive.evaluate.config import UNTRAINED

STAGES = ("scoring", "dropping", "training", "answering")
METRICS = ("em", "f1", "log_probability")
BASELINES = ("random", "plain")
"""Arms that others are compared with unless another is named, the first that is there."""
WIDE = 200


@dataclass(frozen=True)
class ArmRow:
    """Results of one arm, all its seeds together."""

    label: str
    seeds: int
    people: int
    em: Estimate
    f1: Estimate
    log_probability: Estimate
    opens: float
    contains: float
    em_by_field: dict[str, float]
    known_em: float | None
    """Exact match on what the model knew before; None if it was not asked."""
    known_perplexity: float | None
    drop_rate: float
    """Mean share of tokens dropped from a copy."""
    seconds: dict[str, float]
    """Mean seconds per cell of scoring, dropping, training and answering."""
    memory_mib: dict[str, float]
    """Largest peak memory of each stage over the cells, in MiB."""
    tokens_per_second: float
    """Of training; 0 where nothing was trained."""
    points_per_minute: float
    """EM points per minute of preparing the text and training; 0 where nothing was trained."""
    preparing: float
    """Seconds of scoring and dropping as a share of those of training; 0 likewise."""
    rank: int = 1
    """1 plus the number of significantly better arms."""
    difference: Estimate | None = None
    """From the baseline; None for the baseline itself."""
    p_value: float | None = None
    """Of that difference, corrected for the number of arms."""
    effect: float | None = None
    """Cohen's d_z of that difference."""
    chosen: str = ""
    """On whom, and from how many tries, its settings were chosen; empty if they were given."""


@dataclass(frozen=True)
class Results:
    """A table: its rows, and what they were compared by."""

    rows: list[ArmRow]
    metric: str
    baseline: str | None


def find_cells(folder: Path) -> list[CellResult]:
    """All finished cells of a run folder, or the one cell that the folder is.

    Raises:
        InputError: there are none, or one is damaged.
    """
    if not folder.is_dir():
        raise InputError(f"no run folder at {folder}: make one with `elusive run PLAN --out DIR`")
    if (folder / "predictions.parquet").exists():
        return [load_cell(folder)]
    cells = sorted(path.parent for path in folder.glob("cells/*/manifest.json"))
    cells = [path for path in cells if not path.name.startswith(".")]
    if not cells:
        raise InputError(
            f"{folder} holds no finished cells: name the folder that `elusive run PLAN --out DIR` "
            "was given"
        )
    return [load_cell(path) for path in cells]


def benchmarks(cells: list[CellResult]) -> dict[str, list[CellResult]]:
    """Cells by what their arms can be compared on: one dataset, one model, one way of asking.

    The name of each is `dataset, model`, with a number where two are called alike.
    """
    groups: dict[str, list[CellResult]] = defaultdict(list)
    for cell in cells:
        deciding = ("dataset", "weights", "answering", "scoring")
        groups[parameters_hash([cell.parameters.get(name) for name in deciding])].append(cell)
    named: dict[str, list[CellResult]] = {}
    for members in groups.values():
        parameters = members[0].parameters
        name = f"{parameters['dataset_name']}, {parameters['model']}"
        named[_free_name(name, named)] = members
    return named


def results(cells: list[CellResult], baseline: str | None = None, metric: str = "em") -> Results:
    """One row per arm, in the order of the methods' list, with ranks and comparisons.

    Cells of one label but with other settings are different arms, told apart by a number.

    Args:
        cells: of all arms.
        baseline: arm that the others are compared with; by default random, or else plain.
        metric: what arms are ranked and compared by: em, f1 or log_probability.

    Raises:
        InputError: arms that answered different questions or unequally many seeds; no such arm or
            metric.
    """
    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS)
    named = named_cells(cells)
    first = next(iter(named))
    for name, members in named.items():
        if _asked(members) != _asked(named[first]):
            raise InputError(
                f"arms {first!r} and {name!r} differ in questions or seeds, so they cannot share "
                "a table: finish the run with `elusive run PLAN --out DIR`"
            )
    if baseline is not None and baseline not in named:
        raise unknown_name("baseline", baseline, named)
    baseline = baseline or next((name for name in BASELINES if name in named), None)
    ranks = shared_ranks(named, metric)
    compared = against(named, baseline, metric) if baseline else {}
    rows = [_arm_row(name, members) for name, members in named.items()]
    return Results([_compared(row, ranks, compared) for row in rows], metric, baseline)


def tables(
    cells: list[CellResult], baseline: str | None = None, metric: str = "em"
) -> dict[str, Results]:
    """A table of the arms that have all their seeds, for each benchmark by its name."""
    return {
        name: results(complete_arms(members), baseline, metric)
        for name, members in benchmarks(cells).items()
    }


def _compared(
    row: ArmRow, ranks: dict[str, int], compared: dict[str, tuple[Comparison, float]]
) -> ArmRow:
    """A row with its rank, and its difference from the baseline."""
    row = replace(row, rank=ranks[row.label])
    if row.label not in compared:
        return row
    comparison, p_value = compared[row.label]
    return replace(row, difference=comparison.difference, p_value=p_value, effect=comparison.effect)


def complete_arms(cells: list[CellResult]) -> list[CellResult]:
    """The cells of the arms that have as many seeds as any arm has."""
    named = named_cells(cells)
    most = max(map(len, named.values()))
    return [cell for members in named.values() if len(members) == most for cell in members]


def named_cells(cells: list[CellResult]) -> dict[str, list[CellResult]]:
    """Cells by the name of their arm; cells that differ in the seed only are together."""
    groups: dict[str, list[CellResult]] = defaultdict(list)
    order = [UNTRAINED, *METHOD_NAMES]
    places = {name: place for place, name in enumerate(order)}

    def place(cell: CellResult) -> int:
        return places.get(cell.parameters["augment"]["method"], len(order))  # own arms last

    for cell in sorted(cells, key=place):
        groups[_arm_key(cell)].append(cell)
    named: dict[str, list[CellResult]] = {}
    for members in groups.values():
        named[_free_name(members[0].parameters["label"], named)] = members
    return named


def _free_name(name: str, taken: Iterable[str]) -> str:
    """The name, with a number where it is taken.

    >>> _free_name("plain", ["plain", "random"])
    'plain (2)'
    """
    same = sum(other == name or other.startswith(f"{name} (") for other in taken)
    return f"{name} ({same + 1})" if same else name


def _arm_key(cell: CellResult) -> str:
    """Equal for cells that differ in nothing but their seeds."""
    kept = {key: value for key, value in cell.parameters.items() if key not in ("seed", "train")}
    augment = {key: value for key, value in kept["augment"].items() if key != "seed"}
    return parameters_hash(kept | {"augment": augment})


def _asked(cells: list[CellResult]) -> list[tuple[int, str]]:
    """Seed and question of every prediction, sorted."""
    return sorted(
        (cell.parameters["seed"], p.question_id) for cell in cells for p in cell.predictions
    )


def _arm_row(label: str, cells: list[CellResult]) -> ArmRow:
    """Results of the cells of one arm."""
    pairs = [(cell.parameters["seed"], p) for cell in cells for p in cell.predictions]
    seeds, predictions = [seed for seed, _ in pairs], [p for _, p in pairs]
    entities = [prediction.entity for prediction in predictions]
    by_field: dict[str, list[float]] = defaultdict(list)
    for prediction in predictions:
        by_field[prediction.field].append(prediction.em)

    def estimate(column: str) -> Estimate:
        return mean_over_entities([getattr(p, column) for p in predictions], entities, seeds)

    seconds = {
        stage: _mean(cell.costs["seconds"].get(stage, 0.0) for cell in cells) for stage in STAGES
    }
    preparing, training = seconds["scoring"] + seconds["dropping"], seconds["training"]
    em = estimate("em")
    known = [cell.metrics["known"] for cell in cells if "known" in cell.metrics]
    return ArmRow(
        label=label,
        seeds=len(cells),
        people=len(set(entities)),
        em=em,
        f1=estimate("f1"),
        log_probability=estimate("log_probability"),
        opens=_mean(p.opens for p in predictions),
        contains=_mean(p.contains for p in predictions),
        em_by_field={field: _mean(values) for field, values in by_field.items()},
        known_em=_mean(each["em"] for each in known) if known else None,
        known_perplexity=_mean(each["perplexity"] for each in known) if known else None,
        drop_rate=_mean(cell.costs["drop_rate"] for cell in cells),
        seconds=seconds,
        memory_mib={
            stage: max(cell.costs["peak_memory_mib"].get(stage, 0.0) for cell in cells)
            for stage in STAGES
        },
        tokens_per_second=_mean(cell.costs["training_tokens"] for cell in cells) / training
        if training
        else 0.0,
        points_per_minute=6000 * em.mean / (preparing + training) if training else 0.0,
        preparing=preparing / training if training else 0.0,
        chosen=_chosen(cells[0].parameters.get("chosen")),
    )


def _chosen(chosen: dict[str, Any] | None) -> str:
    """On whom an arm's settings were chosen, and from how many tries."""
    if chosen is None:
        return ""
    people = "TEST" if chosen["protocol"] == "best-on-test" else "dev"
    return f"{chosen['tries']} on {people}"


def _mean(numbers: Iterable[float]) -> float:
    """Mean of some numbers."""
    return float(np.mean(list(numbers)))
