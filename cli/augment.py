"""`elusive augment`: training text of one arm."""

from pathlib import Path

import click

from elusive.augment.config import AugmentConfig
from elusive.cli.options import config_options, threads_option
from elusive.common.errors import validated


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@config_options(AugmentConfig)
@click.option("--limit", type=int, help="Only the first LIMIT documents.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that drop tokens.",
)
@threads_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
def augment(
    dataset: Path,
    limit: int | None,
    workers: int,
    threads: int | None,
    out: Path,
    **settings: object,
) -> None:
    """Turn each document of DATASET into its original and copies with tokens dropped.

    \b
    elusive augment data/people --method random --out data/random
    elusive augment data/people --method-file my_arms.py:vowels --model nano-large --out data/mine
    elusive augment data/people --method depth-contrast --model nano-large --out data/depth
    elusive augment data/people --method contrast --large nano-large --small nano-small --out data/c
    """
    config = validated(AugmentConfig, settings)
    from elusive.augment.augment import augment_dataset, read_summary
    from elusive.augment.scores.scorers import Scorers
    from elusive.common.dataset.folder import load_dataset_folder

    scorers = Scorers(config, threads=threads)
    made = augment_dataset(load_dataset_folder(dataset, limit), config, out, workers, scorers)
    summary = read_summary(out)
    seconds = ", ".join(f"{stage} {time:.1f} s" for stage, time in summary.seconds.items())
    click.echo(
        f"{'wrote' if made else 'already there:'} {summary.num_texts} texts in {out}; "
        f"{summary.drop_rate:.1%} of the copies' tokens dropped; {seconds}"
    )
    for line in summary.diagnostics.warnings(config.method):
        click.echo(f"warning: {line}", err=True)
