"""Reading plans."""

from pathlib import Path

from elusive.common.errors import InputError, unknown_name
from elusive.common.yaml_files import load_config
from elusive.evaluate.config import UNTRAINED, Plan

PLAN = "plan.yaml"
"""Name under which a run keeps its plan."""


def load_plan(path: Path) -> Plan:
    """Read a plan.

    Raises:
        InputError: no such file, no YAML, or a setting that is wrong.
    """
    plan = load_config(Plan, path, "plan", "model: smollm2-135m")
    beside = {
        name: (path.parent / folder).resolve()
        for name in ("dataset", "known")
        if isinstance(folder := getattr(plan, name), Path)
    }
    return plan.model_copy(update=beside)


def dataset_of(run: Path) -> Path:
    """The dataset that a run's plan names, or made.

    Raises:
        InputError: the folder is no run, or its plan is wrong.
    """
    if not (run / PLAN).exists():
        raise InputError(f"{run} is no folder of `elusive run`: it has no {PLAN}")
    dataset = load_plan(run / PLAN).dataset
    return dataset if isinstance(dataset, Path) else run / "dataset"


def part_of_plan(plan: Plan, arms: tuple[str, ...] = (), seeds: tuple[int, ...] = ()) -> Plan:
    """A plan with some of its arms and seeds alone; all of them where none is named.

    Raises:
        InputError: the plan has no such arm or seed.
    """
    names = [UNTRAINED, *(arm.name for arm in plan.arms)]
    for name in arms:
        if name not in names:
            raise unknown_name("arm", name, names)
    for seed in seeds:
        if seed not in plan.seeds:
            raise InputError(
                f"seed {seed} is none of the plan's ({', '.join(map(str, plan.seeds))})"
            )
    return plan.model_copy(
        update={
            "arms": tuple(arm for arm in plan.arms if not arms or arm.name in arms),
            "untrained": plan.untrained and (not arms or UNTRAINED in arms),
            "seeds": tuple(seed for seed in plan.seeds if not seeds or seed in seeds),
        }
    )
