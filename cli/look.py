"""`elusive look`: show on a page what arms score and drop."""

from pathlib import Path
from typing import Any

import click

from elusive.augment.config import AugmentConfig
from elusive.cli.options import (
    add_config_options,
    add_list_option,
    list_given_options,
    note_unused,
)
from elusive.common.errors import InputError, build_unknown_name_error
from elusive.common.text.counts import format_count


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@add_list_option(
    "--method",
    "methods",
    help="Arms to show. By default random, with --model also attention and "
    "depth-contrast, with --large and --small also contrast.",
)
@click.option(
    "--dataset",
    type=click.Path(path_type=Path),
    help="Dataset that SOURCE, a training text outside a run, was made from; of a run, the dataset "
    "to show, by default its first.",
)
@add_config_options(AugmentConfig, leave_out=("method", "method_file", "copies"))
@click.option(
    "--copies", type=int, default=3, show_default=True, help="Copies beside each original."
)
@click.option(
    "--limit", type=int, default=20, show_default=True, help="Show only the first LIMIT documents."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="HTML file to write.")
def look(
    source: Path,
    methods: tuple[str, ...],
    dataset: Path | None,
    limit: int,
    out: Path,
    **settings: object,
) -> None:
    """Show on one page what each arm scores and drops.

    SOURCE is a dataset, a run or a training text. The page has the texts with tokens colored by
    score, beside their copies: of a dataset, those that `elusive augment` writes with the same
    settings; of a run or a training text, those that arms were trained on (of a run, with its first
    seed), whatever the settings. The page is one
    HTML file that opens in any browser and needs no network.

    \b
    elusive look data/people --model nano-large --out look.html
    elusive look data/people --model nano-large --large nano-large --small nano-small --out all.html
    elusive look data/people --method random,oracle --alpha 0.5 --out oracle.html
    elusive look runs/demo --out trained-on.html
    elusive look data/random --dataset data/people --out random.html
    """
    texts = _find_texts(source)
    if texts is None:
        from elusive.augment.look import write_look_page

        page = write_look_page(source, methods, settings, limit, out)
    else:
        idle = [name for name in list_given_options() if name in settings]
        note_unused(idle, "the page of texts that exist already")
        page = _show_stored(source, texts, methods, dataset, limit, out)
    names = ", ".join(arm["method"] for arm in page["arms"])
    click.echo(f"wrote {format_count(len(page['documents']), 'document')} under {names} to {out}")


def _find_texts(source: Path) -> list[Any] | None:
    """The training texts of a run, or the one that a folder is; None for a dataset."""
    from elusive.augment.training_text import KIND, TrainingTextFolder, find_training_texts
    from elusive.common.folders import MANIFEST, read_manifest

    if (source / "train").is_dir():
        return list(find_training_texts(source).values())
    has_manifest = (source / MANIFEST).exists()
    if has_manifest and read_manifest(source, "dataset").kind == KIND:
        return [TrainingTextFolder(source)]
    return None


def _show_stored(
    source: Path,
    texts: list[Any],
    methods: tuple[str, ...],
    dataset: Path | None,
    limit: int,
    out: Path,
) -> dict:
    """Write the page of training texts, of the arms that are named."""
    from elusive.augment.look import select_first_seeds, write_stored_page
    from elusive.common.folders import read_manifest

    run = _find_run(source)
    folder = dataset or _find_dataset(run, source)
    content_hash = read_manifest(folder, "dataset").content_hash
    own = [text for text in texts if text.parameters["dataset"].startswith(content_hash)]
    chosen = [text for text in own if not methods or text.config.method in methods]
    names = sorted({text.config.method for text in own})
    for method in methods:
        if method not in names:
            raise build_unknown_name_error("method of these training texts", method, names)
    if not chosen:
        raise InputError(f"{source} has no training text of {folder}: name its --dataset")
    return write_stored_page(folder, _name_texts(run, select_first_seeds(chosen)), limit, out)


def _find_run(source: Path) -> Path | None:
    """The run that SOURCE is or lies in; None if it lies in none."""
    from elusive.evaluate.plans import PLAN

    run = source if (source / "train").is_dir() else source.parent.parent
    is_inside = run == source or source.parent.name == "train"
    return run if is_inside and (run / PLAN).exists() else None


def _find_dataset(run: Path | None, source: Path) -> Path:
    from elusive.evaluate.plans import find_dataset

    if run is None:
        raise InputError(
            f"{source} lies in no run: name the dataset that it was made from with --dataset DIR"
        )
    return find_dataset(run, None)


def _name_texts(run: Path | None, texts: list[Any]) -> dict[str, Any]:
    """Name training texts as the run's plan names their arms; those of one name by their folders.

    Of arms that share a text and train on it in other ways, the first gives its name.
    """
    from elusive.evaluate.jobs import list_jobs
    from elusive.evaluate.plans import PLAN, load_plan

    jobs = list_jobs(load_plan(run / PLAN)) if run else []
    labels: dict[str, str] = {}
    for job in jobs:
        if job.arm:
            labels.setdefault(job.augment.model_dump_json(), job.label)
    names = [labels.get(text.config.model_dump_json(), str(text.config.method)) for text in texts]
    return {
        text.path.name if names.count(name) > 1 else name: text
        for name, text in zip(names, texts, strict=True)
    }
