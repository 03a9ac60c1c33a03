"""`elusive run`: run a grid of arms and seeds."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from elusive.cli.options import add_list_option, add_set_option
from elusive.cli.sharing import On, add_on_options

if TYPE_CHECKING:
    from elusive.evaluate.plans import Plan
    from elusive.evaluate.run import RunResult


@click.command()
@click.argument("plan", type=click.Path(path_type=Path))
@add_list_option("--arm", "arms", help="Run only these arms of the plan.")
@add_list_option("--seed", "seeds", of=int, help="Run only these seeds of the plan.")
@add_on_options("cells are made, each with the plan's resources")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Cells at the same time; by default as many as cores, memory and work allow, and on a "
    "cluster as many as it has room for.",
)
@add_set_option("Change a setting of the plan, such as training.corrupt=mask; repeat it for more.")
@click.option("--dry-run", is_flag=True, help="Only print what would run, and what it would cost.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
def run(
    plan: Path,
    arms: tuple[str, ...],
    seeds: tuple[int, ...],
    on: On,
    address: str,
    jobs: int | None,
    changes: tuple[str, ...],
    dry_run: bool,
    out: Path,
) -> None:
    """Run all cells of PLAN that OUT lacks, then print a table.

    If interrupted, rerun the same command to resume: every finished cell is kept. Several machines
    that share OUT can run it at the same time. Cells that fail are listed at the end, with exit
    code 1. With --on slurm or ray, the command waits for the cluster; if it is ended, the cluster
    goes on, and the same command waits again. PLAN is a file, or the name of a plan that comes with
    the package, which `elusive presets` lists. Relative folders in a plan start at the folder of
    its file, those of a named plan at the working directory.

    \b
    elusive run nano-demo --out runs/demo
    elusive run test-augmentation --out runs/augmentation
    elusive run presets/nano.yaml --arm plain --arm oracle --seed 0 --out runs/nano
    elusive run presets/nano.yaml --dry-run --out runs/nano
    elusive run presets/nano.yaml --jobs 4 --out runs/nano
    elusive run clue-correlation --set training.corrupt=unseen --out runs/unseen
    elusive run paper-gemma2-2b --on slurm --set resources.gpus=1 --out /shared/runs/gemma
    """
    from elusive.common.process.progress import announce_loading
    from elusive.evaluate.checks.inputs import check_plan_inputs
    from elusive.evaluate.checks.unused_settings import list_unused_settings
    from elusive.evaluate.plans import load_plan, select_part

    whole = load_plan(plan, changes)
    chosen = select_part(whole, arms, seeds)
    check_plan_inputs(chosen)
    for line in list_unused_settings(whole):
        click.echo(f"note: {line}", err=True)
    if on == "local" and not dry_run:
        _check_memory(chosen)
        jobs = jobs or _choose_jobs(chosen)
        _start_workers(chosen, jobs, out)
    announce_loading()
    from elusive.evaluate.engines.engine import Engine
    from elusive.evaluate.run import run_plan

    engine = Engine(on, jobs, address)
    if dry_run:
        from elusive.evaluate.dry_run import render_estimate

        check = partial(engine.check, with_memory=False)  # the estimate shows the memory
        click.echo(render_estimate(chosen, out, check), nl=False)
        return
    result = run_plan(whole, out, engine=engine, part=chosen)
    _show_result(result, chosen, out, is_whole=chosen == whole)
    if result.failures:
        sys.exit(1)


def _check_memory(plan: "Plan") -> None:
    """Refuse models that do not fit before their weights are fetched."""
    from elusive.common.lm.references import is_on_hub

    if any(is_on_hub(model) for model in plan.trained):
        from elusive.evaluate.checks.memory import check_memory

        check_memory(plan, on_this_machine=True)


def _choose_jobs(plan: "Plan") -> int:
    """Choose the number of processes on this machine, and say so."""
    from elusive.evaluate.engines.side_by_side import (
        choose_processes,
        look_at_machine,
        measure_load,
        render_choice,
    )

    load, machine = measure_load(plan), look_at_machine()
    processes = choose_processes(load, machine)
    click.echo(f"elusive: {render_choice(load, machine, processes)}", err=True)
    return processes


def _start_workers(plan: "Plan", jobs: int, out: Path) -> None:
    """Let worker processes import what they need while this one does the same."""
    from elusive.evaluate.engines.side_by_side import is_there, start_importing

    if jobs > 1 and not is_there(plan, out):
        start_importing()


def _show_result(result: "RunResult", plan: "Plan", out: Path, is_whole: bool) -> None:
    """Print the tables, what else was made, and, even if a table cannot be made, what failed.

    A part of a plan leaves the tables in files, which may be of the whole, as they are.
    """
    try:
        if result.folders:
            _show_tables(result.folders, out if is_whole else None)
            kinds = "training text, cells and tables" if is_whole else "training text and cells"
            click.echo(f"wrote datasets, {kinds} to {out}")
        for folder in result.follow_ups:
            click.echo(f"{folder.relative_to(out).parts[0]}: {folder}")
        if "report" in plan.then and result.folders:
            from elusive.cli.report import PAGE, write_report

            write_report((out,), out / PAGE)
    finally:
        _show_failures(result, out)


def _show_failures(result: "RunResult", out: Path) -> None:
    for failure in result.failures:
        click.echo(f"failed: {failure.cell}: {failure.error}", err=True)
    if result.failures:
        count = len(result.failures)
        click.echo(f"{count} failed, see {out / 'failed'}; rerun to retry", err=True)


def _show_tables(folders: list[Path], out: Path | None) -> None:
    """Print the tables of all finished arms, and write them to files of a folder, if any."""
    from elusive.evaluate.cells.cell_folder import load_cell
    from elusive.evaluate.tables.formats import render_tables
    from elusive.evaluate.tables.table import build_tables

    tables = build_tables([load_cell(folder) for folder in folders])
    if out:
        for layout, suffix in (("markdown", "md"), ("csv", "csv")):
            (out / f"table.{suffix}").write_text(render_tables(tables, layout), encoding="utf-8")
    click.echo(render_tables(tables, "terminal"))
