"""Cells of an unfinished run that can share a table."""

from answered_cells import cell

from elusive.evaluate.compare.selection import select_comparable_cells

EMS = {"direct": [1.0, 0.0]}


def test_the_largest_full_table_is_chosen():
    cells = [cell(arm, 0, EMS) for arm in ("plain", "random", "oracle")]
    kept, left_out = select_comparable_cells([*cells, cell("plain", 1, EMS)])
    assert {(c.parameters["label"], c.parameters["seed"]) for c in kept} == {
        ("plain", 0), ("random", 0), ("oracle", 0)
    }  # fmt: skip
    assert left_out == ["seed 1: finished only for plain"]


def test_arms_that_lack_a_seed_are_named():
    cells = [cell(arm, seed, EMS) for arm in ("plain", "random") for seed in range(3)]
    kept, left_out = select_comparable_cells([*cells, cell("oracle", 0, EMS)])
    assert len(kept) == 6
    assert left_out == ["oracle: not finished for seed 1, 2"]


def test_arms_with_as_many_but_other_seeds_are_not_compared():
    kept, left_out = select_comparable_cells([cell("plain", 0, EMS), cell("random", 1, EMS)])
    assert [c.parameters["label"] for c in kept] == ["plain"]
    assert left_out == ["random: not finished for seed 0"]
