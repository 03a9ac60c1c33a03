"""How often intervals contain the truth, and tests find differences that are there or are not.

People differ in how well they are known (exact match: beta-binomial, correlation .3 between the
questions about one person). Where there are several seeds, trainings differ as well. Tests are
compared with tests over people only, which take chance in training for a difference.

python benchmarks/coverage.py intervals --runs 1000
python benchmarks/coverage.py chance --runs 100
python benchmarks/coverage.py unequal --runs 400
python benchmarks/coverage.py power --runs 100
python benchmarks/coverage.py board docs/board
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import click
import numpy as np
from scipy.stats import beta
from tqdm import tqdm

from elusive.common.intervals import RATE, Noise, estimate_mean
from elusive.evaluate.cells.metrics import RATES, has_metric
from elusive.evaluate.compare.groups import group_arms, group_benchmarks
from elusive.evaluate.compare.metrics import METRICS
from elusive.evaluate.compare.seed_noise import (
    combine_noises,
    measure_spread,
    pool_noises,
)
from elusive.evaluate.compare.significance import LEVEL, compute_p_values, correct_p_values
from elusive.report.leaderboard.board_check import check_board

QUESTIONS, CORRELATION = 5, 0.3
NUM_ARMS = 13
PEOPLE = 40
INTERVAL_DESIGNS = [
    *[(100, 0.05, 1, 0.0), (100, 0.2, 1, 0.0), (100, 0.5, 1, 0.0), (100, 0.2, 2, 0.02)],
    *[(100, 0.2, 3, 0.02), (100, 0.5, 3, 0.02), (100, 0.2, 5, 0.02), (100, 0.2, 3, 0.0)],
    *[(100, 0.01, 1, 0.0), (20, 0.01, 1, 0.0), (20, 0.2, 1, 0.0), (5, 0.2, 1, 0.0)],
]
"""People, rate of right answers, number of seeds, standard deviation between seeds."""
LOG_PROBABILITY = "log-probability"
KINDS = {"EM 5%": 0.05, "EM 20%": 0.2, "EM 50%": 0.5, LOG_PROBABILITY: None}
DEVIATIONS = (0.0, 0.02, 0.08)
"""Standard deviations between seeds of exact match; log-probabilities have twice as much."""
UNEQUAL, UNEQUAL_RATE = (0.01, 0.02, 0.03, 0.04, 0.05, 0.05), 0.35
"""Standard deviations between seeds of arms that are alike, and their rate of right answers."""
NUM_FLOOR, FLOOR_RATE, FLOOR_DEVIATION = 4, 0.01, 0.003
PERSON_DEVIATION, ANSWER_DEVIATION = 0.6, 0.3
"""Standard deviations of log-probabilities between people, and between seeds for one person."""

runs_option = click.option("--runs", default=100, help="Number of simulated runs of each design.")


def simulate_arms(
    rates: list[float],
    people: int,
    seeds: int,
    deviation: float | Sequence[float],
    are_known: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    """Simulate exact match, 1 or 0.  # (arm, person, seed, question).

    Args:
        rates: rate of right answers of each arm.
        people: number of people.
        seeds: number of seeds.
        deviation: standard deviation between seeds, of all arms or of each.
        are_known: whether all arms know the same people well.
        rng: source of randomness.
    """
    scale, arms = 1 / CORRELATION - 1, len(rates)
    levels = rng.random((1 if are_known else arms, people)).repeat(arms if are_known else 1, axis=0)
    rate = np.array(rates)[:, None]
    known = beta.ppf(levels, rate * scale, (1 - rate) * scale)  # (arm, person)
    deviations = np.broadcast_to(deviation, arms)[:, None, None, None]
    shift = rng.normal(0, 1, (arms, 1, seeds, 1)) * deviations
    chances = np.clip(known[:, :, None, None] + shift, 0, 1)
    return (rng.random((arms, people, seeds, QUESTIONS)) < chances).astype(float)


def simulate_log_probabilities(
    arms: int, people: int, seeds: int, deviation: float, are_known: bool, rng: np.random.Generator
) -> np.ndarray:
    """Simulate log-probabilities.  # (arm, person, seed, 1). Arguments are as above."""
    known = rng.normal(0, PERSON_DEVIATION, (1 if are_known else arms, people, 1, 1))
    shift = rng.normal(0, deviation, (arms, 1, seeds, 1))
    return known + shift + rng.normal(0, ANSWER_DEVIATION, (arms, people, seeds, 1))


def compute_both_p_values(
    values: np.ndarray, pairs: list[tuple[int, int]], is_rate: bool, untrained: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Compute p-values over people and seeds, and over people only.  # both (pair,).

    Args:
        values: scores.  # (arm, person, seed, question)
        pairs: of arms.
        is_rate: whether scores are in [0, 1].
        untrained: the arm that is not trained.
    """
    people, seeds = (index.ravel() for index in np.indices(values.shape[1:])[:2])
    spreads = [
        measure_spread(arm.ravel(), people, seeds, is_trained=number != untrained)
        for number, arm in enumerate(values)
    ]
    noises = pool_noises(spreads, is_rate)
    by_person = values.mean(axis=(2, 3))  # (arm, person)
    differences = np.stack([by_person[a] - by_person[b] for a, b in pairs], axis=1)
    with_seeds = [combine_noises(noises[a], noises[b]) for a, b in pairs]
    both = (with_seeds, [Noise()] * len(pairs))
    first, second = (np.array(compute_p_values(differences, noise)) for noise in both)
    return first, second


def simulate_interval(
    people: int, rate: float, seeds: int, spread: float, rng: np.random.Generator
) -> bool:
    """Simulate the answers of one arm; return whether their interval contains the rate."""
    (values,) = simulate_arms([rate], people, seeds, spread, False, rng)
    entities, seed_numbers = (index.ravel() for index in np.indices(values.shape)[:2])
    spreads = [measure_spread(values.ravel(), entities, seed_numbers)]
    (noise,) = pool_noises(spreads, is_rate=True)
    estimate = estimate_mean(values.ravel(), entities, noise, bounds=RATE)
    return estimate.low <= rate <= estimate.high


@click.group()
def main() -> None:
    """Measure intervals and tests by simulation, and on the answers of a leaderboard."""


@main.command()
@runs_option
def intervals(runs: int) -> None:
    """Print how often intervals contain the truth: one arm alone."""
    for number, (people, rate, seeds, spread) in enumerate(INTERVAL_DESIGNS):
        rng = np.random.default_rng(number)
        hits = [
            simulate_interval(people, rate, seeds, spread, rng)
            for _ in tqdm(range(runs), leave=False)
        ]
        error = np.sqrt(np.mean(hits) * (1 - np.mean(hits)) / runs)
        click.echo(
            f"{people} people, EM {rate:.0%}, {seeds} seeds: {np.mean(hits):.1%} +- {error:.1%} of "
            "the intervals contain the truth"
        )


@main.command()
@runs_option
@click.option("--arms", default=NUM_ARMS, help="Number of arms.")
def chance(runs: int, arms: int) -> None:
    """Print how often arms that are alike differ: 40 people, 2, 3 and 5 seeds."""
    pairs = list(combinations(range(arms), 2))
    click.echo(
        "| scores | between seeds | people | seeds | p < .05 | (people only) | unequal ranks |"
    )
    click.echo("|---|---|---|---|---|---|---|")
    designs = [
        (kind, deviation, are_known, seeds)
        for kind in KINDS
        for deviation in DEVIATIONS
        for are_known in (True, False)
        for seeds in (2, 3, 5)
    ]
    for number, (kind, deviation, are_known, seeds) in enumerate(tqdm(designs)):
        rng = np.random.default_rng(number)
        design = (PEOPLE, seeds, deviation)
        hits, unequal = np.zeros(2), np.zeros(2)
        for _ in range(runs):
            rate = KINDS[kind]
            if rate is None:
                design = (PEOPLE, seeds, 2 * deviation)
                values = simulate_log_probabilities(arms, *design, are_known, rng)
            else:
                values = simulate_arms([rate] * arms, *design, are_known, rng)
            p_values = compute_both_p_values(values, pairs, rate is not None)
            hits += [np.mean(p < LEVEL) / runs for p in p_values]
            unequal += [(min(correct_p_values(p.tolist())) < LEVEL) / runs for p in p_values]
        tqdm.write(
            f"| {kind} | {design[2]} | {'same' if are_known else 'other'} | {seeds} | "
            f"{hits[0]:.1%} | {hits[1]:.1%} | {unequal[0]:.0%} (people only {unequal[1]:.0%}) |"
        )


@main.command()
@runs_option
def unequal(runs: int) -> None:
    """Print how often arms that are alike differ beside others: 50 people, 3 and 5 seeds.

    Six arms have the same rate and other deviations between seeds; four know next to nothing, so
    that their seeds hardly differ.
    """
    pairs = list(combinations(range(len(UNEQUAL)), 2))
    rates = [UNEQUAL_RATE] * len(UNEQUAL) + [FLOOR_RATE] * NUM_FLOOR
    deviations = [*UNEQUAL, *[FLOOR_DEVIATION] * NUM_FLOOR]
    click.echo("| seeds | p < .05 | of the pair that varies most | (people only) |")
    click.echo("|---|---|---|---|")
    for seeds in (3, 5):
        rng, hits = np.random.default_rng(seeds), np.zeros(3)
        for _ in tqdm(range(runs), leave=False):
            values = simulate_arms(rates, 50, seeds, deviations, True, rng)
            both, people_only = compute_both_p_values(values, pairs, True)
            hits += [np.mean(both < LEVEL), both[-1] < LEVEL, np.mean(people_only < LEVEL)]
        click.echo(f"| {seeds} | {' | '.join(f'{hit:.1%}' for hit in hits / runs)} |")


@main.command()
@runs_option
def power(runs: int) -> None:
    """Print how often an arm that is better by 10 points is found: 13 arms, EM 20% and 30%."""
    pairs = list(combinations(range(NUM_ARMS), 2))
    designs = [
        (people, seeds, deviation)
        for people in (40, 100)
        for seeds in (2, 3, 5)
        for deviation in (0.0, 0.02)
    ]
    click.echo("| people | seeds | between seeds | found | (people only) |\n|---|---|---|---|---|")
    for number, design in enumerate(tqdm(designs)):
        rng = np.random.default_rng(number)
        hits = np.zeros(2)
        for _ in range(runs):
            values = simulate_arms([0.3] + [0.2] * (NUM_ARMS - 1), *design, True, rng)
            for index, p_values in enumerate(compute_both_p_values(values, pairs, True)):
                corrected = np.array(correct_p_values(p_values.tolist()))
                hits[index] += np.mean(corrected[: NUM_ARMS - 1] < LEVEL) / runs
        tqdm.write(f"| {' | '.join(map(str, design))} | {hits[0]:.0%} | {hits[1]:.0%} |")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
def board(folder: Path) -> None:
    """Print how often an arm differs from itself: two of its seeds against two others."""
    cells = check_board(folder).cells
    halves = [
        (list(pair), [seed for seed in four if seed not in pair])
        for four in combinations(range(5), 4)
        for pair in combinations(four, 2)
        if pair[0] == four[0]
    ]
    for metric in METRICS:
        having = [cell for cell in cells if has_metric(cell.predictions, metric)]
        hits: dict[str, list[bool]] = defaultdict(list)
        for members in tqdm(group_benchmarks(having).values(), leave=False):
            arms = group_arms(members)
            values = np.stack([_stack_answers(arm, metric) for arm in arms.values()])
            untrained = list(arms).index("untrained")
            for first, second in halves:
                for number in set(range(len(arms))) - {untrained}:
                    again = values[number, :, second].swapaxes(0, 1)
                    scores = np.concatenate([values[:, :, first], again[None]])
                    pair = [(number, len(arms))]
                    p_values = compute_both_p_values(scores, pair, metric in RATES, untrained)
                    for name, (p_value,) in zip(("new", "old"), p_values, strict=True):
                        hits[name].append(p_value < LEVEL)
        click.echo(
            f"{metric}: p < .05 in {np.mean(hits['new']):.1%} of {len(hits['new'])} pairs; over "
            f"people only in {np.mean(hits['old']):.1%}"
        )


def _stack_answers(cells: list, metric: str) -> np.ndarray:
    """Stack the scores of an arm's answers.  # (person, seed, question)."""
    cells = sorted(cells, key=lambda cell: cell.parameters["seed"])
    rows = []
    for cell in cells:
        answers = sorted(cell.predictions, key=lambda p: (p.entity, p.question_id))
        rows.append([getattr(p, metric) for p in answers])
    people = len({p.entity for p in cells[0].predictions})
    return np.array(rows).reshape(len(cells), people, -1).swapaxes(0, 1)


if __name__ == "__main__":
    main()
