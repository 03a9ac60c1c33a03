"""Intervals over people and seeds, paired tests, Holm's correction, shared ranks, power."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import bootstrap, norm, permutation_test, t, ttest_rel

from elusive.common.dataset.records import Prediction
from elusive.common.errors import InputError
from elusive.common.intervals import estimate_mean
from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.compare.power import compute_smallest_difference, render_design
from elusive.evaluate.compare.significance import (
    compare_pairs,
    compare_with_baseline,
    correct_p_values,
    rank_arms,
)
from elusive.evaluate.compare.table import build_table
from elusive.evaluate.compare.table_formats import RENDERERS

RIGHT = Prediction("", "", "major", "?", ["x"], "x", 1.0, 1.0, 1.0, 1.0, -0.1, 0)


def cell(label: str, seed: int, right: np.ndarray) -> CellResult:
    """A cell whose answers are right or wrong as an array says.  # (person, question)."""
    predictions = [
        replace(RIGHT, question_id=f"{person}-{q}", entity=f"P{person}", em=float(right[person, q]))
        for person, q in itertools.product(*map(range, right.shape))
    ]
    parameters = {"label": label, "seed": seed, "augment": {"method": label}}
    costs = {
        "seconds": {"scoring": 1.0, "dropping": 1.0, "training": 60.0, "answering": 1.0},
        "peak_memory_mib": {"training": 1024.0},
        "drop_rate": 0.4,
        "training_tokens": 6000,
        "questions": right.size,
    }
    return CellResult(Path(label), parameters, predictions, [], {}, costs, {})


def arms(rates: dict[str, float], people: int = 60, seeds: int = 2) -> dict[str, list[CellResult]]:
    rng = np.random.default_rng(0)
    return {
        label: [cell(label, seed, rng.random((people, 4)) < rate) for seed in range(seeds)]
        for label, rate in rates.items()
    }


def test_seeds_that_differ_widen_the_interval():
    people = [str(person) for person in range(50) for _ in range(3)]
    seeds = [0, 1, 2] * 50
    values = np.random.default_rng(0).random(150) + np.tile([0.0, 0.5, 1.0], 50)
    alone = estimate_mean(values.tolist(), people)
    both = estimate_mean(values.tolist(), people, seeds)
    assert both.high - both.low > 2 * (alone.high - alone.low)
    assert both.mean == alone.mean


def test_one_seed_changes_nothing():
    values, people = [1.0, 0.0, 1.0, 1.0], list("aabb")
    assert estimate_mean(values, people, [7] * 4) == estimate_mean(values, people)


def test_about_95_of_100_intervals_hold_the_truth():
    rng = np.random.default_rng(1)
    people = [str(person) for person in range(40)]
    held = 0
    for _ in range(300):
        interval = estimate_mean(rng.normal(1.0, 1.0, 40).tolist(), people)
        held += interval.low <= 1.0 <= interval.high
    assert 0.92 <= held / 300 <= 0.98


def compare_answers(first, second):
    cells = {"a": [cell("a", 0, first)], "b": [cell("b", 0, second)]}
    (comparison,) = compare_pairs(cells, [("a", "b")], "em")
    return comparison


def test_the_permutation_test_is_exact_for_few_people():
    first, second = np.ones((4, 1)), np.zeros((4, 1))
    comparison = compare_answers(first, second)
    assert comparison.p_value == pytest.approx(2 / 2**4)  # all signs alike, both ways
    assert comparison.difference.mean == 1.0


def test_it_agrees_with_the_t_test_for_many_people():
    rng = np.random.default_rng(0)
    first, second = rng.random((80, 4)) < 0.45, rng.random((80, 4)) < 0.35
    comparison = compare_answers(first, second)
    by_t = ttest_rel(first.mean(1), second.mean(1)).pvalue
    assert comparison.p_value == pytest.approx(by_t, abs=0.02)  # exchanges are fewer than numbers
    gaps = first.mean(1) - second.mean(1)
    assert comparison.effect == pytest.approx(gaps.mean() / gaps.std(ddof=1))


def test_equal_arms_are_found_different_in_about_5_of_100_cases():
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(150):
        first, second = (rng.random((20, 2)) < 0.5 for _ in range(2))
        p_values.append(compare_answers(first, second).p_value)
    assert 0.01 <= np.mean(np.array(p_values) < 0.05) <= 0.1


def test_holm_is_the_published_procedure():
    assert correct_p_values([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert correct_p_values([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert correct_p_values([]) == []


def test_arms_that_cannot_be_told_apart_share_a_rank():
    named = arms({"plain": 0.8, "random": 0.8, "permute": 0.2})
    assert rank_arms(named, "em") == {"plain": 1, "random": 1, "permute": 3}


def test_every_arm_is_compared_with_the_baseline():
    comparisons = compare_with_baseline(arms({"plain": 0.8, "random": 0.5}), "random", "em")
    assert set(comparisons) == {"plain"}
    comparison, p_value = comparisons["plain"]
    assert comparison.difference.low > 0.1
    assert p_value < 0.01


def test_the_table_shows_ranks_differences_and_costs():
    named = arms({"plain": 0.8, "random": 0.5})
    cells = [cell for members in named.values() for cell in members]
    table = build_table(cells)
    plain, random = table.rows
    assert (plain.rank, random.rank, table.baseline) == (1, 2, "random")
    assert random.difference is None
    assert plain.points_per_minute == pytest.approx(100 * plain.em.mean / (62 / 60))
    assert plain.tokens_per_second == 100
    for layout, render in RENDERERS.items():
        assert "rank" in render(table), layout
    with pytest.raises(InputError, match="unknown baseline 'plane': did you mean 'plain'"):
        build_table(cells, baseline="plane")
    with pytest.raises(InputError, match="unknown metric 'em2'"):
        build_table(cells, metric="em2")


def test_the_design_says_what_it_can_show():
    assert compute_smallest_difference(400, 5) == pytest.approx(
        compute_smallest_difference(100, 5) / 2, rel=0.02
    )
    assert compute_smallest_difference(100, 5, arms=12) > compute_smallest_difference(100, 5)
    assert "100 people x 5 questions, 3 arms x 1 seed" in render_design(100, 5, 3, 1)
    assert "no difference" in render_design(1, 5, 2, 1)


def test_the_power_is_what_it_says():
    """Two arms that differ by the smallest difference are told apart in about 80% of runs."""
    rng = np.random.default_rng(0)
    people, questions, gap = 60, 5, compute_smallest_difference(60, 5)
    scale = 1 / 0.3 - 1
    num_significant = 0
    for _ in range(300):
        rates = [
            rng.beta(rate * scale, (1 - rate) * scale, (people, 1))
            for rate in (0.25 - gap / 2, 0.25 + gap / 2)
        ]
        low, high = (rng.binomial(questions, rate) / questions for rate in rates)
        num_significant += ttest_rel(low[:, 0], high[:, 0]).pvalue < 0.05
    assert 0.7 <= num_significant / 300 <= 0.9


def differences_by_person(first: list[CellResult], second: list[CellResult]) -> np.ndarray:
    """Mean differences of EM, people in the order of their names."""
    by_person: dict[str, list[float]] = {}
    for ours, theirs in zip(first, second, strict=True):
        for p, q in zip(ours.predictions, theirs.predictions, strict=True):
            by_person.setdefault(p.entity, []).append(p.em - q.em)
    return np.array([np.mean(by_person[name]) for name in sorted(by_person)])


@pytest.mark.parametrize("people", [2, 6, 12, 20, 60])
def test_pairs_compared_together_have_the_p_values_that_scipy_gives_each(people):
    named = arms({"a": 0.5, "b": 0.5, "c": 0.2, "d": 0.21}, people=people)
    pairs = list(itertools.combinations(named, 2))
    for (a, b), comparison in zip(pairs, compare_pairs(named, pairs, "em"), strict=True):
        differences = differences_by_person(named[a], named[b])
        expected = permutation_test(
            (differences, np.zeros_like(differences)),
            lambda x, y, axis: np.round((x - y).mean(axis=axis), 12),
            permutation_type="samples",
            vectorized=True,
            n_resamples=9999,
            batch=1000,
            rng=np.random.default_rng(0),
        )
        assert comparison.p_value == (expected.pvalue if differences.any() else 1.0)
        assert [comparison] == compare_pairs(named, [(a, b)], "em")


def test_pairs_compared_together_have_the_intervals_that_scipy_gives_each():
    named = arms({"a": 0.5, "b": 0.4, "c": 0.2}, people=30, seeds=1)
    pairs = list(itertools.combinations(named, 2))
    further = t.ppf(0.975, 29) * np.sqrt(30 / 29)
    for (a, b), comparison in zip(pairs, compare_pairs(named, pairs, "em"), strict=True):
        low, high = bootstrap(
            (np.round(differences_by_person(named[a], named[b]), 12),),
            lambda drawn, axis: np.round(drawn.mean(axis=axis), 12),  # so that ties stay ties
            n_resamples=2000,
            confidence_level=float(1 - 2 * norm.cdf(-further)),
            method="BCa",
            rng=np.random.default_rng(0),
        ).confidence_interval
        assert comparison.difference.low == pytest.approx(low, abs=1e-6)
        assert comparison.difference.high == pytest.approx(high, abs=1e-6)


def test_more_pairs_than_are_compared_at_a_time_change_nothing(monkeypatch):
    named = arms({"a": 0.5, "b": 0.4, "c": 0.2}, people=10)
    pairs = list(itertools.combinations(named, 2))
    whole = compare_pairs(named, pairs, "em")
    monkeypatch.setattr("elusive.evaluate.compare.significance.PAIRS_AT_A_TIME", 2)
    assert compare_pairs(named, pairs, "em") == whole


def test_one_of_very_many_arms_can_still_be_better():
    """9,999 exchanges alone give no p-value that survives the correction for 300 pairs."""
    named = arms({"best": 0.9} | {f"arm-{number}": 0.2 for number in range(24)}, people=40)
    ranks = rank_arms(named, "em")
    assert ranks["best"] == 1
    assert {rank for name, rank in ranks.items() if name != "best"} == {2}


def test_very_many_arms_that_are_alike_share_the_first_rank():
    named = arms({f"arm-{number}": 0.3 for number in range(25)}, people=40)
    assert set(rank_arms(named, "em").values()) == {1}
