"""`elusive evaluate`: train and score one cell."""

from pathlib import Path

import click
from pydantic import BaseModel

from elusive.cli.options import (
    add_config_options,
    add_device_options,
    list_given_options,
    note_unused,
    render_arms,
    threads_option,
)
from elusive.common.errors import validate_config
from elusive.evaluate.config import AnsweringConfig, CellSettings, TrainingConfig, check_shared
from elusive.evaluate.engines.resources import Resources


@click.command(epilog=render_arms("objective"))
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--train",
    type=click.Path(path_type=Path),
    help="Folder of the training text; without it, the model is asked before training.",
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
    help="Seed of the adapter, the order of texts, the shots and the replay.",
)
@click.option(
    "--adapter",
    type=click.Path(path_type=Path),
    help="Folder of a finished PEFT adapter to score instead of training one.",
)
@click.option(
    "--known",
    type=click.Path(path_type=Path),
    help="Dataset of what the model knew before training, to measure what it forgets.",
)
@click.option("--label", help="Name of the arm in tables; by default the method.")
@add_config_options(TrainingConfig)
@add_config_options(AnsweringConfig)
@add_device_options("placement", "processes")
@threads_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
def evaluate(
    dataset: Path,
    train: Path | None,
    model: str,
    seed: int,
    adapter: Path | None,
    known: Path | None,
    label: str | None,
    placement: str,
    processes: int,
    threads: int | None,
    out: Path,
    **settings: object,
) -> None:
    """Train a model, ask it about DATASET, and score its answers.

    Training is LoRA by default; questions are asked closed-book, after a few solved ones.

    \b
    elusive evaluate data/people --train data/random --model nano-large --out runs/random
    elusive evaluate data/people --model nano-large --out runs/untrained
    elusive evaluate data/people --model nano-large --adapter runs/random/adapter --out runs/again
    elusive evaluate data/people --model SERVED --endpoint http://localhost:8000/v1 --out runs/vllm
    """
    training = validate_config(TrainingConfig, _named_in(TrainingConfig, settings))
    _note_unused(training, train)
    answering = validate_config(AnsweringConfig, _named_in(AnsweringConfig, settings))
    cell_settings = validate_config(
        CellSettings, {"training": training, "answering": answering, "threads": threads}
    )
    devices = validate_config(Resources, {"placement": placement, "processes": processes}).devices
    check_shared(training, processes, is_trained=train is not None)
    from elusive.common.process.progress import announce_loading
    from elusive.evaluate.checks.inputs import check_cell_inputs

    check_cell_inputs(dataset, train, model, cell_settings, out, known, adapter)
    announce_loading()
    from elusive.evaluate.cells.cell_folder import find_cells
    from elusive.evaluate.run import evaluate_cell
    from elusive.evaluate.tables.formats import RENDERERS
    from elusive.evaluate.tables.table import build_table

    evaluate_cell(dataset, train, model, seed, label, cell_settings, out, known, adapter, devices)
    click.echo(RENDERERS["terminal"](build_table(find_cells(out))))
    trained = "" if train is None else "adapter, " if training.tuning == "lora" else "model, "
    click.echo(f"wrote {trained}predictions, metrics and costs to {out}")


def _note_unused(training: TrainingConfig, train: Path | None) -> None:
    """Say which given settings of training have no effect."""
    given = list_given_options()
    if train:
        note_unused(training.list_unused(given), f"the objective {training.objective}")
        return
    idle = TrainingConfig.model_fields.keys() - {"quantization"}
    note_unused([name for name in given if name in idle], "evaluating without --train")


def _named_in(config: type[BaseModel], settings: dict[str, object]) -> dict[str, object]:
    """The settings that are fields of a config."""
    return {name: settings[name] for name in config.model_fields}
