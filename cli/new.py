"""`elusive new`: write a plan to start from."""

import shlex
from pathlib import Path

import click


@click.command()
@click.argument("plan", type=click.Path(path_type=Path))
def new(plan: Path) -> None:
    """Write a small plan to PLAN, with every setting explained.

    It compares four arms on the built-in models and runs as it stands. Settings that it does not
    use are comments with their defaults.

    \b
    elusive new my-plan.yaml
    """
    from elusive.evaluate.presets import write_new_plan

    write_new_plan(plan)
    command = f"elusive run {shlex.quote(str(plan))} --dry-run --out runs/mine"
    click.echo(f"wrote {plan}; `{command}` says what it costs")
