"""`elusive report`: the page of a run."""

from pathlib import Path

import click

from elusive.cli.options import comparison_options


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--title", help="Of the page; the name of RUN if not given.")
@comparison_options
@click.option("--out", type=click.Path(path_type=Path), required=True, help="HTML file to write.")
def report(run: Path, title: str | None, baseline: str | None, metric: str, out: Path) -> None:
    """Show the results of RUN, a folder of `elusive run`, in one HTML file.

    A table that can be sorted and filtered, accuracy by distance and field, costs, learning curves,
    the texts that each arm was trained on, and how the numbers were made. The file needs no network
    and runs in any browser. A run that is still going can be shown, too: the page names what is
    missing.

    \b
    elusive report runs/demo --out report.html
    elusive report runs/demo --baseline plain --metric log_probability --out by-log-probability.html
    """
    from elusive.evaluate.compare.table import find_cells
    from elusive.report.page.page import check_replaceable, write_page

    check_replaceable(out)
    cells = find_cells(run)
    write_page(cells, out, title or run.resolve().name, run, baseline, metric)
    click.echo(f"wrote {len(cells)} cells to {out} ({out.stat().st_size / 1e6:.1f} MB)")
