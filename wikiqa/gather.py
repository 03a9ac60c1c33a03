"""First pass: write a source's articles to small files, from which a killed run resumes."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from elusive.common.chat.models import ChatModel
from elusive.common.dataset.records import Link
from elusive.common.dataset.shared_work import SharedWork
from elusive.common.errors import InputError
from elusive.common.folders import write_atomically
from elusive.common.text.languages import count_words
from elusive.wikiqa.articles import Article, Asked, Counts, Paragraph
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.page_workers import Job, Limits, PageWorkers
from elusive.wikiqa.questions.cloze import add_cloze_questions
from elusive.wikiqa.questions.writer import add_written_questions
from elusive.wikiqa.sampling import sample_paragraphs
from elusive.wikiqa.sources.dump import Page, build_article, read_pages
from elusive.wikiqa.sources.row_tables import read_hub, read_table_file
from elusive.wikiqa.sources.squad import read_squad
from elusive.wikiqa.sources.text_folder import read_text_folder

Item = TypeVar("Item")

END = "articles-end.jsonl"
"""File of what was counted after the last article; it sorts after all others."""
CHUNK = 25
"""Articles per file; a killed run loses at most those of one file per worker."""
QUESTIONS = 3
"""Questions that a model writes on each paragraph by default."""
WRITTEN = "questions written"
AHEAD = 4
"""Chunks that are queued for each worker."""


def gather_articles(
    config: WikiqaConfig,
    folder: Path,
    workers: int = 1,
    on_articles: Callable[[int], object] = lambda count: None,
) -> None:
    """Write the articles of the config's source to `folder`, except those that it already has.

    Raises:
        InputError: the source cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if config.dump:
        _gather_dumps(config, folder, workers, on_articles=on_articles)
    else:
        _gather_rows(config, folder, on_articles)


def load_articles(folder: Path) -> Iterator[Article]:
    """Load the gathered articles, in the order of the source."""
    for path in _chunk_files(folder):
        yield from _load_chunk(path)[1]


def load_counts(folder: Path) -> Counts:
    """Load what was counted while the articles were gathered."""
    counts: Counts = Counter()
    for path in _chunk_files(folder):
        with path.open(encoding="utf-8") as file:
            counts.update(json.loads(next(file)))
    return counts


def _read_source(config: WikiqaConfig, counts: Counts) -> Iterator[Article]:
    if config.squad:
        return read_squad(config.squad, counts)
    if config.source == "texts":
        assert config.texts is not None
        return read_text_folder(config.texts, counts)
    if config.table:
        return read_table_file(config.table, config, counts)
    assert config.hub is not None
    return read_hub(config.hub, config, counts)


def _gather_rows(config: WikiqaConfig, folder: Path, on_articles: Callable[[int], object]) -> None:
    """Gather any source but a dump; chunks that are already written are read and skipped."""
    counts: Counts = Counter()
    articles = islice(_read_source(config, counts), config.limit)
    for number, chunk in enumerate(_split_into_chunks(articles)):
        path = _chunk_path(folder, number)
        if not path.exists():
            if config.is_raw:
                chunk = [_drop_short_paragraphs(article, config, counts) for article in chunk]
                chunk = [_add_questions(article, config, counts) for article in chunk]
            _write_chunk(path, chunk, counts)
        counts.clear()  # each file has the counts of its own articles
        on_articles(len(chunk))
    if any(counts.values()):  # no article follows, or there is none
        _write_chunk(folder / END, [], counts)


def check_shareable(config: WikiqaConfig) -> None:
    """Raise InputError unless tasks can gather the source, each some files of a dump."""
    if not config.dump:
        raise InputError("tasks share the files of a dump: give --dump, or leave out --on, --tasks")
    if config.limit:
        raise InputError("limit reads one file after the other: leave it out, or --on and --tasks")


def build_dump_work(config: WikiqaConfig, out: Path, folder: Path, workers: int) -> SharedWork:
    """Build what tasks share: each gathers some files of a dump."""
    missing = partial(_count_missing_dumps, folder, len(config.dump))
    write = partial(_gather_dumps, config, folder, workers)
    return SharedWork(out, "file", write, missing)


def _count_missing_dumps(folder: Path, count: int, task: int, tasks: int) -> int:
    return sum(not _find_end(folder, number).exists() for number in range(task, count, tasks))


def _gather_dumps(
    config: WikiqaConfig,
    folder: Path,
    workers: int,
    task: int = 0,
    tasks: int = 1,
    on_articles: Callable[[int], object] = lambda count: None,
) -> None:
    """Gather the files `task`, `task + tasks` and so on of a dump."""
    left = config.limit
    for number in range(task, len(config.dump), tasks):
        below = folder / f"{number:05d}"
        if not _find_end(folder, number).exists():
            below.mkdir(exist_ok=True)
            _gather_dump(config, config.dump[number], below, left, workers, on_articles)
        if left is not None:
            left -= sum(len(_load_chunk(path)[1]) for path in _chunk_files(below))


def _find_end(folder: Path, number: int) -> Path:
    """Find the file that ends the articles of a dump's file; it sorts after all others."""
    return folder / f"{number:05d}" / END


def _gather_dump(
    config: WikiqaConfig,
    dump: Path,
    folder: Path,
    limit: int | None,
    workers: int,
    on_articles: Callable[[int], object],
) -> None:
    """Gather a file: this process reads, the workers clean pages and write cloze questions."""
    counts: Counts = Counter()
    pages = islice(read_pages(dump, counts, config.language), limit)
    queued: list[Future[int]] = []
    with PageWorkers(workers, _clean_page, _write_chunk, Limits()) as pool:
        for number, chunk in enumerate(_split_into_chunks(pages)):
            path = _chunk_path(folder, number)
            job = Job(path, chunk, Counter(counts), config)
            counts.clear()
            if path.exists():
                on_articles(len(chunk))
                continue
            queued.append(pool.submit(job))
            if len(queued) > AHEAD * workers:
                on_articles(queued.pop(0).result())
        for future in queued:
            on_articles(future.result())
    _write_chunk(folder / END, [], counts)  # what follows the last article


def _clean_page(page: Page, counts: Counts, config: WikiqaConfig) -> Article:
    return _add_questions(build_article(page, config.min_words, counts), config, counts)


def _drop_short_paragraphs(article: Article, config: WikiqaConfig, counts: Counts) -> Article:
    paragraphs = [
        paragraph
        for paragraph in article.paragraphs
        if count_words(paragraph.text, config.language) >= config.min_words
    ]
    counts["short paragraph"] += len(article.paragraphs) - len(paragraphs)
    return replace(article, paragraphs=paragraphs)


def _add_questions(article: Article, config: WikiqaConfig, counts: Counts) -> Article:
    """Add cloze questions and count them, unless a model writes the questions later."""
    if config.writes_by_model:
        return article
    article = add_cloze_questions(article, config.language, counts)
    counts[WRITTEN] += count_questions(article)
    return article


def count_questions(article: Article) -> int:
    """Count the questions on all paragraphs of an article."""
    return sum(len(paragraph.asked) for paragraph in article.paragraphs)


def write_questions(
    config: WikiqaConfig,
    gathered: Path,
    folder: Path,
    chat: ChatModel,
    on_articles: Callable[[int], object] = lambda count: None,
) -> None:
    """Copy the gathered articles to `folder`, with questions that a model writes.

    Only the paragraphs that the config samples are copied. Files that already exist are kept.

    Raises:
        InputError: the model cannot be asked.
    """
    number = 0
    for path in _chunk_files(gathered):
        target = folder / path.relative_to(gathered)
        counts, articles = _load_chunk(path)
        first, number = number, number + len(articles)
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        articles = [
            replace(article, paragraphs=sample_paragraphs(article.paragraphs, index, config))
            for index, article in enumerate(articles, first)
        ]
        count = config.questions_per_paragraph or QUESTIONS
        articles = add_written_questions(articles, chat, count, counts)
        counts[WRITTEN] += sum(map(count_questions, articles))
        _write_chunk(target, articles, counts)
        on_articles(len(articles))


def _split_into_chunks(items: Iterator[Item]) -> Iterator[list[Item]]:
    while chunk := list(islice(items, CHUNK)):
        yield chunk


def _chunk_path(folder: Path, number: int) -> Path:
    return folder / f"articles-{number:06d}.jsonl"


def _chunk_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("articles-*.jsonl"))


def _load_chunk(path: Path) -> tuple[Counts, list[Article]]:
    counts, *articles = path.read_text(encoding="utf-8").splitlines()
    return Counter(json.loads(counts)), [_read_article(json.loads(line)) for line in articles]


def _write_chunk(path: Path, articles: list[Article], counts: Counts) -> None:
    """Write the counts to the first line, then an article per line."""
    lines = [json.dumps(counts), *(json.dumps(asdict(article)) for article in articles)]
    write_atomically(path, "\n".join(lines) + "\n")


def _read_article(entry: dict) -> Article:
    paragraphs = [
        Paragraph(
            text=paragraph["text"],
            asked=[
                Asked(**asked | {"answers": [(text, start) for text, start in asked["answers"]]})
                for asked in paragraph["asked"]
            ],
            section=paragraph["section"],
            links=[Link(**link) for link in paragraph["links"]],
        )
        for paragraph in entry["paragraphs"]
    ]
    return Article(
        title=entry["title"],
        paragraphs=paragraphs,
        names=entry["names"],
        revision=entry["revision"],
        url=entry["url"],
    )
