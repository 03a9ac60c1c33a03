"""Group cells by benchmark and by arm."""

import itertools
from collections import defaultdict
from collections.abc import Collection
from typing import Any

from elusive.augment.arms import ARMS
from elusive.common.folders import hash_parameters
from elusive.evaluate.cells.cell import get_arm
from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.compare.budgets import describe_budget

DECIDING = ("dataset", "weights", "settings", "precision", "answering", "scoring", "known")
"""Parameters that cells share where their arms can be compared."""


def group_benchmarks(cells: list[CellResult]) -> dict[str, list[CellResult]]:
    """Group cells whose arms can be compared: same datasets, model, way of answering and budget.

    A benchmark is named `dataset, model`, with what differs between it and others that would have
    the same name, and with the budget if there are several. Cells without training belong to every
    budget.
    """
    groups: dict[str, list[CellResult]] = defaultdict(list)
    for cell in cells:
        deciding = [cell.parameters.get(name) for name in DECIDING]
        groups[hash_parameters(deciding)].append(cell)
    benchmarks: dict[str, list[CellResult]] = {}
    names = name_benchmarks([members[0].parameters for members in groups.values()])
    for name, members in zip(names, groups.values(), strict=True):
        by_budget = _group_budgets(members)
        for budget, own in by_budget.items():
            full_name = f"{name}, {budget}" if len(by_budget) > 1 else name
            benchmarks[_number_name(full_name, benchmarks)] = own
    return benchmarks


def name_benchmarks(parameters: list[dict[str, Any]]) -> list[str]:
    """Name benchmarks by their dataset and model, and by what else differs between equal names.

    >>> nano = {"dataset_name": "people", "model": "nano", "dataset": "0" * 64}
    >>> name_benchmarks([nano, nano | {"model": "smollm2"}])
    ['people, nano', 'people, smollm2']
    >>> name_benchmarks([nano, nano | {"dataset": "1a2b3c" + "0" * 58}])
    ['people 000000, nano', 'people 1a2b3c, nano']
    >>> name_benchmarks([nano | {"answering": {"num_shots": shots}} for shots in (0, 5)])
    ['people, nano, num_shots 0', 'people, nano, num_shots 5']
    >>> name_benchmarks([nano, nano | {"known": "1a2b3c"}])
    ['people, nano, no known', 'people, nano, known 1a2b3c']
    """
    plain = [f"{own['dataset_name']}, {own['model']}" for own in parameters]
    names: list[str] = []
    for name, own in zip(plain, parameters, strict=True):
        flat = _flatten_deciding(own)
        others = [
            _flatten_deciding(other)
            for other_name, other in zip(plain, parameters, strict=True)
            if other_name == name
        ]
        differing = {
            key: value
            for key, value in flat.items()
            if any(other.get(key) != value for other in others)
        }
        dataset = f" {flat['dataset'][:6]}" if differing.pop("dataset", None) else ""
        parts = [f"{own['dataset_name']}{dataset}", str(own["model"])]
        parts += [
            f"no {key}" if value is None else f"{key} {str(value)[:12]}"
            for key, value in differing.items()
        ]
        names.append(_number_name(", ".join(parts), names))
    return names


def _flatten_deciding(parameters: dict[str, Any]) -> dict[str, Any]:
    """List what decides a benchmark, with the settings of answering by their own names."""
    flat = {name: parameters.get(name) for name in DECIDING if name != "answering"}
    return flat | (parameters.get("answering") or {})


def _group_budgets(cells: list[CellResult]) -> dict[str | None, list[CellResult]]:
    """Group cells by training budget; cells without training belong to each group."""
    budgets = [describe_budget(cell.parameters) for cell in cells]
    names = dict.fromkeys(budget for budget in budgets if budget) or {None: None}
    return {
        name: [cell for cell, budget in zip(cells, budgets, strict=True) if budget in (None, name)]
        for name in names
    }


def group_arms(cells: list[CellResult]) -> dict[str, list[CellResult]]:
    """Group cells by arm; cells that differ only in their seeds belong to one arm."""
    order = {name: position for position, name in enumerate(ARMS)}
    groups: dict[str, list[CellResult]] = defaultdict(list)
    # Users' own arms, which are not in ARMS, come last.
    for cell in sorted(cells, key=lambda cell: order.get(get_arm(cell.parameters), len(order))):
        groups[_hash_arm(cell)].append(cell)
    arms: dict[str, list[CellResult]] = {}
    names = _name_arms([members[0].parameters for members in groups.values()])
    for name, members in zip(names, groups.values(), strict=True):
        arms[_number_name(name, arms)] = members
    return arms


def _name_arms(parameters: list[dict[str, Any]]) -> list[str]:
    """Name arms by their labels, and those of one label also by the settings that differ.

    >>> half = {"label": "random", "augment": {"alpha": 0.5}, "training": {"epochs": 3}}
    >>> _name_arms([half, half | {"augment": {"alpha": 0.7}}, {"label": "plain", "augment": {}}])
    ['random, alpha 0.5', 'random, alpha 0.7', 'plain']
    """
    flat = [
        {"threads": own.get("threads")} | own["augment"] | (own.get("training") or {})
        for own in parameters
    ]
    names = []
    for own, settings in zip(parameters, flat, strict=True):
        others = [
            other
            for them, other in zip(parameters, flat, strict=True)
            if them["label"] == own["label"]
        ]
        differing = [
            f"{name} {value}"
            for name, value in settings.items()
            if name != "seed" and not isinstance(value, dict)
            if any(other.get(name) != value for other in others)
        ]
        names.append(", ".join([own["label"], *differing]))
    return names


def _number_name(name: str, taken: Collection[str]) -> str:
    """Return the name, with a number if it is taken.

    >>> _number_name("plain", ["plain", "plain (2)", "random"])
    'plain (3)'
    """
    numbered = (f"{name} ({number})" for number in itertools.count(2))
    return next(other for other in itertools.chain([name], numbered) if other not in taken)


def _hash_arm(cell: CellResult) -> str:
    """Hash what decides a cell except its seeds."""
    parameters = {
        name: value for name, value in cell.parameters.items() if name not in ("seed", "train")
    }
    augment = {name: value for name, value in parameters["augment"].items() if name != "seed"}
    return hash_parameters(parameters | {"augment": augment})
