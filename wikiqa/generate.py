"""A Wikipedia question set as a folder: articles are gathered, selected, split, and written."""

import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from elusive.common.chat.models import build_chat_model
from elusive.common.dataset.dataset_statistics import compute_dataset_statistics
from elusive.common.dataset.records import SCHEMAS, Shot, WikiDocument, WikiQuestion, to_table
from elusive.common.dataset.shards import (
    PROGRESS,
    Append,
    claim_folder,
    finish_folder,
    open_shard,
)
from elusive.common.dataset.shared_work import Share
from elusive.common.errors import InputError
from elusive.common.folders import hash_file, hash_parameters
from elusive.common.seeding import stream
from elusive.wikiqa.articles import Article, Counts
from elusive.wikiqa.card import write_card
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.documents import Split, build_document, build_question, build_shot, name_entity
from elusive.wikiqa.gather import (
    build_dump_work,
    check_shareable,
    count_questions,
    gather_articles,
    load_articles,
    load_counts,
    write_questions,
)
from elusive.wikiqa.questions.exam import Exam, drop_failed_questions
from elusive.wikiqa.selection import Selection
from elusive.wikiqa.sources.files import require_file
from elusive.wikiqa.sources.row_tables import find_hub_revision
from elusive.wikiqa.sources.text_folder import list_texts

GATHERED = "gathered"
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
    share: Share | None = None,
) -> bool:
    """Write the question set of `config` to `out`; return False if `out` already holds it.

    Args:
        config: decides the content.
        out: folder to write.
        workers: processes that clean the articles of a dump; they do not change the result.
        on_articles: called with the number of articles done since the last call.
        on_stage: called with the name of each later stage, before it goes through all articles.
        share: has the files of a dump read by several tasks; they do not change the result, either.

    Raises:
        InputError: the source cannot be read or has too little, tasks cannot share it, or `out`
            holds something else.
    """
    if share:
        check_shareable(config)
    if config.hub:  # the parameters name the commit
        revision = find_hub_revision(config.hub, config.revision)
        config = config.model_copy(update={"revision": revision})
    parameters = {
        "generator": "wikiqa",
        **config.model_dump(mode="json", exclude=_list_idle(config)),
        "source": _source_name(config),
        "source_hash": _hash_source(config),
        "filters": list(config.active_filters),
        **_identify_models(config),
    }
    with claim_folder(out, "dataset", parameters) as is_mine:
        if is_mine:
            gathered = _gather(config, out, workers, on_articles, on_stage, share)
            on_stage("tables written")
            exam = None
            if config.examiner:
                chat = build_chat_model(config.examiner, config.endpoint)
                exam = Exam(chat, config.language)
            counts = load_counts(gathered)
            try:
                _write_tables(config, gathered, out, counts, exam, on_articles)
            except NothingLeft:
                _free_folder(out)
                raise
            statistics = compute_dataset_statistics(
                out, texts_repeat=False, language=config.language
            )
            result = exam.compute_result() if exam else None
            write_card(config, _source_name(config), out, counts, statistics, result)
            finish_folder(out, "dataset", parameters, TABLES)
    return is_mine


OF_QUESTIONS = re.compile("(?:question|answer) left out|question without|short paragraph")
"""Begins the reasons for which a question is left out."""


class NothingLeft(InputError):
    """The settings leave out every question of the source."""


def _gather(
    config: WikiqaConfig,
    out: Path,
    workers: int,
    on_articles: Callable[[int], object],
    on_stage: Callable[[str], object],
    share: Share | None,
) -> Path:
    """Gather what is missing, and return the folder of the articles with questions."""
    gathered = out / PROGRESS / GATHERED
    try:
        if share:
            gathered.mkdir(exist_ok=True)
            share(build_dump_work(config, out, gathered, workers))
        else:
            gather_articles(config, gathered, workers, on_articles)
    except InputError:
        if not share and not any(gathered.rglob("*.jsonl")):
            _free_folder(out)
        raise
    if not config.writes_by_model:
        return gathered
    on_stage("questions written")
    written = out / PROGRESS / "written"
    writer = build_chat_model(config.writer, config.endpoint)
    write_questions(config, gathered, written, writer, on_articles)
    return written


def _free_folder(out: Path) -> None:
    """Delete what was begun, so that a corrected command can use the folder."""
    for name in (PROGRESS, *TABLES):
        shutil.rmtree(out / name, ignore_errors=True)
    with suppress(OSError):  # it holds other files
        out.rmdir()


def _identify_models(config: WikiqaConfig) -> dict[str, str]:
    """Return what tells writer and examiner apart from other models of the same names."""
    names = {"writer": config.writer if config.writes_by_model else "", "examiner": config.examiner}
    return {
        f"{role}_identity": build_chat_model(name, config.endpoint).identity
        for role, name in names.items()
        if name
    }


def _list_idle(config: WikiqaConfig) -> set[str]:
    """List the settings that are not parameters: sources, which count by their content, and the
    address of a server, which decides nothing."""
    return {"squad", "table", "dump", "texts", *(["endpoint"] if config.endpoint else [])}


def _list_source_files(config: WikiqaConfig) -> list[Path]:
    return [path for path in (config.squad, config.table, *config.dump) if path]


def _source_name(config: WikiqaConfig) -> str:
    if config.source == "texts" and config.texts:
        return config.texts.resolve().name
    return ", ".join(path.name for path in _list_source_files(config)) or str(config.hub)


def _hash_source(config: WikiqaConfig) -> str:
    """Return the hash of the source's files, or the commit of its Hub dataset."""
    texts = _hash_texts(config.texts) if config.texts else ""
    if config.source == "texts":
        return texts
    paths = _list_source_files(config)
    for path in paths:
        require_file(path)
    hashes = [hash_file(path) for path in paths] or [str(config.revision)]
    own = hashes[0] if len(hashes) == 1 else hash_parameters(hashes)
    return hash_parameters([own, texts]) if texts else own


def _hash_texts(folder: Path) -> str:
    paths = list_texts(folder)
    return hash_parameters([[str(path.relative_to(folder)), hash_file(path)] for path in paths])


def _write_tables(
    config: WikiqaConfig,
    gathered: Path,
    out: Path,
    counts: Counts,
    exam: Exam | None,
    on_articles: Callable[[int], object],
) -> None:
    """Select from the gathered articles, and write the tables as one shard."""
    selection = Selection(config, gathered)
    with open_shard(out, 0, 1, TABLES) as append:
        for number, article in enumerate(load_articles(gathered)):
            paragraphs = selection.select_paragraphs(number, article, counts)
            article = replace(article, paragraphs=paragraphs)
            if selection.is_shot(number, article):
                _append_shots(append, number, article)
                counts["articles for shots"] += 1
            elif paragraphs:
                if exam:
                    article = exam.grade(article, name_entity(article, number))
                    article = drop_failed_questions(article, config, counts)
                _append_article(append, config, number, article)
                counts["articles"] += 1
                counts["questions kept"] += count_questions(article)
            on_articles(1)
        if not counts["questions kept"]:
            unanswered = counts["question without an answer"]
            if unanswered and unanswered == counts["questions read"]:
                raise NothingLeft(
                    f"none of the {unanswered} questions of {_source_name(config)} has an answer, "
                    "as in a hidden test set: choose the file or split train or dev"
                )
            raise NothingLeft(_describe_nothing(config, counts))


def _describe_nothing(config: WikiqaConfig, counts: Counts) -> str:
    """Say for what all questions are left out, most frequent first, and what to do about it."""
    reasons = [
        (name, count) for name, count in counts.most_common() if count and OF_QUESTIONS.match(name)
    ]
    named = "".join(f"; {name} ({count})" for name, count in reasons[:3])
    advice = ["see that titles and answers are those of the texts"]
    if config.active_filters and reasons:
        advice = ["choose fewer --filters"]
    if for_shots := counts["articles for shots"]:
        named = f"; articles set aside for shots ({for_shots}){named}"
        advice = ["lower --shots", *advice]
    return (
        f"no question of {_source_name(config)} is left ({counts['articles read']} articles read"
        f"{named}): {', or '.join(advice)}"
    )


def _append_shots(append: Append, number: int, article: Article) -> None:
    shots = [
        build_shot(article, asked, number)
        for paragraph in article.paragraphs
        for asked in paragraph.asked
    ]
    _append_records(append, "shots", shots, Shot)


def _append_article(append: Append, config: WikiqaConfig, number: int, article: Article) -> None:
    is_dev = stream(config.seed, "dev", name_entity(article, number)).random() < config.dev_rate
    split: Split = "dev" if is_dev else "test"
    documents = [
        build_document(article, paragraph, number, index, config)
        for index, paragraph in enumerate(article.paragraphs)
    ]
    questions = [
        build_question(article, asked, (number, index), split, documents[index].licence)
        for index, paragraph in enumerate(article.paragraphs)
        for asked in paragraph.asked
    ]
    _append_records(append, "corpus", documents, WikiDocument)
    _append_records(append, "questions", questions, WikiQuestion)


def _append_records(append: Append, table: str, records: list[Item], kind: type[Item]) -> None:
    for batch in to_table(records, kind).to_batches():
        append(table, batch)
