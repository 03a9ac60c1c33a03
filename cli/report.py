"""`elusive report`: write the results of a run as a page."""

from pathlib import Path

import click

from elusive.cli.options import add_comparison_options


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--title", help="Title of the page; by default the name of RUN.")
@add_comparison_options
@click.option("--out", type=click.Path(path_type=Path), required=True, help="HTML file to write.")
def report(run: Path, title: str | None, baseline: str | None, metric: str, out: Path) -> None:
    """Show the results of RUN on one page.

    RUN is a folder of `elusive run`; the page is one HTML file. It has a table to sort and filter,
    accuracy by distance and field, costs, learning curves, the texts that each arm was trained on,
    and an explanation of how the numbers were made. It opens in any browser and needs no network.
    You can also show a run that has not finished: the page lists what is missing.

    \b
    elusive report runs/demo --out report.html
    elusive report runs/demo --baseline plain --metric log_probability --out by-log-probability.html
    """
    from elusive.evaluate.cells.cell_folder import find_cells
    from elusive.report.page.page import check_replaceable, write_page

    check_replaceable(out)
    cells = find_cells(run)
    write_page(cells, out, title or run.resolve().name, run, baseline, metric)
    click.echo(f"wrote {len(cells)} cells to {out} ({out.stat().st_size / 1e6:.1f} MB)")
