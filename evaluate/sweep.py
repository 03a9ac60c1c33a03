"""Choosing each arm's settings on people that the comparison does not ask about."""

import itertools
import json
import logging
from collections.abc import Iterator
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
)
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from elusive.augment.scores.scorers import NOT_DROPPING
from elusive.common.errors import InputError, validated
from elusive.common.folders import parameters_hash, write_atomically
from elusive.evaluate.cells.cell import load_cell
from elusive.evaluate.jobs import Job, Run, plan_jobs
from elusive.evaluate.plans import ArmConfig, Range, SweepConfig

SWEEP = "sweep.json"
STUDIES = "studies.log"
OF_TEXT, OF_TRAINING = ("alpha", "beta"), ("learning_rate", "epochs")
SPLITS = {"best-on-dev": "dev", "best-on-test": "test"}


def chosen_jobs(run: Run) -> list[Job]:
    """All cells of a run; with a sweep, their arms' settings are chosen first.

    Each arm, on each dataset and for each model, gets as many trials. Trials are cells of a run of
    their own, in the folder `sweep`, so they are resumed and repaired like any other; what was
    tried stands in Optuna's journal beside them.

    Raises:
        InputError: nobody can be asked on whom to choose, or no trial of an arm finished.
    """
    jobs = plan_jobs(run.plan)
    sweep = run.plan.sweep
    if sweep is None:
        return jobs
    _check_split(run, sweep)
    wanted = {(job.place, job.label): job for job in jobs if job.arm}
    found = {}
    for key, job in tqdm(wanted.items(), desc="choosing settings", unit="arm"):
        found[key] = _chosen(run, job, sweep)
    content = [
        {"dataset": job.dataset, "model": job.model, "arm": job.label, **(found[key] or {})}
        for key, job in wanted.items()
    ]
    write_atomically(run.out / SWEEP, json.dumps(content, indent=2) + "\n")
    return [_with_settings(run, job, found.get((job.place, job.label))) for job in jobs]


def _check_split(run: Run, sweep: SweepConfig) -> None:
    """Raise InputError unless those on whom settings are chosen are there, and others than those
    who are asked in the end."""
    split = SPLITS[sweep.protocol]
    asked = run.plan.answering.split
    if split == "dev" and asked != "test":
        raise InputError(
            f"answering.split {asked!r} and sweep.protocol 'best-on-dev': the comparison would ask "
            "about the people on whom settings were chosen: use split test"
        )
    for name, dataset in run.datasets.items():
        if not any(question.split == split for question in dataset.questions):
            raise InputError(
                f"sweep: dataset {name!r} has no {split} questions to choose settings on: make it "
                "with a dev_rate above 0"
            )


def _chosen(run: Run, job: Job, sweep: SweepConfig) -> dict[str, Any] | None:
    """How an arm's settings were chosen; None where there is nothing to choose."""
    assert job.arm is not None
    space = search_space(job.arm, sweep)
    if not space:
        return None
    trials = run.below("sweep")
    with trials.lock(f"{job.place}{job.label}"):
        study = _study(trials, job, sweep, space)
        for trial in _missing_trials(study, sweep, space):
            _run_trial(trials, job, sweep, study, trial)
    finished = study.get_trials(states=(TrialState.COMPLETE,))
    if not finished:
        raise InputError(
            f"sweep: no trial of arm {job.label!r} finished: {trials.out / 'failed'} says why"
        )
    best = max(finished, key=lambda trial: (trial.value, -trial.number))
    return {
        "protocol": sweep.protocol,
        "metric": sweep.metric,
        "value": best.value,
        "tries": len({parameters_hash(trial.params) for trial in finished}),
        "settings": best.params,
    }


def search_space(arm: ArmConfig, sweep: SweepConfig) -> dict[str, BaseDistribution]:
    """What is chosen for an arm: alpha and beta only where it drops tokens."""
    names = OF_TRAINING if arm.method in NOT_DROPPING else (*OF_TEXT, *OF_TRAINING)
    space: dict[str, BaseDistribution] = {}
    for name in names:
        values = getattr(sweep, name)
        if isinstance(values, Range):
            space[name] = FloatDistribution(values.low, values.high, log=values.log)
        elif values:
            space[name] = CategoricalDistribution(values)
    return space


def _study(
    trials: Run, job: Job, sweep: SweepConfig, space: dict[str, BaseDistribution]
) -> optuna.Study:
    """What was tried of an arm; a trial that was cut off counts as never begun."""
    optuna.logging.set_verbosity(logging.WARNING)
    decided = {
        "sweep": sweep.model_dump(exclude={"trials"}),
        "space": {name: repr(each) for name, each in space.items()},
        "arm": job.arm.model_dump() if job.arm else None,
        "settings": job.settings.model_dump(),
        "dataset": trials.datasets[job.dataset].content_hash,
    }
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(trials.out / STUDIES))),
        study_name=f"{job.place}{job.label}-{parameters_hash(decided)[:8]}",
        direction="maximize",
        load_if_exists=True,
    )
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    return study


def _missing_trials(
    study: optuna.Study, sweep: SweepConfig, space: dict[str, BaseDistribution]
) -> Iterator[optuna.Trial]:
    """Trials up to the number wanted: of all choices where these are few, else by TPE.

    What is tried follows from the trial's number, so that an interruption changes nothing.
    """
    every = _combinations(space)
    few = every is not None and len(every) <= sweep.trials
    while (done := _num_tried(study)) < (len(every) if every and few else sweep.trials):
        study.sampler = optuna.samplers.TPESampler(seed=sweep.seed + done)
        if every and few:
            study.enqueue_trial(every[done], skip_if_exists=True)
        yield study.ask(space)


def _combinations(space: dict[str, BaseDistribution]) -> list[dict[str, Any]] | None:
    """All settings that a space of choices has; None where it has ranges."""
    choices = [each.choices for each in space.values() if isinstance(each, CategoricalDistribution)]
    if len(choices) < len(space):
        return None
    return [dict(zip(space, each, strict=True)) for each in itertools.product(*choices)]


def _num_tried(study: optuna.Study) -> int:
    """Trials that led to a value or failed by themselves."""
    return sum(_is_over(trial) for trial in study.get_trials(deepcopy=False))


def _is_over(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.COMPLETE or "failed" in trial.user_attrs


def _run_trial(
    trials: Run, job: Job, sweep: SweepConfig, study: optuna.Study, trial: optuna.Trial
) -> None:
    """Train and ask once with the settings of a trial."""
    tried = _trial_job(trials, job, sweep, trial.params)
    trials.make(tried)
    folder = trials.finished_folder(tried)
    if folder is None:
        trial.set_user_attr("failed", True)
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, load_cell(folder).metrics[sweep.metric])


def _trial_job(run: Run, job: Job, sweep: SweepConfig, params: dict[str, Any]) -> Job:
    """The cell of a trial."""
    with_params = _with_settings(run, job, {"settings": params})
    answering = job.settings.answering.model_copy(update={"split": SPLITS[sweep.protocol]})
    settings = with_params.settings.model_copy(update={"answering": answering})
    return Job(job.dataset, job.model, with_params.arm, sweep.seed, settings, job.place)


def _with_settings(run: Run, job: Job, chosen: dict[str, Any] | None) -> Job:
    """A cell with the settings that were chosen for its arm."""
    if job.arm is None or chosen is None:
        return job
    params = chosen["settings"]
    own = {name: value for name, value in params.items() if name in OF_TRAINING}
    text = {name: value for name, value in params.items() if name in OF_TEXT}
    changed = job.arm.model_dump() | text | {"training": job.arm.training | own}
    arm = validated(ArmConfig, changed)
    kept = chosen if "tries" in chosen else None
    return Job(job.dataset, job.model, arm, job.seed, run.plan.settings_of(arm), job.place, kept)
