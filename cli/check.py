"""`elusive check`: verify a dataset."""

import sys
from itertools import islice
from pathlib import Path

import click

from elusive.common.text.counts import format_count

SHOWN = 20
"""Number of problems that are printed one by one."""


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
def check(dataset: Path) -> None:
    """Verify DATASET: its schema, spans, splits and leaks.

    Prints the rows at fault. Checks that no table has changed; no text is empty; every span covers
    the text that it should; no mention of a name is missing; nobody is asked about in both dev and
    test; no shot is about a person of the corpus; no question contains its answer (except in a
    name, as in Jackson Smith of Jackson; of Wikipedia, where the filter `leak` was used); no dev
    wording is trained on; and documents state what direct questions ask about. Exits with code 1 if
    there is any problem.

    \b
    elusive check data/people
    """

    from elusive.common.dataset.check import check_dataset
    from elusive.common.process.progress import open_bar

    with open_bar("checking", "row", delay=1) as bar:
        problems = check_dataset(dataset, bar.update)
        shown = list(islice(problems, SHOWN))
        more = sum(1 for _ in problems)
        rows = int(bar.n)
    for problem in shown:
        click.echo(str(problem))
    if more:
        click.echo(f"and {more} more")
    if shown:
        count = format_count(len(shown) + more, "problem")
        click.echo(f"{dataset}: {count} in {format_count(rows, 'row')}", err=True)
        sys.exit(1)
    click.echo(f"{dataset}: all {rows} rows are valid")
