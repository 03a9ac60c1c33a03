"""`elusive look`: a page that shows what arms see and drop."""

from pathlib import Path

import click

from elusive.augment.config import AugmentConfig
from elusive.cli.options import config_options


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--method",
    "methods",
    multiple=True,
    help="Arm to show, once per arm. Without it random, attention and depth-contrast if there is "
    "a --model, and contrast if there are --large and --small.",
)
@config_options(AugmentConfig, leave_out=("method", "method_file", "copies"))
@click.option(
    "--copies", type=int, default=3, show_default=True, help="Copies beside each original."
)
@click.option(
    "--limit", type=int, default=20, show_default=True, help="Only the first LIMIT documents."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="HTML file to write.")
def look(
    dataset: Path, methods: tuple[str, ...], limit: int, out: Path, **settings: object
) -> None:
    """Show the tokens of DATASET colored by score beside their copies, in one HTML file.

    The copies are those that `elusive augment` writes with the same settings. The file needs no
    network and runs in any browser.

    \b
    elusive look data/people --model nano-large --out look.html
    elusive look data/people --model nano-large --large nano-large --small nano-small --out all.html
    elusive look data/people --method random --method oracle --alpha 0.5 --out oracle.html
    """
    from elusive.augment.look import look_at

    page = look_at(dataset, methods, settings, limit, out)
    names = ", ".join(arm["method"] for arm in page["arms"])
    click.echo(f"wrote {len(page['documents'])} documents under {names} to {out}")
