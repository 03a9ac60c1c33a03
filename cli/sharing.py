"""Options of commands whose shards can be written by several tasks, on one or more machines."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from pydantic import BaseModel, Field

from elusive.cli.options import add_set_option, list_given_options, note_unused
from elusive.common.errors import InputError, validate_config
from elusive.common.large.devices import ONE, Devices
from elusive.common.text.counts import format_count
from elusive.common.yaml_files import build_config
from elusive.evaluate.engines.resources import Resources

if TYPE_CHECKING:
    from elusive.common.dataset.shared_work import Share

On = Literal["local", "slurm", "ray"]


class SharingSettings(BaseModel, frozen=True, extra="forbid"):
    """What `--set` can change."""

    resources: Resources = Field(default=Resources(), description="What each task needs.")


def add_on_options(what: str) -> Callable:
    """Return a decorator that adds `--on` and `--address` to a command.

    Args:
        what: what is made there, for the help.
    """

    def decorate(command: Callable) -> Callable:
        command = click.option(
            "--address",
            default="auto",
            show_default=True,
            help="Address of the Ray cluster; auto is the one that this machine belongs to.",
        )(command)
        return click.option(
            "--on",
            type=click.Choice(["local", "slurm", "ray"]),
            default="local",
            show_default=True,
            help=f"Where {what}: on this machine, as jobs of Slurm, or as tasks of a Ray cluster.",
        )(command)

    return decorate


def add_sharing_options(command: Callable) -> Callable:
    """Add the options that say how many tasks write the shards, and where."""
    command = add_set_option(
        "What each task needs on a cluster, such as resources.gpus=1; the settings are those of "
        "plans. Repeat it for more."
    )(command)
    command = click.option(
        "--tasks",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Number of tasks that share the shards; what is written does not depend on it.",
    )(command)
    return add_on_options("the tasks run")(command)


def add_generator_options(what: str) -> Callable:
    """Return a decorator that adds the options that all generators of datasets share.

    Args:
        what: what `--preview` prints, for the help.
    """

    def decorate(command: Callable) -> Callable:
        command = click.option("--out", type=click.Path(path_type=Path), help="Folder to write.")(
            command
        )
        command = click.option(
            "--preview",
            type=click.IntRange(min=1),
            help=f"Print this many {what} and write nothing.",
        )(command)
        return click.option(
            "--workers",
            type=click.IntRange(min=1),
            help="Processes of each task; by default one per core if there is one task, else one.",
        )(add_sharing_options(command))

    return decorate


def note_unused_by_preview() -> None:
    """Say which given options have no effect with `--preview`, which writes nothing."""
    idle = {"workers", "tasks", "changes", "on", "address", "out"}
    given = list_given_options()
    names = ["set" if name == "changes" else name for name in given if name in idle]
    note_unused(names, "--preview")


def report_written(out: Path, is_new: bool, noun: str, of: str = "") -> None:
    """Print what a generated dataset holds.

    Args:
        out: its folder.
        is_new: whether it was written just now.
        noun: what its documents are.
        of: what is said of them.
    """
    from elusive.common.dataset.folder import count_rows

    rows = count_rows(out)
    counts = [format_count(rows[f"{name}s"], name) for name in ("question", "shot")]
    documents = f"{format_count(rows['corpus'], noun)}{of}"
    written = "wrote" if is_new else "already there:"
    click.echo(f"{written} {out}, {', '.join([documents, *counts])}")


def require_out(out: Path | None) -> Path:
    """Return the folder to write.

    Raises:
        InputError: it is missing.
    """
    if out is None:
        raise InputError(
            "say where to write with --out DIR, or look at some texts with --preview 3"
        )
    return out


def count_workers(workers: int | None, share: "Share | None") -> int:
    """Return the processes of each task: by default as many as cores if there is one task."""
    return workers or (1 if share else len(os.sched_getaffinity(0)))


def open_share(
    out: Path,
    on: On,
    address: str,
    tasks: int,
    changes: tuple[str, ...],
    devices: Devices = ONE,
) -> "Share | None":
    """Return what has shards written as the options say; None if this process writes them itself.

    Args:
        out: folder of the shards.
        on: where the tasks run.
        address: of a Ray cluster.
        tasks: their number.
        changes: of what each task needs.
        devices: what the models of each task compute with.

    Raises:
        InputError: an option is wrong, or the cluster is missing or lacks the resources.
    """
    resources = build_config(SharingSettings, changes).resources
    for name in ("placement", "processes"):
        if name in resources.model_fields_set:
            raise InputError(
                f"--set resources.{name} is for plans: `elusive augment` takes --{name}"
            )
    own = {"placement": devices.placement, "processes": devices.processes}
    resources = validate_config(Resources, resources.model_dump() | own)
    if changes and on == "local":
        raise InputError(f"--set {changes[0]} needs a cluster: add --on slurm or --on ray")
    from elusive.evaluate.engines.engine import Engine

    share = Engine(on, address=address).open_share(out, tasks, resources)
    return None if on == "local" and tasks == 1 else share
