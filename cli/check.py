"""`elusive check`: whether a dataset keeps its promises."""

import sys
from itertools import islice
from pathlib import Path

import click

SHOWN = 20
"""Problems that are printed one by one."""


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
def check(dataset: Path) -> None:
    """Verify schema, spans, splits and leaks of DATASET; exit code 1 names the rows at fault.

    No text is empty, every span reads what it should, no mention of the name is missed, nobody is
    asked about in dev and in test, no shot is about anyone of the corpus, no question contains its
    answer (but in the name, as in Jackson Smith of Jackson), no wording of dev is trained on, and
    documents state what direct questions ask of them. Files that changed since are noticed, too.

    \b
    elusive check data/people
    """
    from tqdm import tqdm

    from elusive.common.dataset.check import check_dataset

    with tqdm(desc="checking", unit="row", delay=1) as bar:
        problems = check_dataset(dataset, bar.update)
        shown = list(islice(problems, SHOWN))
        more = sum(1 for _ in problems)
        rows = bar.n
    for problem in shown:
        click.echo(str(problem))
    if more:
        click.echo(f"and {more} more")
    if shown:
        count = len(shown) + more
        click.echo(f"{dataset}: {count} problem{'s' * (count > 1)} in {rows} rows", err=True)
        sys.exit(1)
    click.echo(f"{dataset}: all {rows} rows are as they should be")
