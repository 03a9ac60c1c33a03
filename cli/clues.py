"""`elusive clues`: measure how well scores find the clues of a dataset."""

from pathlib import Path

import click

from elusive.cli.options import add_device_options, add_list_option
from elusive.common.errors import validate_config
from elusive.evaluate.engines.resources import Resources


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@add_list_option(
    "--model",
    "models",
    required=True,
    help="Models whose attention is read, the larger first. Each pair is also contrasted.",
)
@click.option(
    "--depth",
    type=float,
    default=0.5,
    show_default=True,
    help="Share of the layers, counted from the first, that depth-contrast subtracts.",
)
@click.option(
    "--words",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Most words of the spans among which a sentence's clue is sought.",
)
@add_list_option(
    "--head",
    "heads",
    help="Heads of the first model that get a row of their own by sentence, such as 16.5 for layer "
    "16 and head 5, counted from 0.",
)
@add_device_options("placement")
@click.option("--limit", type=int, help="Read only the first LIMIT documents.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
def clues(
    dataset: Path,
    models: tuple[str, ...],
    depth: float,
    words: int,
    heads: tuple[str, ...],
    placement: str,
    limit: int | None,
    out: Path,
) -> None:
    """Measure how well attention finds the clues in DATASET.

    Clues are names, values and relation words. Reports AUROC, mean rank and recall in the top 10 of
    each score, by field and distance, with intervals; the same for each layer alone; and how well
    two halves of the heads agree. A second table takes each sentence that does not have the name,
    and tells how often the earlier words that it attends to most are the name, and how much more
    often than the last subject, which takes no model to find. If the name opens every text,
    position alone finds it: compare with a dataset made with --name-position any.

    \b
    elusive clues data/people --model nano-large --model nano-small --out runs/clues
    elusive clues data/people --model smollm2-135m --head 16.5 --out runs/head
    """
    devices = validate_config(Resources, {"placement": placement}).devices
    from elusive.augment.clues.folder import write_clues
    from elusive.augment.clues.heads import parse_head
    from elusive.augment.clues.report import render_terminal
    from elusive.common.dataset.folder import load_dataset_folder

    asked = [parse_head(head) for head in heads]
    folder = load_dataset_folder(dataset, limit)
    report = write_clues(folder, list(models), depth, out, words, devices, asked)
    click.echo(render_terminal(report))
    click.echo(f"wrote all rows, tables and the picture to {out}")
