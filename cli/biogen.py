"""`elusive biogen`: synthetic biographies with questions."""

import os
from pathlib import Path

import click

from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.fields import load_fields
from elusive.cli.options import config_options
from elusive.common.errors import InputError, validated

MAX_QUESTIONS = 200
"""More than there are about one person."""


@click.command()
@config_options(BiogenConfig, leave_out=("own_fields",))
@click.option(
    "--field-file",
    type=click.Path(path_type=Path),
    help="YAML list of fields of your own: name, values, templates, questions.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes; all cores if not given.")
@click.option("--preview", type=click.IntRange(min=1), help="Show so many people, write nothing.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write.")
def biogen(
    field_file: Path | None,
    workers: int | None,
    preview: int | None,
    out: Path | None,
    **settings: object,
) -> None:
    """Invent people, write their biographies, and ask about them.

    Interrupted, the same command goes on from the last finished shard.

    \b
    elusive biogen --people 100 --seed 0 --out data/people
    elusive biogen --preview 3 --wordings 43 --permute
    elusive biogen --people 100 --distance 10 --distance 40 --out data/distances
    elusive biogen --people 1000000 --middle-names --out data/million
    elusive biogen --start 500000 --people 10 --middle-names --out data/part
    """
    own = load_fields(field_file) if field_file else ()
    config = validated(BiogenConfig, settings | {"own_fields": own})
    if preview:
        _show(config, preview)
    elif out is None:
        raise InputError(
            "say where to write with --out DIR, or look at some texts with --preview 3"
        )
    else:
        _write(config, out, workers or len(os.sched_getaffinity(0)))


def _show(config: BiogenConfig, count: int) -> None:
    """Print the texts and questions of the first people, spans in color."""
    from itertools import islice

    from elusive.biogen.biographies import biographies
    from elusive.biogen.questions import questions
    from elusive.cli.preview import print_documents

    documents = list(islice(biographies(config), count * config.documents_per_person))
    asked = list(islice(questions(config), count * MAX_QUESTIONS))
    print_documents(documents, asked)


def _write(config: BiogenConfig, out: Path, workers: int) -> None:
    """Write the dataset with a progress bar."""
    from tqdm import tqdm

    from elusive.biogen.generate import generate_dataset
    from elusive.common.dataset.folder import num_rows

    with tqdm(total=config.people, desc="biographies", unit="person", delay=1) as bar:
        made = generate_dataset(config, out, workers, bar.update)
    rows = num_rows(out)
    click.echo(
        f"{'wrote' if made else 'already there:'} {out}, {rows['corpus']} documents about "
        f"{config.people} people, {rows['questions']} questions, {rows['shots']} shots"
    )
