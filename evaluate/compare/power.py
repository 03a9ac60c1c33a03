"""Power: the smallest difference that a design is likely to find."""

import numpy as np
from scipy.stats import t

POWER = 0.8
LEVEL = 0.05
RATE = 0.25
"""Exact match that is assumed; variance grows towards a rate of one half."""
CORRELATION = 0.3
"""Correlation that is assumed between answers about the same person."""


def compute_smallest_difference(people: int, questions: int, arms: int = 2) -> float:
    """Compute the difference in exact match that 80% of such runs would find, in [0, 1].

    The arms' answers are assumed to be independent; since they are paired, the true value is
    smaller if anything. With more than two arms, the level is that of the first step of Holm's
    correction for comparisons with one baseline.

    Args:
        people: number of people who are asked about.
        questions: number of questions about each person.
        arms: number of arms, including the baseline.

    Source: the paired t-test's minimum detectable effect, Cohen 1988, section 2.4.
    """
    variance = 2 * RATE * (1 - RATE) * (1 + (questions - 1) * CORRELATION) / questions
    level = LEVEL / max(1, arms - 1)
    quantiles = t.ppf(1 - level / 2, people - 1) + t.ppf(POWER, people - 1)
    return float(min(1.0, quantiles * np.sqrt(variance / people)))


def render_design(people: int, questions: int, arms: int, seeds: int) -> str:
    """Render the design, and the difference that it can show, as one line."""
    plural = "seed" if seeds == 1 else "seeds"
    if people < 2:
        return f"{people} person: no difference between arms can be told from chance"
    points = 100 * compute_smallest_difference(people, questions, arms)
    return (
        f"{people} people x {questions} questions, {arms} arms x {seeds} {plural}: differences of "
        f"{points:.0f} EM points or more would be found in 80% of such runs (assuming EM near "
        f"{RATE:.0%} and a correlation of {CORRELATION} between answers about one person)"
    )
