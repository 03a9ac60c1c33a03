"""Make the cells of a grid on a cluster, their training texts first."""

from pathlib import Path

from elusive.augment.scores.inputs import list_needed_roles
from elusive.common.dataset.shards import is_finished
from elusive.common.errors import InputError
from elusive.evaluate.engines.cluster import Cluster, complete_tasks
from elusive.evaluate.engines.failures import Failure, build_failure, print_warning
from elusive.evaluate.engines.resources import Resources
from elusive.evaluate.engines.tasks import RunTask
from elusive.evaluate.jobs import Job
from elusive.evaluate.plans import Plan
from elusive.evaluate.run_folder import RunFolder


def make_on_cluster(cluster: Cluster, run: RunFolder, todo: list[Job], shown: str) -> None:
    """Make the cells that a folder lacks, their training texts first.

    Tasks that are already on the cluster are not submitted again, so the command can be ended and
    started again. A task whose node is lost is submitted again; what fails is recorded.

    Args:
        cluster: where to make them.
        run: folder of the cells; every machine of the cluster must share it.
        todo: the cells.
        shown: name of the progress bar.

    Raises:
        InputError: the cluster cannot be reached or refuses the tasks.
    """
    texts = _list_texts(run, todo)
    missing = [tasks[0] for tasks in texts.values() if not run.keeps_text(tasks[0].folder)]
    try:
        complete_tasks(cluster, missing, "training texts")
        _share_failures(run, texts)
        cells = _list_cells(run, todo)
        unfinished = []
        for task in cells:
            if run.keeps_cell(task.folder):
                run.forget_failure(task.job)
            else:
                unfinished.append(task)
        complete_tasks(cluster, unfinished, shown, len(todo))
        if missing or unfinished:
            cluster.close()
    except KeyboardInterrupt:
        print_warning(cluster.describe_running())
        raise


def _list_texts(run: RunFolder, todo: list[Job]) -> dict[Path, list[RunTask]]:
    """List the tasks of training texts by folder, one for each cell that trains on it."""
    texts: dict[Path, list[RunTask]] = {}
    for job in todo:
        try:
            if folder := run.find_text_folder(job):
                texts.setdefault(folder, []).append(_build_task(run, job, "text", folder))
        except InputError as error:
            run.record(build_failure(job.name, error))
    return texts


def _share_failures(run: RunFolder, texts: dict[Path, list[RunTask]]) -> None:
    """Record the failure of a training text for all cells that train on it."""
    for folder, (first, *others) in texts.items():
        if is_finished(folder) or not (failure := run.find_failure(first.job)):
            continue
        for task in others:
            run.record(Failure(task.job.name, failure.error, failure.details))


def _list_cells(run: RunFolder, todo: list[Job]) -> list[RunTask]:
    """List the tasks of all cells whose training text is there."""
    tasks = []
    for job in todo:
        try:
            text = run.find_text_folder(job)
            if text is None or is_finished(text):
                tasks.append(_build_task(run, job, "cell", run.find_cell_folder(job)))
        except InputError as error:
            run.record(build_failure(job.name, error))
    return tasks


def _build_task(run: RunFolder, job: Job, kind: str, folder: Path) -> RunTask:
    resources = choose_resources(run.plan, job, kind == "cell")
    root = run.root.resolve()
    out = root / run.out.relative_to(run.root)
    folder = out / folder.relative_to(run.out)
    return RunTask(kind, job, folder, run.plan, root, out, Path.cwd(), resources)  # type: ignore


def choose_resources(plan: Plan, job: Job, is_cell: bool) -> Resources:
    """Choose the resources of a cell, or of its training text.

    A text gets those of its scoring model if that one needs several devices; else it gets no GPU.
    """
    roles = list_needed_roles(job.augment) if job.arm and not is_cell else ()
    for model in filter(None, (getattr(job.augment, role) for role in roles)):
        resources = plan.resources.get_for(model)
        if resources.devices.is_large:
            return resources
    return plan.resources.get_for(job.model, has_gpus=is_cell)
