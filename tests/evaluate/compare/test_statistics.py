"""Intervals over people and seeds, paired tests, Holm's correction, shared ranks, power."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import bootstrap, norm, permutation_test, t, ttest_rel

from elusive.common.dataset.records import Prediction
from elusive.common.errors import InputError
from elusive.common.intervals import RATE, Noise, estimate_mean
from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.compare.power import (
    compute_smallest_difference,
    count_questions,
    render_design,
)
from elusive.evaluate.compare.seed_noise import (
    SeedSpread,
    combine_noises,
    measure_spread,
    pool_noises,
)
from elusive.evaluate.compare.significance import (
    _bound_tails,
    _sample_exchanges,
    _sum_tails,
    compare_pairs,
    compare_with_baseline,
    compute_p_values,
    correct_p_values,
    rank_arms,
)
from elusive.evaluate.tables.columns import build_arrow_table
from elusive.evaluate.tables.formats import RENDERERS
from elusive.evaluate.tables.table import build_table

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
    (noise,) = pool_noises([measure_spread(values.tolist(), people, seeds)], is_rate=False)
    alone = estimate_mean(values.tolist(), people)
    both = estimate_mean(values.tolist(), people, noise)
    assert both.high - both.low > 2 * (alone.high - alone.low)
    assert both.mean == alone.mean


def test_people_alike_leave_the_interval_of_the_seeds_alone():
    """With no differences between people, the interval is the t-test's over seeds."""
    people, seeds = [str(p) for p in range(9) for _ in range(8)], list(range(8)) * 9
    scores = np.random.default_rng(0).normal(size=8)
    values = np.tile(scores, 9).tolist()
    (noise,) = pool_noises([measure_spread(values, people, seeds)], is_rate=False)
    interval = estimate_mean(values, people, noise)
    half = t.ppf(0.975, 7) * scores.std(ddof=1) / np.sqrt(8)
    assert (noise.variance, noise.df) == pytest.approx((scores.var(ddof=1) / 8, 7))
    assert interval.high - interval.mean == pytest.approx(half, rel=0.05)
    assert interval.mean - interval.low == pytest.approx(half, rel=0.05)


def test_one_seed_changes_nothing():
    spread = measure_spread([1.0, 0.0, 1.0, 1.0], list("aabb"), [7] * 4)
    assert pool_noises([spread, spread], is_rate=True) == [Noise(0.0, 1.0)] * 2


def test_the_variance_between_seeds_is_divided_into_its_parts():
    """Trainings that differ by 1, persons who differ by 2 from training to training."""
    rng = np.random.default_rng(0)
    spreads = []
    for _ in range(400):
        scores = rng.normal(0, 1, 3) + rng.normal(0, 5, (20, 1)) + rng.normal(0, 2, (20, 3))
        people, seeds = np.repeat(np.arange(20), 3).astype(str), np.tile([0, 1, 2], 20)
        spreads.append(measure_spread(scores.ravel().tolist(), list(people), seeds.tolist()))
    residuals = [spread.residual for spread in spreads]
    assert np.mean(residuals) == pytest.approx(2**2 / 20, rel=0.1)
    assert np.mean([s.between for s in spreads]) == pytest.approx(1 + 2**2 / 20, rel=0.15)


def spread(between: float, mean: float = 0.5, trained: bool = True, seeds: int = 3) -> SeedSpread:
    return SeedSpread(mean, between, 0.0, seeds, trained)


def test_arms_whose_seeds_vary_alike_have_at_least_the_mean_variance():
    noises = pool_noises([spread(1.0), spread(2.0), spread(3.0)], is_rate=False)
    for noise, expected in zip(noises, (2, 2, 3), strict=True):  # of a mean of 3 seeds
        assert (noise.variance, noise.df) == pytest.approx((expected / 3, 6.0), rel=1e-4)


def test_an_arm_whose_seeds_vary_more_keeps_its_variance():
    variances = [*np.geomspace(0.5, 2, 9), 1000.0]
    noises = pool_noises([spread(variance, seeds=5) for variance in variances], is_rate=False)
    assert noises[-1].variance == pytest.approx(1000 / 5)
    assert noises[-1].df < 40


def test_rates_near_zero_share_a_smaller_variance():
    scales = {mean: mean * (1 - mean) for mean in (0.05, 0.5)}
    alike = [spread(0.2 * scale, mean) for mean, scale in scales.items()]
    low, half = pool_noises(alike, is_rate=True)
    assert low.variance / half.variance == pytest.approx(scales[0.05] / scales[0.5], rel=1e-4)


def test_the_untrained_arm_borrows_variance_but_lends_none():
    """Its own few seeds could not tell it from any arm: with two of them, it has one df."""
    trained = [spread(1.0), spread(2.0)]
    *together, untrained = pool_noises([*trained, spread(0.1, trained=False)], is_rate=False)
    assert together == pool_noises(trained, is_rate=False)
    assert untrained.df == together[0].df > 2
    assert 0.1 / 3 < untrained.variance < 1.5 / 3 + 1e-6


def test_noise_of_a_difference_has_the_degrees_of_freedom_of_its_arms():
    for other, variance in ((Noise(2.0, 6), 3.0), (Noise(0.0, 1), 1.0)):
        both = combine_noises(Noise(1.0, 6), other)
        assert (both.variance, both.df) == pytest.approx((variance, 6))
    assert 1 < combine_noises(Noise(1.0, 9), Noise(1.0, 1)).df < 9
    assert combine_noises(Noise(), Noise()) == Noise()


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


def uneven_cells(scores: dict[str, float]) -> list[CellResult]:
    """Cells about thirty people with 1 question and thirty with 20; seeds differ a little."""
    cells = []
    for seed in range(2):
        whole = cell("arm", seed, np.zeros((60, 20)))
        predictions = [
            replace(p, log_probability=scores["many" if int(p.entity[1:]) < 30 else "one"])
            for p in whole.predictions
            if int(p.entity[1:]) < 30 or p.question_id.endswith("-0")
        ]
        cells.append(replace(whole, predictions=predictions))
    return cells


def test_interval_test_and_effect_weigh_people_by_their_questions():
    """The arm is better about the many people with one question, worse about most questions."""
    named = {
        "a": uneven_cells({"many": -1.0, "one": 0.0}),
        "b": uneven_cells({"many": -0.9, "one": -1.0}),
    }
    (comparison,) = compare_pairs(named, [("a", "b")], "log_probability")
    assert comparison.difference.mean == pytest.approx((-0.1 * 600 + 1.0 * 30) / 630)
    assert comparison.difference.mean < 0
    assert comparison.effect < 0
    assert comparison.p_value < 0.05


def noisy_arms(rng: np.random.Generator, num_arms: int, seeds: int, deviation: float, gap=0.0):
    """Arms alike but for chance in training, except the first, which is better by a gap."""
    known = rng.normal(0, 0.3, (40, 1))
    named = {}
    for number in range(num_arms):
        named[f"arm-{number}"] = []
        for seed in range(seeds):
            made = cell("arm", seed, np.zeros((40, 1)))
            level = rng.normal(0, deviation) + gap * (number == 0)
            scores = level + known + rng.normal(0, 0.3, (40, 1))
            predictions = [
                replace(p, log_probability=float(score))
                for p, score in zip(made.predictions, scores[:, 0], strict=True)
            ]
            named[f"arm-{number}"].append(replace(made, predictions=predictions))
    return named


@pytest.mark.parametrize(("num_arms", "seeds"), [(2, 2), (2, 3), (6, 2), (6, 3)])
def test_chance_in_training_is_not_taken_for_a_difference(num_arms, seeds):
    """Tested over people only, a third to a half of such pairs would differ significantly."""
    rng = np.random.default_rng(0)
    pairs = list(itertools.combinations([f"arm-{n}" for n in range(num_arms)], 2))
    p_values = []
    for _ in range(150 if num_arms == 2 else 30):
        named = noisy_arms(rng, num_arms, seeds, 0.15)
        p_values += [c.p_value for c in compare_pairs(named, pairs, "log_probability")]
    assert np.mean(np.array(p_values) < 0.05) <= 0.08


def test_an_arm_that_is_better_than_chance_in_training_is_found():
    rng = np.random.default_rng(0)
    ranks = rank_arms(noisy_arms(rng, 8, 3, 0.1, gap=0.8), "log_probability")
    assert ranks == {name: 1 if name == "arm-0" else 2 for name in ranks}


def test_an_interval_and_its_test_agree():
    """Where p is clearly below .05, the interval leaves 0 out, and the other way round."""
    rng = np.random.default_rng(0)
    num_sure = 0
    for _ in range(120):
        named = noisy_arms(rng, 2, 3, 0.1, gap=rng.uniform(0, 0.8))
        (comparison,) = compare_pairs(named, [("arm-0", "arm-1")], "log_probability")
        has_zero = comparison.difference.low <= 0 <= comparison.difference.high
        if not 0.035 < comparison.p_value < 0.07:
            num_sure += 1
            assert has_zero == (comparison.p_value > 0.05)
    assert num_sure > 40


def test_noise_of_training_only_raises_p_values():
    by_person = np.random.default_rng(0).normal(0.3, 1.0, (30, 5))
    people_only = compute_p_values(by_person, [Noise()] * 5)
    least = compute_p_values(by_person, [Noise(1e-12, 3)] * 5)
    more = compute_p_values(by_person, [Noise(0.05, 3)] * 5)
    assert least == pytest.approx(people_only, rel=1e-3)
    assert all(low < high for low, high in zip(people_only, more, strict=True))


def test_without_differences_between_people_the_p_value_is_that_of_the_seeds():
    by_person = np.random.default_rng(0).normal(0, 1e-6, (30, 1)) + 1e-9
    by_person += 0.2 - by_person.mean()
    by_person[15:] = 0.4 - by_person[:15]  # the people part of the test is about half of it
    (p_value,) = compute_p_values(by_person, [Noise(1.0, 5)])
    assert p_value == pytest.approx(2 * t.sf(0.2, 5), abs=0.02)


def test_one_seed_gives_no_ranks():
    named = arms({"plain": 0.8, "random": 0.2}, seeds=1)
    assert rank_arms(named, "em") == {"plain": None, "random": None}
    table = build_table([cell for members in named.values() for cell in members])
    assert [row.rank for row in table.rows] == [None, None]
    assert (table.rows[0].p_value or 1.0) < 0.05
    for layout in ("terminal", "markdown", "latex"):
        assert "rank " not in RENDERERS[layout](table), layout
    assert "(or articles) only, and there are no ranks" in RENDERERS["terminal"](table)
    assert RENDERERS["csv"](table).splitlines()[1].startswith("plain,,0.7")
    assert build_arrow_table(table)["rank"].to_pylist() == [None, None]


def test_bounds_are_above_exact_p_values_and_fall_below_those_of_samples():
    rng = np.random.default_rng(0)
    for mean, noise in itertools.product((0.2, 0.8, 2.0), (0.0, 0.01, 0.1)):
        by_person = rng.normal(mean, 1.0, (12, 1))
        noises = [Noise(noise, 5.0)]
        exact = _sum_tails(_sample_exchanges(12), by_person, noises) / 2**12
        assert exact <= _bound_tails(by_person, noises)
    strong = rng.normal(2.0, 1.0, (60, 1))
    assert _bound_tails(strong, [Noise()]) < 1e-8
    assert _bound_tails(strong, [Noise(0.01, 20.0)]) < 1e-8


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
    few, many = [5] * 100, [5] * 400
    assert compute_smallest_difference(many) == pytest.approx(
        compute_smallest_difference(few) / 2, rel=0.02
    )
    assert compute_smallest_difference(few, arms=12) > compute_smallest_difference(few)
    assert compute_smallest_difference(few, seeds=5) < compute_smallest_difference(few, seeds=2)
    uneven = [1] * 50 + [9] * 50  # as many questions, but most are about half of the people
    assert compute_smallest_difference(uneven) > compute_smallest_difference(few)
    text = render_design(few, 3, 1)
    assert "100 people x 5 questions, 3 arms x 1 seed" in text
    assert "one seed: no ranks" in text
    assert "100 people x 1 to 9 questions, 3 arms x 2 seeds" in render_design(uneven, 3, 2)
    assert "2 points between seeds, as on docs/board" in render_design(uneven, 3, 2)
    of_articles = render_design(few, 3, 1, "articles")
    assert "100 articles x 5 questions" in of_articles
    assert "about one article)" in of_articles
    assert "1 person: no difference" in render_design([5], 2, 1)
    assert count_questions(["a", "b", "a"]) == [2, 1]


@pytest.mark.parametrize(("seeds", "counts"), [(1, [5] * 60), (3, [5] * 60), (1, [1, 12] * 40)])
def test_the_power_is_what_it_says(seeds, counts):
    """Two arms that differ by the smallest difference are told apart in about 80% of runs."""
    rng = np.random.default_rng(0)
    gap, scale = compute_smallest_difference(counts, seeds=seeds), 1 / 0.3 - 1
    trained = 0.02 if seeds > 1 else 0.0  # one seed is tested over people only
    p_values = []
    for _ in range(120):
        named = {}
        for label, rate in (("a", 0.25 - gap / 2), ("b", 0.25 + gap / 2)):
            known = rng.beta(rate * scale, (1 - rate) * scale, (len(counts), 1))
            named[label] = []
            for seed in range(seeds):
                right = rng.random((len(counts), max(counts))) < known + rng.normal(0, trained)
                whole = cell(label, seed, right)
                asked = [
                    p
                    for p in whole.predictions
                    if int(p.question_id.split("-")[1]) < counts[int(p.entity[1:])]
                ]
                named[label].append(replace(whole, predictions=asked))
        p_values.append(compare_pairs(named, [("a", "b")], "em")[0].p_value)
    assert 0.7 <= np.mean(np.array(p_values) < 0.05) <= 0.9


def differences_by_person(first: list[CellResult], second: list[CellResult]) -> np.ndarray:
    """Mean differences of EM, people in the order of their names."""
    by_person: dict[str, list[float]] = {}
    for ours, theirs in zip(first, second, strict=True):
        for p, q in zip(ours.predictions, theirs.predictions, strict=True):
            by_person.setdefault(p.entity, []).append(p.em - q.em)
    return np.array([np.mean(by_person[name]) for name in sorted(by_person)])


@pytest.mark.parametrize("people", [2, 6, 12, 20, 60])
def test_pairs_compared_together_have_the_p_values_that_scipy_gives_each(people):
    named = arms({"a": 0.5, "b": 0.5, "c": 0.2, "d": 0.21}, people=people, seeds=1)
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
        sampled = expected.pvalue if differences.any() else 1.0
        if sampled > 0.0002:
            assert comparison.p_value == pytest.approx(sampled, rel=1e-8)
        else:  # the smallest that 9,999 exchanges give; a bound may be lower
            assert comparison.p_value <= sampled
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


@pytest.mark.parametrize(("people", "questions", "rate"), [(20, 5, 0.01), (50, 5, 0.005)])
def test_intervals_near_the_floor_hold_the_truth(people, questions, rate):
    """Where every answer is wrong, as it is in half of these samples, so many may be by chance."""
    rng, scale = np.random.default_rng(0), 1 / 0.3 - 1
    entities = [str(person) for person in range(people) for _ in range(questions)]
    held = 0
    for _ in range(200):
        rates = rng.beta(rate * scale, (1 - rate) * scale, people)
        values = rng.random((people, questions)) < rates[:, None]
        interval = estimate_mean(values.ravel().astype(float).tolist(), entities, bounds=RATE)
        assert interval.low >= 0
        held += interval.low <= rate <= interval.high
    assert held >= 185


@pytest.mark.parametrize("people", [2, 3, 5, 9])
def test_intervals_of_few_people_hold_the_truth(people):
    rng, held = np.random.default_rng(0), 0
    for _ in range(300):
        values = rng.normal(1.0, 1.0, people).tolist()
        interval = estimate_mean(values, [str(person) for person in range(people)])
        held += interval.low <= 1.0 <= interval.high
    assert held >= 277


def test_arms_that_all_fail_differ_by_an_unknown_little():
    """The difference of two arms without a right answer is no certain 0."""
    both = {
        label: [cell(label, seed, np.zeros((60, 4))) for seed in range(2)] for label in ("a", "b")
    }
    (comparison,) = compare_pairs(both, [("a", "b")], "em")
    assert -0.05 < comparison.difference.low < -0.01
    assert 0.01 < comparison.difference.high < 0.05
    assert comparison.p_value == 1
