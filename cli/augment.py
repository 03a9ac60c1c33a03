"""`elusive augment`: write the training text of one arm."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from elusive.augment.config import AugmentConfig
from elusive.cli.options import (
    add_config_options,
    add_device_options,
    list_given_options,
    note_unused,
    render_arms,
    threads_option,
)
from elusive.cli.sharing import On, add_sharing_options, open_share
from elusive.common.errors import InputError, validate_config
from elusive.common.large.devices import Devices
from elusive.common.text.counts import format_count
from elusive.evaluate.engines.resources import Resources

if TYPE_CHECKING:
    from elusive.common.dataset.shared_work import Share


@click.command(epilog=render_arms("score", "rewrite"))
@click.argument("dataset", type=click.Path(path_type=Path))
@add_config_options(AugmentConfig)
@click.option("--limit", type=int, help="Read only the first LIMIT documents.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of processes of each task, each with the models of the arm.",
)
@add_device_options("placement", "processes")
@add_sharing_options
@threads_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
def augment(
    dataset: Path,
    limit: int | None,
    workers: int,
    placement: str,
    processes: int,
    threads: int | None,
    on: On,
    address: str,
    tasks: int,
    changes: tuple[str, ...],
    out: Path,
    **settings: object,
) -> None:
    """Write the training text of one arm.

    It holds each document of DATASET, followed by copies that the arm has changed; most arms drop
    tokens. If interrupted, rerun the same command to resume after the last finished shard of 4,096
    documents. With --on slurm or ray, the command waits for the cluster; if it is ended, the
    cluster goes on, and the same command waits again.

    \b
    elusive augment data/people --method random --out data/random
    elusive augment data/people --method restate --restate-by named-subject \\
      --restate-in pronouns --rewrite permute --out data/named
    elusive augment data/people --method-file my_arms.py:vowels --model nano-large --out data/mine
    elusive augment data/people --method depth-contrast --model nano-large --out data/depth
    elusive augment data/people --method contrast --large nano-large --small nano-small --out data/c
    elusive augment data/people --method attention --model meta-llama/Meta-Llama-3-70B \\
      --placement auto --out data/attention
    elusive augment data/people --method random --on slurm --tasks 8 --out /shared/random
    """
    config = validate_config(AugmentConfig, settings)
    note_unused(config.list_unused(list_given_options()), f"the arm {config.method}")
    devices = validate_config(Resources, {"placement": placement, "processes": processes}).devices
    if devices.is_large and workers > 1:
        raise InputError(
            f"--workers {workers} would load the models {workers} times: leave it out with "
            "--placement auto or --processes"
        )
    share = open_share(out, on, address, tasks, changes, devices)
    is_new = _write(dataset, limit, config, out, workers, devices, threads, share)
    _report(out, config, is_new)


def _write(
    dataset: Path,
    limit: int | None,
    config: AugmentConfig,
    out: Path,
    workers: int,
    devices: Devices,
    threads: int | None,
    share: "Share | None",
) -> bool:
    """Write the training text and return whether it is new; all is checked before models load."""
    from elusive.augment.scores.inputs import check_augment_inputs
    from elusive.common.dataset.folder import load_dataset_folder
    from elusive.common.process.progress import announce_loading, open_bar

    check_augment_inputs(config)
    folder = load_dataset_folder(dataset, limit)
    announce_loading()
    from elusive.augment.augment import augment_dataset
    from elusive.augment.scores.arm_scores import build_scorers

    scorers, total = build_scorers(config, devices, threads), folder.count_documents()
    hidden = share is not None  # tasks have a bar of their own
    with open_bar("documents", "doc", total, delay=1, disable=hidden) as bar:
        return augment_dataset(folder, config, out, workers, scorers, bar.update, share)


def _report(out: Path, config: AugmentConfig, is_new: bool) -> None:
    """Print what was written, what it took, and what may be wrong with it."""
    from elusive.augment.training_text import TrainingTextFolder

    summary = TrainingTextFolder(out).summary
    seconds = ", ".join(f"{stage} {time:.1f} s" for stage, time in summary.seconds.items())
    unchanged = summary.diagnostics.num_unchanged
    texts = format_count(summary.num_texts, "text")
    click.echo(
        f"{'wrote' if is_new else 'already there:'} {texts} in {out}; "
        f"{summary.drop_rate:.1%} of the copies' tokens dropped; "
        f"{f'copies that equal their original: {unchanged}; ' if unchanged else ''}{seconds}"
    )
    if line := summary.diagnostics.describe_restated():
        click.echo(line)
    for line in summary.diagnostics.list_warnings(config.method):
        click.echo(f"warning: {line}", err=True)
