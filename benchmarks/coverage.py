"""How often a 95% interval contains the truth, by simulation: 100 people, 5 questions each.

People differ in how well they are known (beta-binomial, correlation .3 between the questions about
one person). Where there are several seeds, trainings differ as well.

python benchmarks/coverage.py --runs 1000
"""

import click
import numpy as np
from tqdm import tqdm

from elusive.common.intervals import estimate_mean

PEOPLE, QUESTIONS, CORRELATION = 100, 5, 0.3
DESIGNS = [
    *[(0.05, 1, 0.0), (0.2, 1, 0.0), (0.5, 1, 0.0)],
    *[(0.2, 2, 0.02), (0.2, 3, 0.02), (0.5, 3, 0.02), (0.2, 5, 0.02), (0.2, 3, 0.0)],
]
"""Rate of right answers, number of seeds, standard deviation between seeds."""


def simulate_interval(rate: float, seeds: int, spread: float, rng: np.random.Generator) -> bool:
    """Simulate the answers of one arm; return whether their interval contains the rate."""
    scale = 1 / CORRELATION - 1
    known = rng.beta(rate * scale, (1 - rate) * scale, PEOPLE)[:, None, None]
    shift = rng.normal(0, spread, (1, seeds, 1)) if spread else 0.0
    right = rng.random((PEOPLE, seeds, QUESTIONS)) < np.clip(known + shift, 0, 1)
    entity_names = np.repeat(np.arange(PEOPLE), seeds * QUESTIONS).astype(str)
    seed_numbers = np.tile(np.repeat(np.arange(seeds), QUESTIONS), PEOPLE)
    values = right.ravel().astype(float)
    estimate = estimate_mean(values.tolist(), entity_names.tolist(), seed_numbers.tolist())
    return estimate.low <= rate <= estimate.high


@click.command()
@click.option("--runs", default=1000, help="Number of simulated runs of each design.")
def main(runs: int) -> None:
    """Print the coverage of each design with its standard error."""
    for number, (rate, seeds, spread) in enumerate(DESIGNS):
        rng = np.random.default_rng(number)
        hits = [simulate_interval(rate, seeds, spread, rng) for _ in tqdm(range(runs), leave=False)]
        error = np.sqrt(np.mean(hits) * (1 - np.mean(hits)) / runs)
        click.echo(
            f"EM {rate:.0%}, {seeds} seeds: {np.mean(hits):.1%} +- {error:.1%} of the intervals "
            "contain the truth"
        )


if __name__ == "__main__":
    main()
