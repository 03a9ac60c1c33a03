"""`elusive run`: a grid of arms and seeds."""

from pathlib import Path

import click


@click.command()
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("--arm", "arms", multiple=True, help="Only this arm of the plan; once per arm.")
@click.option("--seed", "seeds", type=int, multiple=True, help="Only this seed of the plan.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
def run(plan: Path, arms: tuple[str, ...], seeds: tuple[int, ...], out: Path) -> None:
    """Run every cell of PLAN that OUT does not hold yet, then print the table.

    Interrupted, it keeps every finished cell; the same command goes on from there.

    \b
    elusive run presets/nano-demo.yaml --out runs/demo
    elusive run presets/nano.yaml --arm plain --arm oracle --seed 0 --out runs/nano
    """
    from elusive.evaluate.cell import load_cell
    from elusive.evaluate.run import load_plan, part_of_plan, run_plan
    from elusive.evaluate.table import RENDERERS, arm_rows

    folders = run_plan(part_of_plan(load_plan(plan), arms, seeds), out)
    rows = arm_rows([load_cell(folder) for folder in folders])
    for name, suffix in (("markdown", "md"), ("csv", "csv")):
        (out / f"table.{suffix}").write_text(RENDERERS[name](rows), encoding="utf-8")
    click.echo(RENDERERS["terminal"](rows))
    click.echo(f"dataset, training text, cells and tables: {out}")
