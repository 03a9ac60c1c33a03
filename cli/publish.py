"""`elusive publish`: upload datasets and runs to the Hugging Face Hub."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from elusive.common.errors import InputError


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--to", "repository", required=True, help="Repository to publish to: OWNER/NAME.")
@click.option("--private", is_flag=True, help="Create the repository as a private one.")
@click.option("--revision", default="main", show_default=True, help="Branch; created if missing.")
@click.option("--message", help="Message of the commit.")
@click.option(
    "--dataset",
    help="Published dataset that the run was measured on; its leaderboard shows the results.",
)
@click.option("--dry-run", is_flag=True, help="Write to --out instead of publishing.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write with --dry-run.")
def publish(
    folder: Path,
    repository: str,
    private: bool,
    revision: str,
    message: str | None,
    dataset: str | None,
    dry_run: bool,
    out: Path | None,
) -> None:
    """Publish a dataset or a run on the Hugging Face Hub.

    FOLDER is a dataset, a run or a single cell. A dataset becomes a dataset repository with three
    configs as Parquet, a card, statistics, and eval.yaml, from which the Hub recognizes a
    benchmark. A run becomes a model repository with the layout of its folder: adapters, answers,
    metrics. One commit contains only what changed. If interrupted, rerun the same command to
    resume. Log in with `hf auth login` first, or set HF_TOKEN.

    \b
    elusive publish data/people --to my-org/people
    elusive publish runs/demo --to my-org/people-adapters --dataset my-org/people --private
    elusive publish data/people --to my-org/people --dry-run --out /tmp/people
    """
    from elusive.report.hub.publish import check_repository

    check_repository(repository)
    build, kind, owned = _builder(folder, repository, dataset)
    if dry_run != (out is not None):
        raise InputError("use --dry-run and --out together: --dry-run --out FOLDER")
    if out:
        _write(build, out)
        click.echo(f"wrote {out}: the content that {repository} would have")
        return
    from elusive.report.hub.publish import Target

    target = Target(repository, kind, owned, revision, private)
    with tempfile.TemporaryDirectory(prefix="elusive-publish-") as temporary:
        build(Path(temporary))
        _send(Path(temporary), target, message or f"Publish {folder.resolve().name} with elusive")


def _builder(
    folder: Path, repository: str, dataset: str | None
) -> tuple[Callable[[Path], None], str, tuple[str, ...]]:
    """The function that writes a folder's repository, the kind of repository, and its own files."""
    from elusive.common.dataset.shards import check_finished
    from elusive.common.folders import MANIFEST, read_manifest

    if not folder.is_dir():
        raise InputError(f"no folder at {folder}: name a dataset, a run or a cell")
    check_finished(folder)
    if (folder / "cells").is_dir():
        kind = "cell"
    elif (folder / MANIFEST).exists():
        kind = read_manifest(folder, "dataset").kind
    else:
        kind = "folder without a manifest"
    if kind == "dataset":
        if dataset:
            raise InputError("--dataset is for runs, but this is a dataset: leave it out")
        return _dataset_builder(folder, repository)
    if kind == "cell":
        return _run_builder(folder, repository, dataset)
    raise InputError(f"{folder} is a {kind}: name a dataset, a run or a cell")


def _dataset_builder(folder: Path, repository: str) -> tuple[Callable, str, tuple[str, ...]]:

    from elusive.common.process.progress import open_bar
    from elusive.report.hub.dataset_repository import OWNED, build_dataset_repository

    def build(out: Path) -> None:
        with open_bar("rows", "row", delay=1) as bar:
            build_dataset_repository(folder, out, repository, bar.update)

    return build, "dataset", OWNED


def _run_builder(
    folder: Path, repository: str, dataset: str | None
) -> tuple[Callable, str, tuple[str, ...]]:

    from elusive.common.process.progress import open_bar
    from elusive.report.hub.run_repository import (
        OWNED,
        build_run_repository,
        load_published_dataset,
    )

    def build(out: Path) -> None:
        source = load_published_dataset(dataset) if dataset else None
        with open_bar("cells", "cell", delay=1) as bar:
            num_cells, num_results = build_run_repository(
                folder, out, repository, source, bar.update
            )
        results = f", {num_results} of them with a result for the leaderboard of {dataset}"
        click.echo(f"{num_cells} cells{results if dataset else ''}")

    return build, "model", OWNED


def _write(build: Callable[[Path], None], out: Path) -> None:
    """Build a repository's content in a new folder, all of it or nothing."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} holds files: choose another --out or empty it")
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        build(draft)
        draft.chmod(0o755)
        if out.is_dir():
            out.rmdir()
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
