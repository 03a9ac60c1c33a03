"""`elusive biogen`: generate synthetic biographies with questions."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.fields import load_fields
from elusive.cli.options import add_config_options
from elusive.cli.sharing import (
    On,
    add_generator_options,
    count_workers,
    note_unused_by_preview,
    open_share,
    report_written,
    require_out,
)
from elusive.common.errors import validate_config
from elusive.common.text.counts import format_count

if TYPE_CHECKING:
    from elusive.common.dataset.shared_work import Share

MAX_QUESTIONS = 200
"""More questions than there are about one person."""


@click.command()
@add_config_options(BiogenConfig, leave_out=("own_fields",))
@click.option(
    "--field-file",
    type=click.Path(path_type=Path),
    help="YAML file with a list of your own fields: name, values, templates, questions.",
)
@add_generator_options("people")
def biogen(
    field_file: Path | None,
    workers: int | None,
    preview: int | None,
    on: On,
    address: str,
    tasks: int,
    changes: tuple[str, ...],
    out: Path | None,
    **settings: object,
) -> None:
    """Generate biographies of invented people, with questions.

    The position of every name and fact in the texts is known. If interrupted, rerun the same
    command to resume after the last finished shard. With --on slurm or ray, the command waits for
    the cluster; if it is ended, the cluster goes on, and the same command waits again.

    \b
    elusive biogen --people 100 --seed 0 --out data/people
    elusive biogen --preview 3 --wordings 43 --permute
    elusive biogen --people 100 --distance 10 --distance 40 --out data/distances
    elusive biogen --people 1000000 --middle-names --out data/million
    elusive biogen --people 1000000000 --middle-names --on slurm --tasks 50 --out /shared/billion
    elusive biogen --start 500000 --people 10 --middle-names --out data/part
    """
    own = load_fields(field_file) if field_file else ()
    config = validate_config(BiogenConfig, settings | {"own_fields": own})
    if preview:
        note_unused_by_preview()
        _show(config, preview)
    else:
        folder = require_out(out)
        share = open_share(folder, on, address, tasks, changes)
        _write(config, folder, count_workers(workers, share), share)


def _show(config: BiogenConfig, count: int) -> None:
    """Print the texts of the first people with their spans in color, and the questions."""
    from itertools import islice

    from elusive.biogen.biographies import generate_biographies
    from elusive.biogen.questions import generate_questions
    from elusive.cli.preview import print_documents

    documents = list(islice(generate_biographies(config), count * config.documents_per_person))
    first_questions = list(islice(generate_questions(config), count * MAX_QUESTIONS))
    print_documents(documents, first_questions)


def _write(config: BiogenConfig, out: Path, workers: int, share: "Share | None") -> None:
    from elusive.biogen.generate import generate_dataset
    from elusive.common.process.progress import open_bar

    hidden = share is not None  # tasks have a bar of their own
    with open_bar("biographies", "person", config.people, delay=1, disable=hidden) as bar:
        is_new = generate_dataset(config, out, workers, bar.update, share)
    report_written(out, is_new, "document", f" about {format_count(config.people, 'person')}")
