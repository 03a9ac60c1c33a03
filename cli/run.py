"""`elusive run`: a grid of arms and seeds."""

import sys
from pathlib import Path

import click


@click.command()
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("--arm", "arms", multiple=True, help="Only this arm of the plan; once per arm.")
@click.option("--seed", "seeds", type=int, multiple=True, help="Only this seed of the plan.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option("--dry-run", is_flag=True, help="Only say what would be run, and what it would cost.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
def run(
    plan: Path, arms: tuple[str, ...], seeds: tuple[int, ...], jobs: int, dry_run: bool, out: Path
) -> None:
    """Run every cell of PLAN that OUT does not hold yet, then print the table.

    Interrupted, it keeps every finished cell; the same command goes on from there, also on several
    machines that share OUT. Cells that fail are listed in the end, with exit code 1. PLAN is a
    file, or the name of one that comes with the package: nano-demo, nano-grid, nano, smollm2,
    verify-attention, test-augmentation, ablation, layer-ablation, cross-dataset, clue-correlation,
    or the paper's own models: paper-gemma2-2b, paper-gemma2-9b, paper-llama3-8b, paper-llama3-70b.

    \b
    elusive run nano-demo --out runs/demo
    elusive run test-augmentation --out runs/augmentation
    elusive run presets/nano.yaml --arm plain --arm oracle --seed 0 --out runs/nano
    elusive run presets/nano.yaml --dry-run --out runs/nano
    elusive run presets/nano.yaml --jobs 4 --out runs/nano
    """
    from elusive.evaluate.plans import load_plan, part_of_plan
    from elusive.evaluate.run import run_plan

    chosen = part_of_plan(load_plan(plan), arms, seeds)
    if dry_run:
        from elusive.evaluate.dry_run import render_estimate

        click.echo(render_estimate(chosen, out), nl=False)
        return
    result = run_plan(chosen, out, jobs)
    if result.folders:
        _write_tables(result.folders, out)
    click.echo(f"datasets, training text, cells and tables: {out}")
    for folder in result.made:
        click.echo(f"{folder.relative_to(out).parts[0]}: {folder}")
    for failure in result.failures:
        click.echo(f"failed: {failure.cell}: {failure.error}", err=True)
    if result.failures:
        count = len(result.failures)
        click.echo(f"{count} failed, details in {out / 'failed'}; run again to retry", err=True)
        sys.exit(1)


def _write_tables(folders: list[Path], out: Path) -> None:
    """The tables of all arms that are finished, on the screen and in files."""
    from elusive.evaluate.cells.cell import load_cell
    from elusive.evaluate.compare.table import tables
    from elusive.evaluate.compare.table_columns import render_tables

    found = tables([load_cell(folder) for folder in folders])
    for layout, suffix in (("markdown", "md"), ("csv", "csv")):
        (out / f"table.{suffix}").write_text(render_tables(found, layout), encoding="utf-8")
    click.echo(render_tables(found, "terminal"))
