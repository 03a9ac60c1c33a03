"""Power: the smallest difference that a design is likely to find."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.special import chdtrc, stdtrit

from elusive.common.intervals import CORRELATION
from elusive.common.text.counts import format_count

POWER = 0.8
LEVEL = 0.05
RATE = 0.25
"""Exact match that is assumed; variance grows towards a rate of one half."""
SEED_DEVIATION = 0.02
"""Standard deviation of exact match between trainings that is assumed, beyond that of single
answers: that of the arm `plain` on docs/board."""


def compute_smallest_difference(questions: Sequence[int], arms: int = 2, seeds: int = 1) -> float:
    """Compute the difference in exact match that 80% of such runs would find, in [0, 1].

    The arms' answers are assumed to be independent; since they are paired, the true value is
    smaller if anything. Each question has the same weight. With more than two arms, the level is
    that of the first step of Holm's correction for all pairs, by which arms are ranked. With one
    seed, a test is over people only, and so is the difference.

    Args:
        questions: number of questions about each person.
        arms: number of arms, including the baseline.
        seeds: number of seeds of each arm.

    Source: the paired t-test's minimum detectable effect, Cohen 1988, section 2.4; degrees of
    freedom of people and seeds together, Satterthwaite 1946.
    """
    answers = seeds * np.asarray(questions)  # (person,)
    shares = answers / answers.sum()
    of_answers = 2 * RATE * (1 - RATE) * (1 + (answers - 1) * CORRELATION) / answers
    by_people = float(shares**2 @ of_answers)
    by_seeds = 0.0
    if seeds > 1:
        of_answers_left = RATE * (1 - RATE) * (1 - CORRELATION) / np.asarray(questions)
        between = SEED_DEVIATION**2 + float(shares**2 @ of_answers_left)
        by_seeds = 2 * (SEED_DEVIATION**2 + between * _measure_excess(seeds - 1)) / seeds
    errors = by_people**2 / (len(answers) - 1) + by_seeds**2 / max(1, arms * (seeds - 1))
    df = (by_people + by_seeds) ** 2 / errors
    level = LEVEL / max(1, arms * (arms - 1) / 2)
    quantiles = stdtrit(df, 1 - level / 2) + stdtrit(df, POWER)
    return float(min(1.0, quantiles * np.sqrt(by_people + by_seeds)))


def _measure_excess(df: int) -> float:
    """Measure by what share tests take variances between seeds for larger than they are.

    An arm counts with its own variance or that of all arms, whichever is larger: with the mean of
    max(x, 1), where x is chi-squared over its degrees of freedom.

    >>> round(_measure_excess(2), 3)  # 1 / e
    0.368
    """
    return float(chdtrc(df + 2, df) - chdtrc(df, df))


def count_questions(entities: Iterable[str]) -> list[int]:
    """Count the questions about each person, given whom each question is about."""
    return list(Counter(entities).values())


def render_design(questions: Sequence[int], arms: int, seeds: int, entities: str = "people") -> str:
    """Render the design, and the difference that it can show, as one line.

    Args:
        questions: number of questions about each person.
        arms: number of arms, including the baseline.
        seeds: number of seeds of each arm.
        entities: what the questions are about, such as articles.
    """
    one = {"people": "person"}.get(entities, entities.removesuffix("s"))
    if (count := len(questions)) < 2:
        return f"{count} {one}: no difference between arms can be told from chance"
    fewest, most = min(questions), max(questions)
    counts = f"{most}" if fewest == most else f"{fewest} to {most}"
    of_each = f"{counts} {'question' if most == 1 else 'questions'}"
    assumed = (
        f"EM near {RATE:.0%} and a correlation of {CORRELATION} between answers about one {one}"
    )
    if seeds > 1:
        more = ""
        assumed += f", and {100 * SEED_DEVIATION:.0f} points between seeds, as on docs/board"
    else:
        more = f"; {entities} only, one seed: no ranks"
    points = 100 * compute_smallest_difference(questions, arms, seeds)
    of_arms = f"{format_count(arms, 'arm')} x {format_count(seeds, 'seed')}"
    return (
        f"{count} {entities} x {of_each}, {of_arms}: differences of {points:.0f} EM "
        "points or more would be found in 80% of such runs (any pair of arms, assuming "
        f"{assumed}){more}"
    )
