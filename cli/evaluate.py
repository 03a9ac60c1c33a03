"""`elusive evaluate`: train and score one cell."""

from pathlib import Path

import click
from pydantic import BaseModel

from elusive.cli.options import config_options, threads_option
from elusive.common.errors import validated
from elusive.evaluate.config import AnsweringConfig, RunSettings, TrainingConfig


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--train",
    type=click.Path(path_type=Path),
    help="Folder of the training text; without it, the model before training is asked.",
)
@click.option(
    "--model",
    required=True,
    help="Model to train: Hub id, local folder, GGUF file or alias; or its name at the endpoint.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Seed of adapter, order, shots and replay.",
)
@click.option(
    "--adapter",
    type=click.Path(path_type=Path),
    help="Folder of a finished adapter (PEFT) that is scored, in place of training one.",
)
@click.option(
    "--known",
    type=click.Path(path_type=Path),
    help="Dataset folder of what the model knew before: does it forget?",
)
@click.option("--label", help="Name in tables; the method's name if not given.")
@config_options(TrainingConfig)
@config_options(AnsweringConfig)
@threads_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the cell.")
def evaluate(
    dataset: Path,
    train: Path | None,
    model: str,
    seed: int,
    adapter: Path | None,
    known: Path | None,
    label: str | None,
    threads: int | None,
    out: Path,
    **settings: object,
) -> None:
    """Train LoRA on the training text, ask DATASET's questions closed-book, score the answers.

    \b
    elusive evaluate data/people --train data/random --model nano-large --out runs/random
    elusive evaluate data/people --model nano-large --out runs/untrained
    elusive evaluate data/people --model nano-large --adapter runs/random/adapter --out runs/again
    elusive evaluate data/people --model SERVED --endpoint http://localhost:8000/v1 --out runs/vllm
    """
    training = validated(TrainingConfig, _named_in(TrainingConfig, settings))
    answering = validated(AnsweringConfig, _named_in(AnsweringConfig, settings))
    from elusive.evaluate.compare.table import find_cells, results
    from elusive.evaluate.compare.table_columns import RENDERERS
    from elusive.evaluate.run import run_one

    cell_settings = validated(
        RunSettings, {"training": training, "answering": answering, "threads": threads}
    )
    run_one(dataset, train, model, seed, label, cell_settings, out, known, adapter)
    click.echo(RENDERERS["terminal"](results(find_cells(out))))
    click.echo(f"adapter, predictions, metrics and costs: {out}")


def _named_in(config: type[BaseModel], settings: dict[str, object]) -> dict[str, object]:
    """The settings that are fields of a config."""
    return {name: settings[name] for name in config.model_fields}
