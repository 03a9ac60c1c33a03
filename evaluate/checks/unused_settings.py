"""Settings of a plan that nothing in it uses, which a user may have taken for effective."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from elusive.augment.config import AugmentConfig
from elusive.evaluate.config import TrainingConfig
from elusive.evaluate.plans import ArmConfig, Plan


def list_unused_settings(plan: Plan) -> list[str]:
    """List settings without effect: those of an arm that it does not use, and shared ones of all.

    Returns:
        One line per arm, and one for what all arms share.
    """
    shared = {*_list_given(plan.training), *plan.augment}
    trainings = {arm.name: plan.build_settings(arm).training for arm in plan.arms}
    by_arm = {arm.name: _list_unused(arm, trainings[arm.name]) for arm in plan.arms}
    lines = [
        _render(f"the arm {arm} does not use", names)
        for arm, unused in by_arm.items()
        if (names := [name for name in unused if name not in shared])
    ]
    in_follow_ups = {"small"} if plan.then else set()  # clues and figures contrast the two models
    by_none = [
        name
        for name in shared - in_follow_ups
        if by_arm and all(name in unused for unused in by_arm.values())
    ]
    return [*lines, _render("no arm uses", by_none)] if by_none else lines


def _render(user: str, names: Iterable[str]) -> str:
    return f"{user} {', '.join(sorted(names))}"


def _list_unused(arm: ArmConfig, training: TrainingConfig) -> list[str]:
    given = _list_given(arm) & AugmentConfig.model_fields.keys()
    return [*arm.list_unused(given), *training.list_unused(_list_given(training))]


def _list_given(config: BaseModel) -> set[str]:
    """List the settings that somebody has chosen; those of a stored plan are all written out."""
    fields: dict[str, Any] = type(config).model_fields
    return {
        name for name in config.model_fields_set if getattr(config, name) != fields[name].default
    }
