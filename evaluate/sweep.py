"""Choose each arm's settings on people whom the comparison does not ask about."""

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
from optuna.trial import TrialState
from tqdm import tqdm

from elusive.augment.arms import drops_tokens
from elusive.common.errors import InputError, validate_config
from elusive.common.folders import hash_parameters, write_atomically
from elusive.evaluate.cells.cell_folder import load_cell
from elusive.evaluate.jobs import Job, list_jobs
from elusive.evaluate.plans import ArmConfig, Range, SweepConfig
from elusive.evaluate.run_folder import RunFolder

SWEEP = "sweep.json"
STUDIES = "studies.log"
TEXT_SETTINGS, TRAINING_SETTINGS = ("alpha", "beta"), ("learning_rate", "epochs")
SPLITS = {"best-on-dev": "dev", "best-on-test": "test"}


def choose_jobs(run: RunFolder) -> list[Job]:
    """List the cells of a run; with a sweep, first choose the settings of their arms.

    Every arm gets the same number of trials on each dataset with each model. Trials are cells in
    the folder `sweep`, so they are resumed and repaired like other cells. Optuna's journal beside
    them records the settings that were tried.

    Raises:
        InputError: a dataset has no questions to choose settings on, or all trials of an arm
            failed.
    """
    jobs = list_jobs(run.plan)
    sweep = run.plan.sweep
    if sweep is None:
        return jobs
    _check_split(run, sweep)
    arm_jobs = {(job.prefix, job.label): job for job in jobs if job.arm}
    choices = {}
    for key, job in tqdm(arm_jobs.items(), desc="choosing settings", unit="arm"):
        choices[key] = _choose(run, job, sweep)
    content = [
        {"dataset": job.dataset, "model": job.model, "arm": job.label, **(choices[key] or {})}
        for key, job in arm_jobs.items()
    ]
    write_atomically(run.out / SWEEP, json.dumps(content, indent=2) + "\n")
    return [_apply_choice(run, job, choices.get((job.prefix, job.label))) for job in jobs]


def _check_split(run: RunFolder, sweep: SweepConfig) -> None:
    """Raise InputError unless settings can be chosen on people whom the comparison leaves out."""
    split = SPLITS[sweep.protocol]
    final_split = run.plan.answering.split
    if split == "dev" and final_split != "test":
        raise InputError(
            f"answering.split {final_split!r} and sweep.protocol 'best-on-dev': the comparison "
            "would ask about the people on whom settings were chosen: use split 'test'"
        )
    for name, dataset in run.datasets.items():
        if not any(question.split == split for question in dataset.questions):
            raise InputError(
                f"sweep: dataset {name!r} has no {split} questions to choose settings on: generate "
                "it with a dev_rate above 0"
            )


def _choose(run: RunFolder, job: Job, sweep: SweepConfig) -> dict[str, Any] | None:
    """Choose an arm's settings, and record how; None if there is nothing to choose."""
    assert job.arm is not None
    space = build_search_space(job.arm, sweep)
    if not space:
        return None
    trials = run.open_below("sweep")
    with trials.lock(f"{job.prefix}{job.label}"):
        study = _open_study(trials, job, sweep, space)
        for trial in _ask_trials(study, sweep, space):
            _run_trial(trials, job, sweep, study, trial)
    finished = study.get_trials(states=(TrialState.COMPLETE,))
    if not finished:
        raise InputError(
            f"sweep: all trials of arm {job.label!r} failed: see {trials.out / 'failed'} for why"
        )
    best = max(finished, key=lambda trial: (trial.value, -trial.number))
    return {
        "protocol": sweep.protocol,
        "metric": sweep.metric,
        "value": best.value,
        "tries": len({hash_parameters(trial.params) for trial in finished}),
        "settings": best.params,
    }


def build_search_space(arm: ArmConfig, sweep: SweepConfig) -> dict[str, BaseDistribution]:
    """Build the search space of an arm; it has alpha and beta only if the arm drops tokens."""
    is_dropping = drops_tokens(arm.method)
    names = (*TEXT_SETTINGS, *TRAINING_SETTINGS) if is_dropping else TRAINING_SETTINGS
    space: dict[str, BaseDistribution] = {}
    for name in names:
        values = getattr(sweep, name)
        if isinstance(values, Range):
            space[name] = FloatDistribution(values.low, values.high, log=values.log)
        elif values:
            space[name] = CategoricalDistribution(values)
    return space


def _open_study(
    trials: RunFolder, job: Job, sweep: SweepConfig, space: dict[str, BaseDistribution]
) -> optuna.Study:
    """Open the record of an arm's trials; a trial that was interrupted does not count."""
    optuna.logging.set_verbosity(logging.WARNING)
    deciding = {
        "sweep": sweep.model_dump(exclude={"trials"}),
        "space": {name: repr(values) for name, values in space.items()},
        "arm": job.arm.model_dump() if job.arm else None,
        "settings": job.settings.model_dump(),
        "dataset": trials.datasets[job.dataset].content_hash,
    }
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(trials.out / STUDIES))),
        study_name=f"{job.prefix}{job.label}-{hash_parameters(deciding)[:8]}",
        direction="maximize",
        load_if_exists=True,
    )
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    return study


def _ask_trials(
    study: optuna.Study, sweep: SweepConfig, space: dict[str, BaseDistribution]
) -> Iterator[optuna.Trial]:
    """Yield trials until there are enough: all combinations if they are few, otherwise by TPE.

    A trial's settings follow from its number and earlier results, so interruptions change nothing.
    """
    combinations = _list_combinations(space)
    if combinations is not None and len(combinations) > sweep.trials:
        combinations = None
    num_trials = len(combinations) if combinations else sweep.trials
    while (num_tried := _count_tried(study)) < num_trials:
        study.sampler = optuna.samplers.TPESampler(seed=sweep.seed + num_tried)
        if combinations:
            study.enqueue_trial(combinations[num_tried], skip_if_exists=True)
        yield study.ask(space)


def _list_combinations(space: dict[str, BaseDistribution]) -> list[dict[str, Any]] | None:
    """List all settings in a space of choices; None if the space has a range."""
    choices = [d.choices for d in space.values() if isinstance(d, CategoricalDistribution)]
    if len(choices) < len(space):
        return None
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*choices)]


def _count_tried(study: optuna.Study) -> int:
    """Count the trials that gave a value or failed by themselves."""
    return sum(
        trial.state == TrialState.COMPLETE or "failed" in trial.user_attrs
        for trial in study.get_trials(deepcopy=False)
    )


def _run_trial(
    trials: RunFolder, job: Job, sweep: SweepConfig, study: optuna.Study, trial: optuna.Trial
) -> None:
    """Make the cell of a trial, and tell the study its value."""
    trial_job = _build_trial_job(trials, job, sweep, trial.params)
    trials.make(trial_job)
    folder = trials.find_finished(trial_job)
    if folder is None:
        trial.set_user_attr("failed", True)
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, load_cell(folder).metrics[sweep.metric])


def _build_trial_job(run: RunFolder, job: Job, sweep: SweepConfig, params: dict[str, Any]) -> Job:
    with_params = _apply_choice(run, job, {"settings": params})
    answering = job.settings.answering.model_copy(update={"split": SPLITS[sweep.protocol]})
    settings = with_params.settings.model_copy(update={"answering": answering})
    return Job(job.dataset, job.model, with_params.arm, sweep.seed, settings, job.prefix)


def _apply_choice(run: RunFolder, job: Job, chosen: dict[str, Any] | None) -> Job:
    """Return a cell with the settings that were chosen for its arm."""
    if job.arm is None or chosen is None:
        return job
    params = chosen["settings"]
    own = {name: value for name, value in params.items() if name in TRAINING_SETTINGS}
    text = {name: value for name, value in params.items() if name in TEXT_SETTINGS}
    changed = job.arm.model_dump() | text | {"training": job.arm.training | own}
    arm = validate_config(ArmConfig, changed)
    kept = chosen if "tries" in chosen else None
    return Job(
        job.dataset, job.model, arm, job.seed, run.plan.build_settings(arm), job.prefix, kept
    )
