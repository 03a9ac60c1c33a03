"""`elusive pretrain`: train a family of small models from scratch."""

from pathlib import Path

import click

from elusive.cli.options import add_set_option


@click.command()
@click.argument("plan", type=click.Path(path_type=Path))
@add_set_option("Change a setting of the plan, such as seed=1; repeat it for more.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
def pretrain(plan: Path, changes: tuple[str, ...], out: Path) -> None:
    """Train a family of small models from scratch.

    The models of PLAN learn biographies of invented people and questions about them. If
    interrupted, rerun the same command to resume from the last checkpoint.

    \b
    elusive pretrain presets/nano-family.yaml --out models
    elusive pretrain presets/nano-fixed.yaml --set seed=1 --out models/fixed-1
    """

    from elusive.common.process.progress import open_bar
    from elusive.models.config import load_pretrain_plan
    from elusive.models.family import pretrain_family

    settings = load_pretrain_plan(plan, changes)
    total = settings.tokens * len(settings.models)
    with open_bar("pretraining", "token", total, unit_scale=True) as bar:

        def show(name: str, count: int) -> None:
            bar.set_description(name)
            bar.update(count)

        folders = pretrain_family(settings, out, show)
    for folder in folders:
        click.echo(f"model: {folder}")
