"""What a sweep tries: lists of settings, and the trials of each arm that follow from them."""

import itertools
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from elusive.augment.config import AugmentConfig
from elusive.common.errors import InputError, validate_config
from elusive.evaluate.config import TrainingConfig

SWEEP = "sweep.json"
"""File of a run that records all trials."""
SWEEP_FOLDER = "sweep"
"""Folder of a run that holds the cells of its trials."""
COMMON_SETTINGS = ("learning_rate", "epochs")
TEXT_SETTINGS, OBJECTIVE_SETTINGS = ("alpha", "beta"), ("noise", "selected")
LISTED = (*COMMON_SETTINGS, *TEXT_SETTINGS, *OBJECTIVE_SETTINGS)
"""Settings that a sweep chooses."""
STEP = 2.0
"""Ratio to the neighbors of a learning rate that is the only one in its list."""
SPLITS = {"best-on-dev": "dev", "best-on-test": "test"}
"""Questions on which each protocol chooses settings."""

Settings = dict[str, Any]


class SweepConfig(BaseModel):
    """How the settings of each arm are chosen before it is compared.

    Stage 1 tries every learning rate with every number of epochs. Stage 2 keeps the best of these
    and tries the arm's own settings: alpha with beta, `noise` or `selected`. Arms that have fewer
    of their own try further learning rates, so that all arms have equally many trials.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: tuple[float, ...] = Field(
        default=(), description="Peak learning rates to try; by default the arm's own."
    )
    epochs: tuple[int, ...] = Field(
        default=(), description="Numbers of epochs to try; by default the arm's own."
    )
    alpha: tuple[float, ...] = Field(
        default=(), description="Alphas to try in arms that drop tokens; by default the arm's own."
    )
    beta: tuple[float, ...] = Field(
        default=(), description="Betas to try in arms that drop tokens; by default the arm's own."
    )
    noise: tuple[float, ...] = Field(
        default=(),
        description="Shares `noise` to try in the objectives that have it; by default the arm's "
        "own.",
    )
    selected: tuple[float, ...] = Field(
        default=(), description="Shares `selected` to try in `rho-1`; by default the arm's own."
    )
    metric: Literal["em", "f1", "log_probability", "forced_choice"] = Field(
        default="forced_choice",
        description="Metric to maximize; the forced choice responds before exact match does, and "
        "not to what answers look like.",
    )
    protocol: Literal["best-on-dev", "best-on-test"] = Field(
        default="best-on-dev",
        description="Whose questions decide: dev people's, or test people's as in the paper, which "
        "flatters every arm and is marked in the table.",
    )
    seeds: tuple[int, ...] = Field(
        default=(1000, 1001),
        min_length=2,
        description="Seeds of every trial, at least two, and none of those that are compared; its "
        "value is the mean over them.",
    )

    @property
    def num_first_trials(self) -> int:
        """Number of trials in stage 1, the same for every arm."""
        return max(1, len(self.learning_rate)) * max(1, len(self.epochs))

    @property
    def num_second_trials(self) -> int:
        """Number of trials in stage 2, the same for every arm: as the longest list needs."""
        is_dropping_swept = bool(self.alpha or self.beta)
        num_pairs = is_dropping_swept * max(1, len(self.alpha)) * max(1, len(self.beta))
        return max(num_pairs, len(self.noise), len(self.selected))

    @property
    def num_trials(self) -> int:
        """Number of trials of every arm."""
        return self.num_first_trials + self.num_second_trials

    @model_validator(mode="after")
    def _check_lists(self) -> "SweepConfig":
        for name in (*LISTED, "seeds"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise InputError(
                    f"sweep.{name}: {list(values)} repeats a value: list each value once"
                )
        for name in LISTED:
            for value in getattr(self, name):
                if name in TEXT_SETTINGS:
                    validate_config(AugmentConfig, {"method": "random", name: value})
                else:
                    validate_config(TrainingConfig, {name: value})
        if not any(getattr(self, name) for name in LISTED):
            raise InputError(
                f"sweep: there is nothing to choose from: list values of {', '.join(LISTED)}"
            )
        return self


def list_first_settings(own: Settings, sweep: SweepConfig) -> list[Settings]:
    """List an arm's settings in stage 1: every learning rate with every number of epochs.

    Args:
        own: what a sweep may change about the arm, as the plan has it; settings without a list in
            the sweep stay as they are.
        sweep: the lists.
    """
    return _combine(own, sweep, COMMON_SETTINGS)


def list_second_settings(best: Settings, sweep: SweepConfig) -> list[Settings]:
    """List an arm's settings in stage 2; every arm has `num_second_trials` of them.

    An arm that drops tokens tries every alpha with every beta, an objective its `noise` or its
    `selected`, all at the best learning rate and epochs. What stage 1 has tried is left out.
    Further learning rates around the best one make up the number.

    Args:
        best: the arm's best settings in stage 1.
        sweep: the lists.
    """
    names = [name for name in best if name not in COMMON_SETTINGS]
    own = [settings for settings in _combine(best, sweep, names) if settings != best]
    lacking = sweep.num_second_trials - len(own)
    rates = list_rates_around(best["learning_rate"], sweep.learning_rate, lacking)
    return own + [best | {"learning_rate": rate} for rate in rates]


def list_rates_around(best: float, rates: Iterable[float], count: int) -> list[float]:
    """List learning rates between the best one and its neighbors, in equal ratios, rising.

    One half is below the best one, the other half above it; an odd one is above. At an end of the
    list, the missing neighbor is as far away as the other one; alone in the list, both are at half
    and at twice the rate. Rates are rounded to 6 digits, so that all machines compute the same.

    >>> list_rates_around(1e-3, (5e-4, 1e-3, 4e-3), 3)
    [0.000707107, 0.0015874, 0.00251984]
    """
    lower = [best / rate for rate in rates if rate < best]
    higher = [rate / best for rate in rates if rate > best]
    below = min(lower or higher, default=STEP)
    above = min(higher or lower, default=STEP)
    num_below, num_above = count // 2, count - count // 2
    exponents = [step / (num_below + 1) for step in range(num_below, 0, -1)]
    listed = [best / below**exponent for exponent in exponents]
    listed += [best * above ** (step / (num_above + 1)) for step in range(1, num_above + 1)]
    return [float(f"{rate:.6g}") for rate in listed]


def _combine(base: Settings, sweep: SweepConfig, names: Iterable[str]) -> list[Settings]:
    """List settings with every combination of the listed values of `names`."""
    names = list(names)
    choices = [getattr(sweep, name) or (base[name],) for name in names]
    return [base | dict(zip(names, values, strict=True)) for values in itertools.product(*choices)]
