"""Select some answers of cells, or the cells that can share a table."""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace

from elusive.augment.arms import UNTRAINED
from elusive.common.dataset.records import Prediction
from elusive.common.errors import InputError, build_unknown_name_error
from elusive.evaluate.cells.cell import get_arm
from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.compare.groups import group_arms


def select_missed(cells: list[CellResult]) -> list[CellResult]:
    """Keep only answers to questions that the model before training gets wrong, seed by seed.

    Raises:
        InputError: the model before training was not asked, or it got everything right.
    """
    untrained = [cell for cell in cells if get_arm(cell.parameters) == UNTRAINED]
    missed = {
        (cell.parameters["seed"], p.question_id)
        for cell in untrained
        for p in cell.predictions
        if p.em < 1
    }
    if not untrained:
        raise InputError(
            "the model before training was not asked: run the plan with `untrained: true`, or "
            "leave out --missed"
        )
    if not missed:
        raise InputError(f"{UNTRAINED!r} got no question wrong: leave out --missed")
    return select_answers(cells, lambda seed, p: (seed, p.question_id) in missed)


def select_kinds(cells: list[CellResult], kinds: Collection[str]) -> list[CellResult]:
    """Keep only answers to questions of some kinds, such as reverse ones.

    Raises:
        InputError: the cells have no questions of one of them.
    """
    asked = {p.kind for cell in cells for p in cell.predictions}
    for kind in kinds:
        if kind not in asked:
            raise build_unknown_name_error("kind", kind, asked)
    return select_answers(cells, lambda _, p: p.kind in kinds)


def select_answers(
    cells: list[CellResult], is_chosen: Callable[[int, Prediction], bool]
) -> list[CellResult]:
    """Keep only some answers of cells.

    Args:
        cells: of any arms.
        is_chosen: whether an answer is kept, from the cell's seed and the answer.
    """
    return [
        replace(
            cell,
            predictions=[p for p in cell.predictions if is_chosen(cell.parameters["seed"], p)],
        )
        for cell in cells
    ]


def select_comparable_cells(cells: list[CellResult]) -> tuple[list[CellResult], list[str]]:
    """Select the cells that make the largest full table, and say what is left out.

    A run in progress has all seeds of some arms and a few of others. Of the sets of seeds that some
    arm has, the one with the most cells is chosen, and of equal ones the one with more arms. A seed
    that an arm has twice counts once.

    Returns:
        Cells, and a line for each arm and each seed that is left out.
    """
    arms = {
        name: {cell.parameters["seed"]: cell for cell in members}
        for name, members in group_arms(cells).items()
    }
    seeds = _choose_seeds(list(arms.values()))
    complete = {name: by_seed for name, by_seed in arms.items() if seeds <= by_seed.keys()}
    kept = [by_seed[seed] for by_seed in complete.values() for seed in sorted(seeds)]
    lines = []
    for name, by_seed in arms.items():
        if name not in complete:
            missing = ", ".join(map(str, sorted(seeds - by_seed.keys())))
            lines.append(f"{name}: not finished for seed {missing}")
    arms_of_seed: dict[int, list[str]] = {}
    for name, by_seed in complete.items():
        for seed in sorted(by_seed.keys() - seeds):
            arms_of_seed.setdefault(seed, []).append(name)
    lines += [
        f"seed {seed}: finished only for {', '.join(names)}" for seed, names in arms_of_seed.items()
    ]
    return kept, lines


def _choose_seeds(arms: list[dict[int, CellResult]]) -> set[int]:
    """Choose the set of seeds with the most cells."""
    candidates = Counter(frozenset(by_seed) for by_seed in arms)

    def count_cells(seeds: frozenset[int]) -> tuple[int, int]:
        num_arms = sum(seeds <= by_seed.keys() for by_seed in arms)
        return num_arms * len(seeds), num_arms

    return set(max(sorted(candidates, key=sorted), key=count_cells))
