"""What a design can show: the smallest difference that so many people would reveal."""

import numpy as np
from scipy.stats import t

POWER = 0.8
LEVEL = 0.05
RATE = 0.25
"""Exact match that is assumed before anything is known; rates near a half are the hardest."""
ALIKE = 0.3
"""Correlation between answers about one person that is assumed."""


def compute_smallest_difference(people: int, questions: int, arms: int = 2) -> float:
    """Difference in exact match between two arms that 80% of such runs would find, in [0, 1].

    Answers of two arms are taken as independent, so pairing can only make it smaller; with more
    arms than two, the level is that of the first step of Holm's correction against one baseline.

    Args:
        people: who are asked about.
        questions: about each of them.
        arms: that are compared, the baseline included.

    Source: the paired t-test's minimum detectable effect, Cohen 1988, section 2.4.
    """
    variance = 2 * RATE * (1 - RATE) * (1 + (questions - 1) * ALIKE) / questions
    level = LEVEL / max(1, arms - 1)
    quantiles = t.ppf(1 - level / 2, people - 1) + t.ppf(POWER, people - 1)
    return float(min(1.0, quantiles * np.sqrt(variance / people)))


def render_design(people: int, questions: int, arms: int, seeds: int) -> str:
    """The design and what it can show, in one line."""
    plural = "seed" if seeds == 1 else "seeds"
    if people < 2:
        return f"{people} person: no difference between arms can be told from chance"
    points = 100 * compute_smallest_difference(people, questions, arms)
    return (
        f"{people} people x {questions} questions, {arms} arms x {seeds} {plural}: differences of "
        f"{points:.0f} EM points and more would be found in 80% of such runs (EM near "
        f"{RATE:.0%}, answers about one person correlated {ALIKE})"
    )
