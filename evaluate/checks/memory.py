"""Refuse a plan whose models need more memory than is given, before anything is made."""

import os
from dataclasses import replace

import torch

from elusive.common.errors import InputError
from elusive.common.large.devices import Devices
from elusive.common.large.sizes import build_empty_model
from elusive.common.lm.references import BUILT_IN_NAMES
from elusive.evaluate.engines.resources import Resources
from elusive.evaluate.model_memory import (
    GIB,
    estimate_least_memory_gib,
    estimate_scoring,
    estimate_training,
)
from elusive.evaluate.plans import Plan


def check_memory(plan: Plan, on_this_machine: bool) -> None:
    """Check that the weights of each model fit into the memory that its cells are given.

    Args:
        plan: the plan.
        on_this_machine: whether this machine makes the cells; else the plan says what is there.

    Raises:
        InputError: some do not.
    """
    for model in dict.fromkeys([*plan.trained, *plan.list_scorers()]):
        if model in BUILT_IN_NAMES:
            continue
        try:
            build_empty_model(model)
        except InputError:  # of an unknown size; loading it will say what is wrong
            continue
        resources = plan.resources.get_for(model)
        cards, card_gib, memory_gib = _find_memory(resources, on_this_machine)
        if cards:
            if card_gib:
                _check_cards(plan, model, resources.devices, cards, card_gib)
        elif memory_gib and model in plan.trained:
            _check_main_memory(plan, model, memory_gib)


def _find_memory(
    resources: Resources, on_this_machine: bool
) -> tuple[int, float | None, float | None]:
    """Find the number of cards, the memory of each, and main memory, in GiB; None if unknown."""
    if not on_this_machine:
        return resources.gpus, resources.gpu_memory_gib, resources.memory_gib
    cards = torch.cuda.device_count()
    if cards:
        return cards, torch.cuda.get_device_properties(0).total_memory / GIB, None
    return 0, None, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB


def _check_cards(plan: Plan, model: str, devices: Devices, cards: int, card_gib: float) -> None:
    """Raise InputError if a stage's weights do not fit on the cards; scoring may leave some out."""
    used = (cards if devices.processes == 1 else devices.processes) if devices.is_large else 1
    needs = []
    if model in plan.trained:
        needs.append(estimate_training(model, plan.training, plan.answering, 1.0))
    if model in plan.list_scorers() and devices.placement == "one":
        needs.append(estimate_scoring(model, 1.0))
    for need in needs:
        part = replace(need, weights=need.weights / used, trained=need.trained / used)
        if part.least > card_gib:
            which = "the GPU" if used == 1 else f"each of {used} GPUs"
            raise InputError(
                f"{model} needs at least {part.least:.1f} GiB on {which} of {card_gib:.0f} GiB: "
                "set resources.placement to auto or resources.processes for more GPUs (elusive run "
                "--dry-run says how many), or choose a smaller model or quantization"
            )


def _check_main_memory(plan: Plan, model: str, memory_gib: float) -> None:
    if (needed := estimate_least_memory_gib(plan, model)) > memory_gib:
        raise InputError(
            f"{memory_gib:.3g} GiB of memory (resources.memory_gib) are too little for {model}, "
            f"which needs at least {needed:.1f} GiB: raise it, or choose a smaller model or "
            "quantization"
        )
