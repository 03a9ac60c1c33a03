"""`elusive wikiqa`: build question sets from Wikipedia."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from elusive.cli.options import add_config_options, list_given_options, note_unused
from elusive.cli.sharing import (
    On,
    add_generator_options,
    count_workers,
    note_unused_by_preview,
    open_share,
    report_written,
    require_out,
)
from elusive.common.errors import validate_config
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.known_sets import fill_known_set

if TYPE_CHECKING:
    from elusive.common.dataset.shared_work import Share


@click.command()
@add_config_options(WikiqaConfig)
@add_generator_options("articles")
def wikiqa(
    workers: int | None,
    preview: int | None,
    on: On,
    address: str,
    tasks: int,
    changes: tuple[str, ...],
    out: Path | None,
    **settings: object,
) -> None:
    """Build a dataset of Wikipedia paragraphs with questions.

    Reads paragraphs and questions from a file, the Hub or a dump, and can also write questions. If
    interrupted, rerun the same command to resume after the articles already read. Tasks share the
    files of a dump. With --on slurm or ray, the command waits for the cluster; if it is ended, the
    cluster goes on, and the same command waits again.

    \b
    elusive wikiqa --squad dev-v1.1.json --out data/squad
    elusive wikiqa --hub squad --limit 20 --out data/hub
    elusive wikiqa --hub rajpurkar/squad --hub-split validation --limit 20 --out data/hub
    elusive wikiqa --table mine.jsonl --columns context=passage --shots 0 --out data/mine
    elusive wikiqa --dump enwiki-pages-articles.xml.bz2 --limit 1000 --out data/wiki
    elusive wikiqa --dump enwiki1.xml.bz2 --dump enwiki2.xml.bz2 --tasks 2 --out data/two
    elusive wikiqa --dump enwiki.xml.bz2 --limit 50 --writer Qwen/Qwen3-8B --out data/written
    elusive wikiqa --squad dev-v1.1.json --examiner smollm2-135m --out data/graded
    elusive wikiqa --hub wikimedia/wikipedia --hub-config 20231101.en --raw --limit 500 --out data/w
    elusive wikiqa --squad dev-v1.1.json --preview 1
    """
    config = validate_config(WikiqaConfig, fill_known_set(settings, list_given_options()))
    note_unused(config.list_unused(list_given_options()), "this source")
    if preview:
        note_unused_by_preview()
        _show(config, preview)
    else:
        folder = require_out(out)
        share = open_share(folder, on, address, tasks, changes)
        _write(config, folder, count_workers(workers, share), share)


def _show(config: WikiqaConfig, count: int) -> None:
    """Print the paragraphs of the first articles with their spans in color, and the questions."""
    from tempfile import TemporaryDirectory

    from elusive.cli.preview import print_documents
    from elusive.common.dataset.folder import load_dataset_folder
    from elusive.wikiqa.generate import generate_dataset

    with TemporaryDirectory() as scratch:
        first = config.model_copy(update={"limit": count, "shots": 0})
        generate_dataset(first, Path(scratch) / "preview")
        dataset = load_dataset_folder(Path(scratch) / "preview")
        print_documents(dataset.documents, dataset.questions)


def _write(config: WikiqaConfig, out: Path, workers: int, share: "Share | None") -> None:
    from elusive.common.dataset.dataset_statistics import STATISTICS
    from elusive.common.process.progress import open_bar
    from elusive.wikiqa.generate import generate_dataset
    from elusive.wikiqa.left_out import render_left_out, render_left_out_questions

    with open_bar("articles read", "article", delay=1) as bar:

        def start_stage(name: str) -> None:
            bar.reset(total=bar.n)
            bar.set_description(name)

        is_new = generate_dataset(config, out, workers, bar.update, start_stage, share)
    report_written(out, is_new, "paragraph")
    statistics = json.loads((out / STATISTICS).read_text(encoding="utf-8"))
    counts = statistics["read_and_left_out"]
    for line in filter(None, (render_left_out_questions(counts), render_left_out(counts))):
        click.echo(line)
