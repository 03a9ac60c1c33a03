"""A Wikipedia question set as a folder: gathered, chosen, split, written."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from elusive.common.dataset.dataset_statistics import dataset_statistics
from elusive.common.dataset.records import SCHEMAS, Shot, WikiDocument, WikiQuestion, to_table
from elusive.common.dataset.shards import (
    PROGRESS,
    Append,
    claimed_folder,
    finish_folder,
    shard_writer,
)
from elusive.common.errors import InputError
from elusive.common.folders import file_hash
from elusive.common.seeding import stream
from elusive.wikiqa.articles import Article, Counts
from elusive.wikiqa.card import write_card
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.documents import Split, document_of, entity_name, question_of, shot_of
from elusive.wikiqa.gather import (
    gather_articles,
    load_articles,
    load_counts,
    num_questions,
    write_questions,
)
from elusive.wikiqa.questions.chat import chat_model
from elusive.wikiqa.questions.exam import Exam, passed
from elusive.wikiqa.selection import Selection
from elusive.wikiqa.sources.row_tables import hub_revision

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
    on_stage: Callable[[str], object] = lambda name: None,
) -> bool:
    """Write the question set of `config` to `out`; False if `out` holds it already.

    Args:
        config: what decides the content.
        out: folder to write.
        workers: processes that clean the articles of a dump; the result does not depend on them.
        on_articles: called with the number of articles done since the last call.
        on_stage: called with what is done next to all articles.

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
        **_identities(config),
    }
    with claimed_folder(out, "dataset", parameters) as is_mine:
        if is_mine:
            gathered = _gathered(config, out, workers, on_articles, on_stage)
            on_stage("tables written")
            exam = _exam(config)
            counts = load_counts(gathered)
            try:
                _write_tables(config, gathered, out, counts, exam, on_articles)
            except NothingLeft:
                _give_back(out)
                raise
            statistics = dataset_statistics(out, texts_repeat=False)
            result = exam.result() if exam else None
            write_card(config, _source_name(config), out, counts, statistics, result)
            finish_folder(out, "dataset", parameters, TABLES)
    return is_mine


class NothingLeft(InputError):
    """The settings leave no question of the source."""


def _gathered(
    config: WikiqaConfig,
    out: Path,
    workers: int,
    on_articles: Callable[[int], object],
    on_stage: Callable[[str], object],
) -> Path:
    """The folder of the articles with questions, written as far as they are not there."""
    gathered = out / PROGRESS / GATHERED
    try:
        gather_articles(config, gathered, workers, on_articles)
    except InputError:
        if not any(gathered.iterdir()):
            _give_back(out)
        raise
    if not config.writes_by_model:
        return gathered
    on_stage("questions written")
    written = out / PROGRESS / "written"
    writer = chat_model(config.writer, config.endpoint)
    write_questions(config, gathered, written, writer, on_articles)
    return written


def _give_back(out: Path) -> None:
    """Forget what was begun, so that a mended command may use the folder."""
    for name in (PROGRESS, *TABLES):
        shutil.rmtree(out / name, ignore_errors=True)


def _pinned(config: WikiqaConfig) -> WikiqaConfig:
    """The config with the commit of its Hub dataset."""
    if not config.hub:
        return config
    return config.model_copy(update={"revision": hub_revision(config.hub, config.revision)})


def _identities(config: WikiqaConfig) -> dict[str, str]:
    """What tells other models of the same names apart."""
    names = {"writer": config.writer if config.writes_by_model else "", "examiner": config.examiner}
    return {
        f"{role}_identity": chat_model(name, config.endpoint).identity
        for role, name in names.items()
        if name
    }


def _exam(config: WikiqaConfig) -> Exam | None:
    """The blind and informed test, if the config names who is tested."""
    return Exam(chat_model(config.examiner, config.endpoint)) if config.examiner else None


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


def _write_tables(
    config: WikiqaConfig,
    gathered: Path,
    out: Path,
    counts: Counts,
    exam: Exam | None,
    on_articles: Callable[[int], object],
) -> None:
    """Choose among the gathered articles and write the tables as one shard."""
    selection = Selection(config, gathered)
    with shard_writer(out, 0, 1, TABLES) as append:
        for number, article in enumerate(load_articles(gathered)):
            kept = replace(article, paragraphs=selection.paragraphs(number, article, counts))
            if selection.is_shot(number, article):
                _append_shots(append, number, kept)
                counts["articles for shots"] += 1
            elif kept.paragraphs:
                if exam:
                    kept = passed(exam.graded(kept, entity_name(kept, number)), config, counts)
                _append_article(append, config, number, kept)
                counts["articles"] += 1
                counts["questions kept"] += num_questions(kept)
            on_articles(1)
        if not counts["questions kept"]:
            raise NothingLeft(
                f"no question is left of {_source_name(config)}: {counts['articles read']} "
                f"articles were read and {counts['articles for shots']} set aside for shots; "
                "lower --shots or leave out fewer questions"
            )


def _append_shots(append: Append, number: int, article: Article) -> None:
    """Write an article's questions as solved examples."""
    shots = [
        shot_of(article, asked, number)
        for paragraph in article.paragraphs
        for asked in paragraph.asked
    ]
    _append_records(append, "shots", shots, Shot)


def _append_article(append: Append, config: WikiqaConfig, number: int, article: Article) -> None:
    """Write an article's paragraphs and questions."""
    is_dev = stream(config.seed, "dev", entity_name(article, number)).random() < config.dev_rate
    split: Split = "dev" if is_dev else "test"
    documents = [
        document_of(article, paragraph, number, index, config.licence)
        for index, paragraph in enumerate(article.paragraphs)
    ]
    questions = [
        question_of(article, asked, (number, index), split, config.licence)
        for index, paragraph in enumerate(article.paragraphs)
        for asked in paragraph.asked
    ]
    _append_records(append, "corpus", documents, WikiDocument)
    _append_records(append, "questions", questions, WikiQuestion)


def _append_records(append: Append, table: str, records: list[Item], kind: type[Item]) -> None:
    """Write records to a table."""
    for batch in to_table(records, kind).to_batches():
        append(table, batch)
