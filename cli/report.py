"""`elusive report`: write the results of runs as a page."""

import webbrowser
from collections.abc import Sequence
from pathlib import Path

import click

from elusive.cli.options import add_comparison_options
from elusive.common.errors import InputError
from elusive.common.text.counts import format_count

PAGE = "report.html"


@click.command()
@click.argument("runs", metavar="RUN...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--title", help="Title of the page; by default the name of RUN.")
@add_comparison_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="HTML file to write; by default report.html in RUN. Required for several runs.",
)
@click.option("--open", "is_opened", is_flag=True, help="Open the page in the browser.")
def report(
    runs: tuple[Path, ...],
    title: str | None,
    baseline: str | None,
    metric: str,
    out: Path | None,
    is_opened: bool,
) -> None:
    """Show the results of RUN on one page.

    RUN is a folder of `elusive run`; the page is one HTML file. It has a table to sort and filter,
    all questions with the answers of every arm, accuracy by distance and field, costs, learning
    curves, the texts that each arm was trained on, and an explanation of how the numbers were made.
    It opens in any browser and needs no network. You can also show a run that has not finished: the
    page lists what is missing. Several runs share one page; arms are compared where they share
    dataset, model and way of asking.

    \b
    elusive report runs/demo
    elusive report runs/demo --baseline plain --metric forced_choice --out by-forced-choice.html
    elusive report runs/demo runs/nano --out both.html
    """
    first, *others = runs
    if out is None and others:
        raise InputError(f"--out: {len(runs)} runs share one page: name its file, --out FILE.html")
    path = out or first / PAGE
    write_report(runs, path, title, baseline, metric)
    if is_opened:
        webbrowser.open(path.resolve().as_uri())


def write_report(
    runs: Sequence[Path],
    out: Path,
    title: str | None = None,
    baseline: str | None = None,
    metric: str = "em",
) -> None:
    """Write the page of some runs and print what it holds."""
    from elusive.report.page.merged_runs import load_runs
    from elusive.report.page.page import check_replaceable, write_page

    check_replaceable(out)
    cells = load_runs(runs)
    name = title or ", ".join(run.resolve().name for run in runs)
    write_page(cells, out, name, runs, baseline, metric)
    click.echo(
        f"wrote {format_count(len(cells), 'cell')} to {out} ({out.stat().st_size / 1e6:.1f} MB)"
    )
