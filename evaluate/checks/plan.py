"""What can be wrong with a plan, found out before anything is made."""

from pathlib import Path

from elusive.augment.scores.inputs import list_needed_roles
from elusive.augment.scores.user_scores import hash_method_file
from elusive.common.dataset.records import Question, Shot
from elusive.common.errors import InputError
from elusive.common.lm.references import check_model_exists
from elusive.evaluate.answering.distractors import choose_distractors
from elusive.evaluate.answering.prompts import sample_replay, split_shots
from elusive.evaluate.cells.cell import select_asked
from elusive.evaluate.jobs import Job, list_jobs
from elusive.evaluate.plans import PLAN, Plan, load_plan
from elusive.evaluate.sweep_config import SPLITS, SweepConfig


def check_run_folder(plan: Plan, out: Path) -> None:
    """Check that a folder is free, or holds a run to which the plan may add.

    Arms, seeds, settings, models and datasets may be added to a run, but a dataset's name must
    always stand for the same dataset.

    Raises:
        InputError: the folder holds something else.
    """
    path = out / PLAN
    if path.exists() and any(out.glob("cells/[!.]*")):
        before = load_plan(path).sources
        if not {*before} & {*plan.sources}:
            raise InputError(
                f"{out} holds a run on other datasets ({', '.join(before)}; this plan has "
                f"{', '.join(plan.sources)}): choose another --out, or list those, too"
            )
        for name, source in plan.sources.items():
            if before.get(name, source) != source:
                raise InputError(
                    f"{out} holds a run on another dataset named {name!r}: choose another --out, "
                    "or another name under datasets"
                )
    elif not path.exists() and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} holds other files: choose another --out or empty it")


def check_arms(plan: Plan) -> None:
    """Check that every arm names the models that it needs, and that these and own files exist.

    Raises:
        InputError: an arm names no model for a role, or there is no such model, or no such file.
    """
    for arm in plan.arms:
        if arm.method_file:
            hash_method_file(arm.method_file)
    for job in list_jobs(plan):
        for name in _list_models(job):
            check_model_exists(name)


def _list_models(job: Job) -> list[str]:
    """List the models that score or rewrite the text of a cell, and the reference of its loss."""
    if job.arm is None:
        return []
    roles = {role: getattr(job.augment, role) for role in list_needed_roles(job.augment)}
    for role, name in roles.items():
        if name is None:
            raise InputError(
                f"arms: {job.label!r} needs {role}: name a model under augment, such as "
                f"`augment: {{{role}: nano-large}}`"
            )
    if job.augment.endpoint:
        roles.pop("writer", None)
    return [name for name in (*roles.values(), job.settings.training.reference) if name]


def check_questions(plan: Plan, name: str, questions: list[Question], shots: list[Shot]) -> None:
    """Check that a dataset has the questions and the solved questions that a plan needs.

    Args:
        plan: what would ask them.
        name: of the dataset in the plan.
        questions: of the dataset.
        shots: of the dataset.

    Raises:
        InputError: there are none of the split, or too few for prompts or format replay.
    """
    select_asked(questions, plan.answering)
    if plan.sweep:
        _check_split(plan, plan.sweep, name, questions)
    counts = {job.settings.training.format_replay for job in list_jobs(plan)}
    for seed in {*plan.seeds, *(plan.sweep.seeds if plan.sweep else ())}:
        _, rest = split_shots(shots, plan.answering.num_shots, seed)
        for count in counts:
            sample_replay(rest, count, seed)


def _check_split(plan: Plan, sweep: SweepConfig, name: str, questions: list[Question]) -> None:
    """Raise InputError unless settings can be chosen on people whom the comparison leaves out."""
    split = SPLITS[sweep.protocol]
    if split == "dev" and plan.answering.split != "test":
        raise InputError(
            f"answering.split {plan.answering.split!r} and sweep.protocol 'best-on-dev': the "
            "comparison would ask about the people on whom settings were chosen: use split 'test'"
        )
    if split == "dev" and (shared := sorted({*plan.seeds} & {*sweep.seeds})):
        raise InputError(
            f"sweep.seeds and seeds share {', '.join(map(str, shared))}: a training that had luck "
            "with dev people would be compared, too: set other sweep.seeds, such as [1000, 1001]"
        )
    asked = [question for question in questions if question.split == split]
    if not asked:
        raise InputError(
            f"sweep: dataset {name!r} has no {split} questions to choose settings on: generate "
            "it with a dev_rate above 0"
        )
    if sweep.metric == "forced_choice" and not any(choose_distractors(asked).values()):
        raise InputError(
            f"sweep.metric 'forced_choice': the {split} questions of dataset {name!r} have no "
            "answers of two entities to choose between: set another metric, such as em"
        )
