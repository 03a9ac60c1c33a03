"""Which cells of a benchmark can stand in one table while others are still missing."""

from collections import Counter

from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.compare.table import group_arms


def select_comparable_cells(cells: list[CellResult]) -> tuple[list[CellResult], list[str]]:
    """The cells of the arms and seeds that make the largest full table, and what is left out.

    A run that is still going has all seeds of some arms and a few of others. Of the sets of seeds
    that an arm has, the one is taken that gives the most cells; of equals, that of more arms. A
    seed that an arm has twice counts once.

    Returns:
        Cells, and a line for each arm, and each seed, that is left out.
    """
    named = {name: _by_seed(members) for name, members in group_arms(cells).items()}
    seeds = _largest(list(named.values()))
    whole = {name: by_seed for name, by_seed in named.items() if seeds <= by_seed.keys()}
    kept = [by_seed[seed] for by_seed in whole.values() for seed in sorted(seeds)]
    missing = {
        name: sorted(seeds - by_seed.keys()) for name, by_seed in named.items() if name not in whole
    }
    more: dict[int, list[str]] = {}
    for name, by_seed in whole.items():
        for seed in sorted(by_seed.keys() - seeds):
            more.setdefault(seed, []).append(name)
    lines = [f"{name}: it has no seed {_listed(absent)} yet" for name, absent in missing.items()]
    lines += [f"seed {seed}: only {_listed(arms)} have it" for seed, arms in more.items()]
    return kept, lines


def _listed(values: list[int] | list[str]) -> str:
    """Values in a row."""
    return ", ".join(map(str, values))


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
