"""A Wikipedia question set as a folder: gathered, chosen, split, written."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from elusive.common.dataset_statistics import dataset_statistics
from elusive.common.errors import InputError
from elusive.common.folders import file_hash
from elusive.common.records import SCHEMAS, Shot, WikiDocument, WikiQuestion, to_table
from elusive.common.seeding import stream
from elusive.common.shards import PROGRESS, Append, claimed_folder, finish_folder, shard_writer
from elusive.wikiqa.articles import Article, Counts, Paragraph
from elusive.wikiqa.card import write_card
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.documents import Split, document_of, entity_name, question_of, shot_of
from elusive.wikiqa.gather import gather_articles, load_articles, load_counts
from elusive.wikiqa.selection import Selection
from elusive.wikiqa.tables import hub_revision

GATHERED = "articles"
TABLES = {
    "corpus": SCHEMAS[WikiDocument],
    "questions": SCHEMAS[WikiQuestion],
    "shots": SCHEMAS[Shot],
}
Item = TypeVar("Item")


def generate_dataset(
    config: WikiqaConfig,
    out: Path,
    workers: int = 1,
    on_articles: Callable[[int], object] = lambda count: None,
) -> bool:
    """Write the question set of `config` to `out`; False if `out` holds it already.

    Args:
        config: what decides the content.
        out: folder to write.
        workers: processes that clean the articles of a dump; the result does not depend on them.
        on_articles: called with the number of articles read since the last call.

    Raises:
        InputError: the source cannot be read or has too little, or `out` holds something else.
    """
    config = _pinned(config)
    parameters = {
        "generator": "wikiqa",
        **config.model_dump(mode="json", exclude={"squad", "table", "dump"}),
        "source": _source_name(config),
        "source_hash": _source_hash(config),
        "filters": list(config.active_filters),
    }
    with claimed_folder(out, "dataset", parameters) as is_mine:
        if is_mine:
            gathered = out / PROGRESS / GATHERED
            try:
                gather_articles(config, gathered, workers, on_articles)
            except InputError:
                if not any(gathered.iterdir()):  # so that a mended command may use the folder
                    shutil.rmtree(out / PROGRESS)
                raise
            counts = load_counts(gathered)
            _write_tables(config, gathered, out, counts)
            statistics = dataset_statistics(out, texts_repeat=False)
            write_card(config, _source_name(config), out, counts, statistics)
            finish_folder(out, "dataset", parameters, TABLES)
    return is_mine


def _pinned(config: WikiqaConfig) -> WikiqaConfig:
    """The config with the commit of its Hub dataset."""
    if not config.hub:
        return config
    return config.model_copy(update={"revision": hub_revision(config.hub, config.revision)})


def _file(config: WikiqaConfig) -> Path | None:
    """The source's file, if it is one."""
    return config.squad or config.table or config.dump


def _source_name(config: WikiqaConfig) -> str:
    """The source by name: a file's, or a Hub dataset's."""
    path = _file(config)
    return path.name if path else str(config.hub)


def _source_hash(config: WikiqaConfig) -> str:
    """What tells another source of the same name apart."""
    path = _file(config)
    if path is None:
        return str(config.revision)
    if not path.is_file():
        raise InputError(f"no file at {path}")
    return file_hash(path)


def _write_tables(config: WikiqaConfig, gathered: Path, out: Path, counts: Counts) -> None:
    """Choose among the gathered articles and write the tables as one shard."""
    selection = Selection(config, gathered)
    with shard_writer(out, 0, 1, TABLES) as append:
        for number, article in enumerate(load_articles(gathered)):
            kept = selection.paragraphs(number, article, counts)
            if selection.is_shot(number, article):
                _append_shots(append, number, article, kept)
                counts["articles for shots"] += 1
            elif kept:
                _append_article(append, config, number, article, kept)
                counts["articles"] += 1
    if not counts["articles"]:
        raise InputError(
            f"nothing is left of {_source_name(config)}: {counts['articles read']} articles were "
            f"read and {counts['articles for shots']} set aside for shots; lower --shots or "
            "leave out fewer questions"
        )


def _append_shots(append: Append, number: int, article: Article, kept: list[Paragraph]) -> None:
    """Write an article's questions as solved examples."""
    shots = [shot_of(article, asked, number) for paragraph in kept for asked in paragraph.asked]
    _append_records(append, "shots", shots, Shot)


def _append_article(
    append: Append, config: WikiqaConfig, number: int, article: Article, kept: list[Paragraph]
) -> None:
    """Write an article's paragraphs and questions."""
    is_dev = stream(config.seed, "dev", entity_name(article, number)).random() < config.dev_rate
    split: Split = "dev" if is_dev else "test"
    documents = [
        document_of(article, paragraph, number, index, config.licence)
        for index, paragraph in enumerate(kept)
    ]
    questions = [
        question_of(article, asked, (number, index), split, config.licence)
        for index, paragraph in enumerate(kept)
        for asked in paragraph.asked
    ]
    _append_records(append, "corpus", documents, WikiDocument)
    _append_records(append, "questions", questions, WikiQuestion)


def _append_records(append: Append, table: str, records: list[Item], kind: type[Item]) -> None:
    """Write records to a table."""
    for batch in to_table(records, kind).to_batches():
        append(table, batch)
