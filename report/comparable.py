"""Which cells of a benchmark can stand in one table while others are still missing."""

from collections import Counter

from elusive.evaluate.cell import CellResult
from elusive.evaluate.table import named_cells


def comparable_cells(cells: list[CellResult]) -> tuple[list[CellResult], list[str]]:
    """The cells of the arms and seeds that make the largest full table, and what is left out.

    A run that is still going has all seeds of some arms and a few of others. Of the sets of seeds
    that an arm has, the one is taken that gives the most cells; of equals, that of more arms. A
    seed that an arm has twice counts once.

    Returns:
        Cells, and a line for each arm that is left out or shortened.
    """
    named = {name: _by_seed(members) for name, members in named_cells(cells).items()}
    seeds = _largest(list(named.values()))
    kept: list[CellResult] = []
    left_out = []
    for name, by_seed in named.items():
        if not seeds <= by_seed.keys():
            missing = ", ".join(map(str, sorted(seeds - by_seed.keys())))
            left_out.append(f"{name}: left out, it has no seed {missing} yet")
            continue
        kept += [by_seed[seed] for seed in sorted(seeds)]
        if more := by_seed.keys() - seeds:
            extra = ", ".join(map(str, sorted(more)))
            left_out.append(f"{name}: seed {extra} left out, other arms do not have it yet")
    return kept, left_out


def _by_seed(cells: list[CellResult]) -> dict[int, CellResult]:
    """Cells of one arm by seed."""
    return {cell.parameters["seed"]: cell for cell in cells}


def _largest(arms: list[dict[int, CellResult]]) -> set[int]:
    """The set of seeds that gives the most cells."""
    candidates = Counter(frozenset(by_seed) for by_seed in arms)

    def size(seeds: frozenset[int]) -> tuple[int, int]:
        num_arms = sum(seeds <= by_seed.keys() for by_seed in arms)
        return num_arms * len(seeds), num_arms

    return set(max(sorted(candidates, key=sorted), key=size))
