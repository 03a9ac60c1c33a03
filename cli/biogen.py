"""`elusive biogen`: synthetic biographies with questions."""

from pathlib import Path

import click

from elusive.biogen.config import BiogenConfig
from elusive.cli.options import config_options
from elusive.common.errors import validated


@click.command()
@config_options(BiogenConfig)
@click.option(
    "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
def biogen(workers: int, out: Path, **settings: object) -> None:
    """Invent people, write their biographies, and ask about them.

    \b
    elusive biogen --people 100 --seed 0 --out data/people
    elusive biogen --people 100 --name-position any --out data/anywhere
    """
    config = validated(BiogenConfig, settings)
    from tqdm import tqdm

    from elusive.biogen.generate import generate_dataset

    with tqdm(total=config.people, desc="biographies", unit="person", delay=1) as bar:
        made = generate_dataset(config, out, workers, bar.update)
    click.echo(f"{'wrote' if made else 'already there:'} {config.people} biographies in {out}")
