"""`elusive export`: datasets and results in the formats of others."""

from collections.abc import Callable
from pathlib import Path

import click

from elusive.common.errors import InputError, unknown_name


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "layout",
    required=True,
    help="lm-eval or squad of a dataset, every-eval-ever of a run or a cell.",
)
@click.option(
    "--num-shots",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="lm-eval: solved questions before each one.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="lm-eval: decides which, as in a cell."
)
@click.option(
    "--split", default="test", show_default=True, help="lm-eval: questions of dev, test or all."
)
@click.option(
    "--organization",
    default="unspecified",
    show_default=True,
    help="every-eval-ever: who ran the evaluation.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder or file.")
def export(source: Path, layout: str, out: Path, **options: object) -> None:
    """Write SOURCE, a dataset, a run or a cell, in a format that other tools read.

    lm-eval: tasks of lm-evaluation-harness, with the same shots, prompts and scores as here.
    squad: one file in SQuAD 1.1 layout. every-eval-ever: a record per cell, with its answers.

    \b
    elusive export data/people --format lm-eval --out exports/people
    elusive export data/people --format squad --out exports/people.json
    elusive export runs/demo --format every-eval-ever --out exports/demo
    """
    if layout not in FORMATS:
        raise unknown_name("format", layout, FORMATS)
    if options["split"] not in ("dev", "test", "all"):
        raise unknown_name("split", str(options["split"]), ("dev", "test", "all"))
    FORMATS[layout](source, out, options)


def _lm_eval(source: Path, out: Path, options: dict) -> None:
    """Tasks of lm-evaluation-harness."""
    from elusive.common.dataset.folder import load_dataset_folder
    from elusive.report.export.harness_task import export_harness_tasks

    dataset = load_dataset_folder(source)
    made = export_harness_tasks(
        dataset, out, options["num_shots"], options["seed"], options["split"]
    )
    click.echo(f"{out}: {len(made.tasks)} tasks, {made.num_questions} questions; run them with")
    click.echo(
        f"lm_eval run --model hf --model_args pretrained=MODEL --tasks {made.group} "
        f"--include_path {out}"
    )


def _squad(source: Path, out: Path, options: dict) -> None:
    """A file in SQuAD layout."""
    from elusive.report.export.squad_file import export_squad

    written, left_out = export_squad(source, out)
    click.echo(f"{out}: {written} questions")
    for reason, count in sorted(left_out.items()):
        if count:
            click.echo(f"left out: {count}, {reason}")


def _every_eval_ever(source: Path, out: Path, options: dict) -> None:
    """Records of Every Eval Ever."""
    from elusive.evaluate.compare.table import find_cells
    from elusive.report.export.every_eval_ever import export_records

    records = export_records(find_cells(source), out, options["organization"])
    if not records:
        raise InputError(f"{source} holds no cells to export")
    click.echo(f"{out}: {len(records)} records, such as {records[0].relative_to(out)}")


FORMATS: dict[str, Callable[[Path, Path, dict], None]] = {
    "lm-eval": _lm_eval,
    "squad": _squad,
    "every-eval-ever": _every_eval_ever,
}
