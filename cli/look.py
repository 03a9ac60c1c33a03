"""`elusive look`: show on a page what arms score and drop."""

from pathlib import Path

import click

from elusive.augment.config import AugmentConfig
from elusive.cli.options import add_config_options, add_list_option


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@add_list_option(
    "--method",
    "methods",
    help="Arms to show. By default random, with --model also attention and "
    "depth-contrast, with --large and --small also contrast.",
)
@add_config_options(AugmentConfig, leave_out=("method", "method_file", "copies"))
@click.option(
    "--copies", type=int, default=3, show_default=True, help="Copies beside each original."
)
@click.option(
    "--limit", type=int, default=20, show_default=True, help="Show only the first LIMIT documents."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="HTML file to write.")
def look(
    dataset: Path, methods: tuple[str, ...], limit: int, out: Path, **settings: object
) -> None:
    """Show on one page what each arm scores and drops.

    The page has the texts of DATASET with tokens colored by score, beside their copies. The copies
    are those that `elusive augment` writes with the same settings. The page is one HTML file that
    opens in any browser and needs no network.

    \b
    elusive look data/people --model nano-large --out look.html
    elusive look data/people --model nano-large --large nano-large --small nano-small --out all.html
    elusive look data/people --method random --method oracle --alpha 0.5 --out oracle.html
    """
    from elusive.augment.look import write_look_page

    page = write_look_page(dataset, methods, settings, limit, out)
    names = ", ".join(arm["method"] for arm in page["arms"])
    click.echo(f"wrote {len(page['documents'])} documents under {names} to {out}")
