"""How often a 95% interval holds the truth, by simulation: 100 people, 5 questions each.

People differ in how well they are known (beta-binomial, correlation .3 between their questions),
and trainings with other seeds differ, too, where there are several.

python benchmarks/coverage.py --runs 1000
"""

import click
import numpy as np
from tqdm import tqdm

from elusive.common.intervals import estimate_mean

PEOPLE, QUESTIONS, ALIKE = 100, 5, 0.3
ONE_SEED = [(0.05, 1, 0.0), (0.2, 1, 0.0), (0.5, 1, 0.0)]
SEVERAL = [(0.2, 2, 0.02), (0.2, 3, 0.02), (0.5, 3, 0.02), (0.2, 5, 0.02), (0.2, 3, 0.0)]
"""Rate of right answers, seeds, standard deviation between seeds."""


def covers(rate: float, seeds: int, spread: float, rng: np.random.Generator) -> bool:
    """Whether the interval of one simulated arm holds the rate."""
    scale = 1 / ALIKE - 1
    known = rng.beta(rate * scale, (1 - rate) * scale, PEOPLE)[:, None, None]
    shift = rng.normal(0, spread, (1, seeds, 1)) if spread else 0.0
    right = rng.random((PEOPLE, seeds, QUESTIONS)) < np.clip(known + shift, 0, 1)
    entities = np.repeat(np.arange(PEOPLE), seeds * QUESTIONS).astype(str)
    of_seeds = np.tile(np.repeat(np.arange(seeds), QUESTIONS), PEOPLE)
    found = estimate_mean(
        right.ravel().astype(float).tolist(), entities.tolist(), of_seeds.tolist()
    )
    return found.low <= rate <= found.high


@click.command()
@click.option("--runs", default=1000, help="Simulated runs of each design.")
def main(runs: int) -> None:
    """Print the coverage of each design with its standard error."""
    for number, (rate, seeds, spread) in enumerate([*ONE_SEED, *SEVERAL]):
        rng = np.random.default_rng(number)
        held = [covers(rate, seeds, spread, rng) for _ in tqdm(range(runs), leave=False)]
        error = np.sqrt(np.mean(held) * (1 - np.mean(held)) / runs)
        click.echo(
            f"EM {rate:.0%}, {seeds} seeds: {np.mean(held):.1%} +- {error:.1%} of the intervals "
            "hold the truth"
        )


if __name__ == "__main__":
    main()
