"""Compare what an arm adds to a baseline between two models that were asked the same questions.

    python docs/compare_gains.py docs/board docs/cells/nano-fixed \\
        --benchmark "50 people, the name opens the text, nano-large" \\
        --benchmark "name-first, fixed-large" --arm permute --baseline plain --metric em
"""

from collections.abc import Sequence
from functools import reduce
from pathlib import Path

import click

from elusive.common.errors import InputError, build_unknown_name_error
from elusive.common.intervals import (
    RATE_DIFFERENCE,
    UNBOUNDED,
    Estimate,
    estimate_mean,
    format_estimate,
)
from elusive.evaluate.cells.cell_folder import CellResult, find_cells
from elusive.evaluate.cells.metrics import RATES
from elusive.evaluate.compare.groups import group_arms, group_benchmarks
from elusive.evaluate.compare.seed_noise import combine_noises, measure_noises
from elusive.report.leaderboard.build import load_board_cells

Arms = dict[str, list[CellResult]]


def compare_gains(first: Arms, second: Arms, arm: str, baseline: str, metric: str) -> Estimate:
    """Estimate the first model's gain minus that of the second, over people and seeds.

    Args:
        first: cells of a model's arms; all arms share the variance between seeds.
        second: those of another model, with the same questions and seeds.
        arm: whose gain over the baseline is meant.
        baseline: another arm.
        metric: a numeric column of predictions, such as `em`.

    Raises:
        InputError: the models were asked other questions.
    """
    both = (first, second)
    gains = [_map_gains(arms, arm, baseline, metric) for arms in both]
    if gains[0].keys() != gains[1].keys():
        raise InputError("the models were asked other questions, or have other seeds")
    keys = sorted(gains[0])
    noises = [measure_noises(arms, metric) for arms in both]
    noise = reduce(combine_noises, (of[name] for of in noises for name in (arm, baseline)))
    low, high = RATE_DIFFERENCE if metric in RATES else UNBOUNDED
    differences = [gains[0][key] - gains[1][key] for key in keys]
    return estimate_mean(differences, [key[0] for key in keys], noise, bounds=(2 * low, 2 * high))


def _map_gains(
    arms: Arms, arm: str, baseline: str, metric: str
) -> dict[tuple[str, int, str], float]:
    """Map each answer's person, seed and question to the gain."""
    values = []
    for name in (arm, baseline):
        if name not in arms:
            raise build_unknown_name_error("arm", name, arms)
        values.append(
            {
                (p.entity, cell.parameters["seed"], p.question_id): getattr(p, metric)
                for cell in arms[name]
                for p in cell.predictions
            }
        )
    first, second = values
    return {key: value - second[key] for key, value in first.items() if value is not None}


def read_arms(folder: Path, benchmark: str) -> Arms:
    """Read the arms of one benchmark of a leaderboard, a run, or the cells of one."""
    is_board = (folder / "entries").is_dir()
    benchmarks = group_benchmarks(load_board_cells(folder) if is_board else find_cells(folder))
    if benchmark not in benchmarks:
        raise build_unknown_name_error("benchmark", benchmark, benchmarks)
    return group_arms(benchmarks[benchmark])


@click.command()
@click.argument("first", type=click.Path(exists=True, path_type=Path))
@click.argument("second", type=click.Path(exists=True, path_type=Path))
@click.option("--benchmark", "benchmarks", multiple=True, required=True, help="Of each folder.")
@click.option("--arm", default="permute", show_default=True, help="Whose gain is compared.")
@click.option("--baseline", default="plain", show_default=True, help="Over which arm.")
@click.option("--metric", default="em", show_default=True, help="em, f1 or forced_choice.")
def main(
    first: Path, second: Path, benchmarks: Sequence[str], arm: str, baseline: str, metric: str
) -> None:
    """Print the gain of a model in FIRST minus that of a model in SECOND, in points."""
    if len(benchmarks) != 2:
        raise click.UsageError("give --benchmark twice, for FIRST and for SECOND")
    one, other = (read_arms(*pair) for pair in zip((first, second), benchmarks, strict=True))
    estimate = compare_gains(one, other, arm, baseline, metric)
    click.echo(format_estimate(estimate, 100, 0))


if __name__ == "__main__":
    main()
