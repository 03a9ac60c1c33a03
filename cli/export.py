"""`elusive export`: write datasets and results in formats of other tools."""

import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from elusive.cli.options import list_given_options, note_unused
from elusive.common.errors import build_unknown_name_error


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "layout",
    required=True,
    help="jsonl, csv or parquet for a dataset or a training text; lm-eval or squad for a dataset; "
    "every-eval-ever for a run or a cell.",
)
@click.option(
    "--layout",
    "columns",
    default="rows",
    show_default=True,
    help="jsonl, csv, parquet: rows with all columns, the text to train on, or prompt-completion "
    "for the questions.",
)
@click.option(
    "--num-shots",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="lm-eval: number of solved questions before each question.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="lm-eval: chooses the solved questions, as in a cell of that seed.",
)
@click.option(
    "--split", default="test", show_default=True, help="lm-eval: ask dev, test or all questions."
)
@click.option(
    "--organization",
    default="unspecified",
    show_default=True,
    help="every-eval-ever: organization that ran the evaluation.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder or file to write."
)
def export(source: Path, layout: str, out: Path, **options: object) -> None:
    """Write a dataset or results in the format of another tool.

    SOURCE is a dataset, a training text, a run or a cell. jsonl, csv and parquet write one file per
    table, in layouts that TRL and Axolotl read, and Croissant metadata. lm-eval writes tasks for
    lm-evaluation-harness, with the same shots, prompts and scores as here. squad writes one file in
    the SQuAD 1.1 layout. every-eval-ever writes one record per cell, with its answers.

    \b
    elusive export data/people --format parquet --out exports/tables
    elusive export data/random --format jsonl --layout text --out exports/text
    elusive export data/people --format csv --layout prompt-completion --out exports/questions
    elusive export data/people --format lm-eval --out exports/people
    elusive export data/people --format squad --out exports/people.json
    elusive export runs/demo --format every-eval-ever --out exports/demo
    """
    if layout not in FORMATS:
        raise build_unknown_name_error("format", layout, FORMATS)
    if options["split"] not in ("dev", "test", "all"):
        raise build_unknown_name_error("split", str(options["split"]), ("dev", "test", "all"))
    from elusive.common.folders import check_not_within

    check_not_within(out)
    other = {name for names in USED_BY.values() for name in names} - {*USED_BY[layout]}
    idle = [name for name in list_given_options() if name in other]
    note_unused([OPTION_NAMES.get(name, name) for name in idle], f"the format {layout}")
    FORMATS[layout](source, out, options)


def _tables(source: Path, out: Path, options: dict, suffix: str) -> None:
    from elusive.report.export.tables import export_tables

    counts = export_tables(source, out, suffix, options["columns"])
    click.echo(f"{out}: " + ", ".join(f"{name} ({rows} rows)" for name, rows in counts.items()))


def _lm_eval(source: Path, out: Path, options: dict) -> None:
    from elusive.common.dataset.folder import load_dataset_folder
    from elusive.report.export.harness_task import export_harness_tasks

    dataset = load_dataset_folder(source)
    exported = export_harness_tasks(
        dataset, out, options["num_shots"], options["seed"], options["split"]
    )
    click.echo(
        f"{out}: {len(exported.tasks)} tasks, {exported.num_questions} questions; run them with"
    )
    click.echo(
        f"lm_eval run --model hf --model_args pretrained=MODEL --tasks {exported.group} "
        f"--include_path {shlex.quote(str(out))}"
    )


def _squad(source: Path, out: Path, options: dict) -> None:
    from elusive.report.export.squad_file import export_squad

    num_questions, left_out = export_squad(source, out)
    click.echo(f"{out}: {num_questions} questions")
    for reason, count in sorted(left_out.items()):
        if count:
            click.echo(f"left out: {count} {reason}")


def _every_eval_ever(source: Path, out: Path, options: dict) -> None:
    from elusive.evaluate.cells.cell_folder import find_cells
    from elusive.report.export.every_eval_ever import export_records

    records = export_records(find_cells(source), out, options["organization"])
    click.echo(f"{out}: {len(records)} records, such as {records[0].relative_to(out)}")


USED_BY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("jsonl", "csv", "parquet"), ("columns",)),
    "lm-eval": ("num_shots", "seed", "split"),
    "squad": (),
    "every-eval-ever": ("organization",),
}
"""Which options each format uses; their help says so, too."""
OPTION_NAMES = {"columns": "layout"}
FORMATS: dict[str, Callable[[Path, Path, dict], None]] = {
    **{suffix: partial(_tables, suffix=suffix) for suffix in ("jsonl", "csv", "parquet")},
    "lm-eval": _lm_eval,
    "squad": _squad,
    "every-eval-ever": _every_eval_ever,
}
