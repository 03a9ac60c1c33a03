"""Choose each arm's settings on people whom the comparison does not ask about."""

import itertools
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from elusive.augment.arms import ARMS, drops_tokens
from elusive.common.errors import InputError, validate_config
from elusive.common.folders import write_atomically
from elusive.evaluate.cells.cell_folder import load_cell
from elusive.evaluate.config import NEXT_TOKEN, CellSettings
from elusive.evaluate.engines.engine import LOCAL, Engine
from elusive.evaluate.jobs import Job, list_jobs
from elusive.evaluate.plans import ArmConfig
from elusive.evaluate.run_folder import RunFolder
from elusive.evaluate.sweep_config import (
    COMMON_SETTINGS,
    OBJECTIVE_SETTINGS,
    SPLITS,
    SWEEP,
    SWEEP_FOLDER,
    TEXT_SETTINGS,
    Settings,
    list_first_settings,
    list_second_settings,
)

Key = tuple[str, str]
"""An arm of a run: the prefix of its cells, and its label."""


@dataclass(frozen=True)
class Trial:
    """Settings that were tried for an arm."""

    settings: Settings
    value: float | None
    """Mean of the metric over the seeds; None if a cell failed."""
    failed: list[str]
    """Names of the cells that failed, or whose metric is not a number."""


def list_tuned_jobs(run: RunFolder, engine: Engine = LOCAL) -> list[Job]:
    """List the cells of a run; with a sweep, first choose the settings of their arms.

    Every arm gets the same number of trials on each dataset with each model, in two stages that
    `SweepConfig` describes. Trials are cells in the folder `sweep`, so they are resumed and
    repaired like other cells. `sweep.json` records all trials of every arm.

    Args:
        run: folder of the run.
        engine: where the trials are made.

    Raises:
        InputError: all trials of an arm failed.
    """
    jobs = list_jobs(run.plan)
    sweep = run.plan.sweep
    if sweep is None:
        return jobs
    folder = run.open_below(SWEEP_FOLDER)
    arms = {(job.prefix, job.label): job for job in jobs if job.arm}
    # 1) Try learning rates and epochs with each arm's own alpha and beta.
    todo = {key: list_first_settings(_get_own_settings(job), sweep) for key, job in arms.items()}
    trials = _try_all(folder, arms, todo, engine, "sweep, stage 1")
    # 2) At the best of these, try alphas with betas, or what the arm has in their place.
    best = {key: _choose(folder, job, trials[key]).settings for key, job in arms.items()}
    todo = {key: list_second_settings(best[key], sweep) for key in arms}
    further = _try_all(folder, arms, todo, engine, "sweep, stage 2")
    trials = {key: trials[key] + further[key] for key in arms}
    # 3) Record the trials, and give the best one's settings to the arm's cells.
    choices = {key: _describe_choice(folder, job, trials[key]) for key, job in arms.items()}
    content = [
        {"dataset": job.dataset, "model": job.model, "arm": job.label}
        | choices[key]
        | {"trials": [asdict(trial) for trial in trials[key]]}
        for key, job in arms.items()
    ]
    _write_trials(run.out / SWEEP, content)
    return [
        _apply_choice(run, job, choices[job.prefix, job.label]) if job.arm else job for job in jobs
    ]


def _write_trials(path: Path, content: list[dict[str, Any]]) -> None:
    """Write the trials of some arms; those of other arms, from earlier commands, stay."""

    def get_key(arm: dict[str, Any]) -> tuple[str, ...]:
        return arm["dataset"], arm["model"], arm["arm"]

    former = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    arms = {get_key(arm): arm for arm in [*former, *content]}
    write_atomically(path, json.dumps(list(arms.values()), indent=2) + "\n")


def _get_own_settings(job: Job) -> Settings:
    """Return what a sweep may change about an arm, as the plan has it."""
    assert job.arm is not None
    training = job.settings.training
    names: Iterable[str] = ()
    if drops_tokens(job.arm.method):
        names = TEXT_SETTINGS
    elif training.objective != NEXT_TOKEN:
        names = [name for name in OBJECTIVE_SETTINGS if name in ARMS[training.objective].defaults]
    return {
        name: getattr(job.arm, name) if name in TEXT_SETTINGS else training.get_setting(name)
        for name in (*names, *COMMON_SETTINGS)
    }


def _try_all(
    folder: RunFolder,
    arms: dict[Key, Job],
    todo: dict[Key, list[Settings]],
    engine: Engine,
    shown: str,
) -> dict[Key, list[Trial]]:
    """Make the cells of all trials of a stage, and read their values."""
    cells = {
        (key, number): _list_trial_jobs(folder, arms[key], settings)
        for key, listed in todo.items()
        for number, settings in enumerate(listed)
    }
    if cells:
        engine.make_all(folder, list(itertools.chain.from_iterable(cells.values())), shown)
    return {
        key: [
            _read_trial(folder, settings, cells[key, number])
            for number, settings in enumerate(listed)
        ]
        for key, listed in todo.items()
    }


def _list_trial_jobs(folder: RunFolder, job: Job, settings: Settings) -> list[Job]:
    """List the cells of a trial, one per seed of the sweep."""
    sweep = folder.plan.sweep
    assert sweep is not None
    arm, cell_settings = _change_settings(folder, job, settings)
    answering = cell_settings.answering.model_copy(update={"split": SPLITS[sweep.protocol]})
    cell_settings = cell_settings.model_copy(update={"answering": answering})
    trial = "-".join(f"{name}={value}" for name, value in settings.items())
    return [
        Job(job.dataset, job.model, arm, seed, cell_settings, job.prefix, trial=trial)
        for seed in sweep.seeds
    ]


def _read_trial(folder: RunFolder, settings: Settings, jobs: list[Job]) -> Trial:
    sweep = folder.plan.sweep
    assert sweep is not None
    paths = {job.name: folder.find_finished(job) for job in jobs}
    values = {name: _read_value(path, sweep.metric) for name, path in paths.items() if path}
    failed = [name for name in paths if math.isnan(values.get(name, math.nan))]
    return Trial(settings, None if failed else fmean(values.values()), failed)


def _read_value(path: Path, metric: str) -> float:
    metrics = load_cell(path).metrics
    if metric not in metrics:
        raise InputError(
            f"{path} has no {metric}, because an earlier version made it: remove it, or keep that "
            "version's choice with --set sweep.metric=log_probability"
        )
    return metrics[metric]


def _choose(folder: RunFolder, job: Job, trials: list[Trial]) -> Trial:
    """Return the trial with the highest value; of equal ones, the earliest.

    Raises:
        InputError: all trials failed.
    """
    values = {number: trial.value for number, trial in enumerate(trials) if trial.value is not None}
    if not values:
        raise InputError(
            f"sweep: all trials of arm {job.label!r} failed: see {folder.out / 'failed'} for why"
        )
    return trials[max(values, key=values.__getitem__)]


def _describe_choice(folder: RunFolder, job: Job, trials: list[Trial]) -> dict[str, Any]:
    """Describe how an arm's settings were chosen, for its cells and for the table."""
    sweep, best = folder.plan.sweep, _choose(folder, job, trials)
    assert sweep is not None
    num_failed = sum(trial.value is None for trial in trials)
    return {
        "protocol": sweep.protocol,
        "metric": sweep.metric,
        "seeds": list(sweep.seeds),
        "epochs": list(sweep.epochs),
        "tries": len(trials) - num_failed,
        "failed": num_failed,
        "value": best.value,
        "settings": best.settings,
    }


def _apply_choice(run: RunFolder, job: Job, chosen: dict[str, Any]) -> Job:
    """Return a cell with the settings that were chosen for its arm."""
    arm, settings = _change_settings(run, job, chosen["settings"])
    return replace(job, arm=arm, settings=settings, chosen=chosen)


def _change_settings(
    run: RunFolder, job: Job, settings: Settings
) -> tuple[ArmConfig, CellSettings]:
    """Return an arm with other settings, and the settings of its cells."""
    assert job.arm is not None
    text = {name: value for name, value in settings.items() if name in TEXT_SETTINGS}
    own = {name: value for name, value in settings.items() if name not in TEXT_SETTINGS}
    changed = job.arm.model_dump() | text | {"training": job.arm.training | own}
    arm = validate_config(ArmConfig, changed)
    return arm, run.plan.build_settings(arm)
