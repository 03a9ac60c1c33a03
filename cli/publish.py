"""`elusive publish`: upload datasets, texts, runs and leaderboards to the Hugging Face Hub."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from elusive.cli.options import add_list_option
from elusive.common.errors import InputError
from elusive.common.text.counts import format_count

CITATION_FILES = (".bib", ".cff", ".md", ".txt")


@dataclass(frozen=True)
class Part:
    """One repository that a folder is published to."""

    kind: str
    owned: tuple[str, ...]
    folder: str = "."
    """Folder of its content, below that of the whole."""


Builder = tuple[Callable[[Path], None], list[Part]]
"""What writes the content of a folder's repositories, and what they are."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--to", "repository", required=True, help="Repository to publish to: OWNER/NAME.")
@click.option("--private", is_flag=True, help="Create the repository as a private one.")
@click.option("--revision", default="main", show_default=True, help="Branch; created if missing.")
@click.option("--message", help="Message of the commit.")
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    help="OWNER/NAME of the published dataset that a run was measured on, whose leaderboard shows "
    "the results. Of a leaderboard: folder of a dataset whose gold answers are compared with those "
    "of entries; can be repeated.",
)
@click.option("--title", help="Title of the card; by default that of the folder's own card.")
@click.option(
    "--author", "authors", multiple=True, help="Author, for the card; repeat it for more."
)
@click.option("--licence", "--license", help="License of the Hub, such as cc-by-4.0.")
@click.option(
    "--citation", help="How to cite it: a sentence or BibTeX, or the path of a file that has it."
)
@add_list_option("--tag", "tags", help="Tags on the Hub.")
@click.option("--dry-run", is_flag=True, help="Write to --out instead of publishing.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write with --dry-run.")
def publish(
    folder: Path,
    repository: str,
    private: bool,
    revision: str,
    message: str | None,
    datasets: tuple[str, ...],
    title: str | None,
    authors: tuple[str, ...],
    licence: str | None,
    citation: str | None,
    tags: tuple[str, ...],
    dry_run: bool,
    out: Path | None,
) -> None:
    """Publish a dataset, run or leaderboard on the Hugging Face Hub.

    FOLDER is a dataset, a training text, a run, a single cell or a leaderboard. A dataset becomes a
    dataset repository with three configs as Parquet, a card, statistics, Croissant metadata, and
    eval.yaml, from which the Hub recognizes a benchmark. A training text becomes one with its
    texts. A run becomes a model repository with the layout of its folder: adapters, answers,
    metrics. A leaderboard becomes two repositories of one name: a static Space, whose page visitors
    open, and a dataset of its entries, which takes submissions. Paths of this machine are left out.
    One commit contains only what changed. If interrupted, rerun the same command to resume. Log in
    with `hf auth login` first, or set HF_TOKEN.

    \b
    elusive publish data/people --to my-org/people
    elusive publish data/random --to my-org/people-random --title "People, tokens dropped"
    elusive publish runs/demo --to my-org/people-adapters --dataset my-org/people --private
    elusive publish data/people --to my-org/people --dry-run --out /tmp/people
    elusive publish board --to my-org/leaderboard
    """
    from elusive.report.hub.card_details import CardDetails
    from elusive.report.hub.publish import check_repository

    check_repository(repository)
    details = CardDetails(title, authors, licence, _read_citation(citation), tags)
    build, parts = _find_builder(folder, repository, datasets, dry_run, details)
    if dry_run != (out is not None):
        raise InputError("use --dry-run and --out together: --dry-run --out FOLDER")
    if out:
        _write(build, out, repository, parts)
        click.echo(f"wrote {out}: the content that {repository} would have")
        return
    from elusive.report.hub.publish import Target

    message = message or f"Publish {folder.resolve().name} with elusive"
    with tempfile.TemporaryDirectory(prefix="elusive-publish-") as temporary:
        build(Path(temporary))
        for part in parts:
            target = Target(repository, part.kind, part.owned, revision, private)
            _send(Path(temporary) / part.folder, target, message)


def _read_citation(citation: str | None) -> str | None:
    """The citation, or the content of the file that it names."""
    if not citation or "\n" in citation or len(citation) >= 250:
        return citation
    if Path(citation).is_file():
        return Path(citation).read_text(encoding="utf-8")
    if Path(citation).suffix in CITATION_FILES and " " not in citation:
        raise InputError(
            f"--citation: there is no file {citation}: name one, or write the citation"
        )
    return citation


def _find_builder(
    folder: Path, repository: str, datasets: tuple[str, ...], dry_run: bool, details: Any
) -> Builder:
    """The function that writes the content of a folder's repositories, and what they are."""
    from elusive.common.dataset.shards import check_finished
    from elusive.common.folders import MANIFEST, read_manifest
    from elusive.report.hub import dataset_repository, run_repository
    from elusive.report.hub.text_repository import build_text_repository

    if not folder.is_dir():
        raise InputError(
            f"no folder at {folder}: name a dataset, a training text, a run, a cell or a "
            "leaderboard"
        )
    if (folder / "entries").is_dir():
        from elusive.report.leaderboard import board_repository

        # The Space comes last, as it links to the dataset.
        parts = [Part(kind, board_repository.OWNED[kind], kind) for kind in ("dataset", "space")]
        return partial(_build_board, folder, repository, datasets), parts
    check_finished(folder)
    if (folder / "cells").is_dir():
        kind = "cell"
    elif (folder / MANIFEST).exists():
        kind = read_manifest(folder, "dataset").kind
    else:
        kind = "folder without a manifest"
    if kind == "cell":
        if len(datasets) > 1:
            raise InputError(
                f"--dataset: got {' and '.join(datasets)}: a run was measured on one dataset"
            )
        build = partial(
            _build_run, folder, repository, next(iter(datasets), None), dry_run, details
        )
        return build, [Part("model", run_repository.OWNED)]
    builders = {
        "dataset": dataset_repository.build_dataset_repository,
        "training-text": build_text_repository,
    }
    if kind not in builders:
        raise InputError(
            f"{folder} is a {kind}: name a dataset, a training text, a run, a cell or a leaderboard"
        )
    if datasets:
        raise InputError(
            f"--dataset is for runs and leaderboards, but this is a {kind}: leave it out"
        )
    build = partial(_build_tables, builders[kind], folder, repository, details)
    return build, [Part("dataset", dataset_repository.OWNED)]


def _build_board(folder: Path, repository: str, datasets: tuple[str, ...], out: Path) -> None:
    from elusive.common.process.progress import open_bar
    from elusive.report.leaderboard.board_repository import build_board_repositories

    with open_bar("reading", "entry", delay=1) as bar:
        count = build_board_repositories(
            folder, out, repository, on_entry=bar.update, datasets=[Path(name) for name in datasets]
        )
    click.echo(format_count(count, "entry"))


def _build_tables(
    build: Callable[..., None], folder: Path, repository: str, details: Any, out: Path
) -> None:
    from elusive.common.process.progress import open_bar

    with open_bar("rows", "row", delay=1) as bar:
        build(folder, out, repository, on_rows=bar.update, details=details)


def _build_run(
    folder: Path, repository: str, dataset: str | None, dry_run: bool, details: Any, out: Path
) -> None:
    from elusive.common.process.progress import open_bar
    from elusive.report.hub.run_repository import (
        assume_published_dataset,
        build_run_repository,
        load_published_dataset,
    )

    source = None
    if dataset and dry_run:
        source = assume_published_dataset(folder, dataset)
        click.echo(f"assumed that {dataset} is the dataset of the run; publishing checks it")
    elif dataset:
        source = load_published_dataset(dataset)
    with open_bar("cells", "cell", delay=1) as bar:
        num_cells, num_results = build_run_repository(
            folder, out, repository, source, bar.update, details
        )
    results = f", {num_results} of them with a result for the leaderboard of {dataset}"
    click.echo(f"{format_count(num_cells, 'cell')}{results if dataset else ''}")


def _write(build: Callable[[Path], None], out: Path, repository: str, parts: list[Part]) -> None:
    """Build a repository's content in a new folder, or in place of an earlier dry run."""
    from elusive.common.folders import check_not_within
    from elusive.report.hub.publish import holds_dry_run

    check_not_within(out)
    is_free = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    # Entries are not owned, as others may have added some on the Hub, but a dry run writes them.
    owned = {part.folder: (*part.owned, "entries/") for part in parts}
    if not is_free and not holds_dry_run(out, repository, owned):
        raise InputError(
            f"{out} holds files other than a dry run for {repository}: choose another --out or "
            "empty it"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        build(draft)
        draft.chmod(0o755)
        if out.is_dir():
            shutil.rmtree(out)
        draft.replace(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _send(folder: Path, target: Any, message: str) -> None:
    """Upload a folder with a progress bar, and print what was sent."""

    from elusive.common.process.progress import open_bar
    from elusive.report.hub.publish import publish_folder

    with open_bar("sent", "B", unit_scale=True, delay=1) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        published = publish_folder(folder, target, message, on_bytes=show)
    if published.files or published.deleted:
        click.echo(
            f"published {published.files} files, {published.num_bytes:,} bytes, as commit "
            f"{published.commit[:12]}; {published.unchanged} unchanged, {published.deleted} deleted"
        )
    else:
        click.echo(f"nothing changed: all {published.unchanged} files are already there")
    click.echo(published.url)
