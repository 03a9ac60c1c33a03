"""Cleaning a dump's articles, against mwparserfromhell's own `strip_code`, each in one process.

python benchmarks/wikiqa.py ../shared/data/enwiki-sample.xml.bz2
"""

import resource
import time
from collections import Counter
from pathlib import Path

import click
import mwparserfromhell
import numpy as np

from elusive.wikiqa.sources.dump import build_article, read_pages


@click.command()
@click.argument("dump", type=click.Path(path_type=Path, exists=True))
@click.option("--rounds", default=3)
def main(dump: Path, rounds: int) -> None:
    counts: Counter[str] = Counter()
    pages = list(read_pages(dump, counts))
    megabytes = sum(len(page.wikitext.encode()) for page in pages) / 1e6
    click.echo(f"{len(pages)} articles, {megabytes:.1f} MB of wikitext")
    ratios = []
    for number in range(rounds):
        start = time.perf_counter()
        for page in pages:
            mwparserfromhell.parse(page.wikitext).strip_code()
        middle = time.perf_counter()
        for page in pages:
            build_article(page, 20, counts)
        end = time.perf_counter()
        ratios.append((end - middle) / (middle - start))
        click.echo(
            f"round {number}: strip_code {megabytes / (middle - start):.2f} MB/s, ours "
            f"{megabytes / (end - middle):.2f} MB/s, ours takes {ratios[-1]:.2f}x the time"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    click.echo(f"median {np.median(ratios):.2f}x the time; peak memory {peak:.0f} MiB")


if __name__ == "__main__":
    main()
