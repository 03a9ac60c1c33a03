"""`elusive publish`: datasets and runs on the Hugging Face Hub."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from elusive.common.errors import InputError


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--to", "repository", required=True, help="Repository, OWNER/NAME.")
@click.option("--private", is_flag=True, help="Make a new repository private.")
@click.option("--revision", default="main", show_default=True, help="Branch; made if missing.")
@click.option("--message", help="Of the commit.")
@click.option(
    "--dataset",
    help="Published dataset that a run was measured on: its results join that leaderboard.",
)
@click.option("--dry-run", is_flag=True, help="Write what would be published to --out instead.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for --dry-run.")
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
    """Publish FOLDER, a dataset, a run or a single cell, on the Hugging Face Hub.

    A dataset becomes a dataset repository: three configs as Parquet, card, statistics, and
    eval.yaml, by which the Hub knows a benchmark. A run becomes a model repository with the layout
    of its folder: adapters, answers, metrics. One commit holds what changed; what an interrupted
    upload has sent is not sent again. Needs `hf auth login`, or a token in HF_TOKEN.

    \b
    elusive publish data/people --to my-org/people
    elusive publish runs/demo --to my-org/people-adapters --dataset my-org/people --private
    elusive publish data/people --to my-org/people --dry-run --out /tmp/people
    """
    from elusive.report.hub.publish import checked_repository

    checked_repository(repository)
    build, kind, owned = _builder(folder, repository, dataset)
    if dry_run != (out is not None):
        raise InputError("--dry-run and --out go together: --dry-run --out FOLDER")
    if out:
        _write(build, out)
        click.echo(f"wrote {out}: what --to {repository} would hold")
        return
    from elusive.report.hub.publish import Target

    target = Target(repository, kind, owned, revision, private)
    with tempfile.TemporaryDirectory(prefix="elusive-publish-") as temporary:
        build(Path(temporary))
        _send(Path(temporary), target, message or f"Publish {folder.resolve().name} with elusive")


def _builder(
    folder: Path, repository: str, dataset: str | None
) -> tuple[Callable[[Path], None], str, tuple[str, ...]]:
    """What builds the repository of a folder, the repository's kind, and the files it owns."""
    from elusive.common.dataset.shards import check_finished
    from elusive.common.folders import MANIFEST, read_manifest

    if not folder.is_dir():
        raise InputError(f"no folder at {folder}: give a dataset, a run or a cell")
    check_finished(folder)
    if (folder / "cells").is_dir():
        found = "cell"
    elif (folder / MANIFEST).exists():
        found = read_manifest(folder, "dataset").kind
    else:
        found = "folder without a manifest"
    if found == "dataset":
        if dataset:
            raise InputError("--dataset is for runs, and this is a dataset: leave it out")
        return _dataset_builder(folder, repository)
    if found == "cell":
        return _run_builder(folder, repository, dataset)
    raise InputError(f"{folder} holds a {found}: what is published is a dataset, a run or a cell")


def _dataset_builder(folder: Path, repository: str) -> tuple[Callable, str, tuple[str, ...]]:
    """Builder of a dataset's repository."""
    from tqdm import tqdm

    from elusive.report.hub.dataset_repository import OWNED, build_dataset_repository

    def build(out: Path) -> None:
        with tqdm(desc="rows", unit="row", delay=1) as bar:
            build_dataset_repository(folder, out, repository, bar.update)

    return build, "dataset", OWNED


def _run_builder(
    folder: Path, repository: str, dataset: str | None
) -> tuple[Callable, str, tuple[str, ...]]:
    """Builder of a run's repository."""
    from tqdm import tqdm

    from elusive.report.hub.run_repository import OWNED, build_run_repository, published_dataset

    def build(out: Path) -> None:
        source = published_dataset(dataset) if dataset else None
        with tqdm(desc="cells", unit="cell", delay=1) as bar:
            cells, entries = build_run_repository(folder, out, repository, source, bar.update)
        said = f", {entries} of them with a result for the leaderboard of {dataset}"
        click.echo(f"{cells} cells{said if dataset else ''}")

    return build, "model", OWNED


def _write(build: Callable[[Path], None], out: Path) -> None:
    """Build a repository's content as a folder that was not there."""
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
    """Upload a folder with a progress bar, and say what was sent."""
    from tqdm import tqdm

    from elusive.report.hub.publish import publish_folder

    with tqdm(desc="sent", unit="B", unit_scale=True, delay=1) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        made = publish_folder(folder, target, message, on_bytes=show)
    if made.files or made.deleted:
        click.echo(
            f"published {made.files} files, {made.num_bytes:,} bytes, as commit "
            f"{made.commit[:12]}; {made.unchanged} unchanged, {made.deleted} deleted"
        )
    else:
        click.echo(f"nothing changed: all {made.unchanged} files are there already")
    click.echo(made.url)
