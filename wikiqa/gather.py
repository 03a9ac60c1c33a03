"""First pass: every article of a source, in files of their own, so that a killed run goes on."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, replace
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from elusive.common.dataset.records import Link
from elusive.common.folders import write_atomically
from elusive.wikiqa.articles import Article, Asked, Counts, Paragraph
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.questions.chat import ChatModel
from elusive.wikiqa.questions.cloze import cloze_questions
from elusive.wikiqa.questions.writer import written_questions
from elusive.wikiqa.sampling import sampled_paragraphs
from elusive.wikiqa.sources.dump import Page, article_of, read_pages
from elusive.wikiqa.sources.row_tables import read_hub, read_table_file
from elusive.wikiqa.sources.squad import read_squad

Item = TypeVar("Item")

CHUNK = 25
"""Articles per file: what a killed run loses at most."""
QUESTIONS = 3
"""What a model writes on each paragraph where the config does not say."""
WRITTEN = "questions written"
AHEAD = 4
"""Chunks that wait for each worker."""


def gather_articles(
    config: WikiqaConfig,
    folder: Path,
    workers: int = 1,
    on_articles: Callable[[int], object] = lambda count: None,
) -> None:
    """Write the articles of the config's source to `folder`, those that are not there yet.

    Raises:
        InputError: the source cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if config.dump:
        _gather_dump(config, config.dump, folder, workers, on_articles)
    else:
        _gather_others(config, folder, on_articles)


def load_articles(folder: Path) -> Iterator[Article]:
    """The articles that were gathered, in the order of the source."""
    for path in _chunk_files(folder):
        yield from _load_chunk(path)[1]


def load_counts(folder: Path) -> Counts:
    """What was counted while the articles were gathered."""
    counts: Counts = Counter()
    for path in _chunk_files(folder):
        with path.open(encoding="utf-8") as file:
            counts.update(json.loads(next(file)))
    return counts


def _source(config: WikiqaConfig, counts: Counts) -> Iterator[Article]:
    """The articles of a source that has questions."""
    if config.squad:
        return read_squad(config.squad, counts)
    if config.table:
        return read_table_file(config.table, config, counts)
    assert config.hub is not None
    return read_hub(config.hub, config, counts)


def _gather_others(
    config: WikiqaConfig, folder: Path, on_articles: Callable[[int], object]
) -> None:
    """Articles of a source that has questions; those of a chunk that is there are read over."""
    counts: Counts = Counter()
    articles = islice(_source(config, counts), config.limit)
    for number, chunk in enumerate(_chunks(articles)):
        path = _chunk_path(folder, number)
        if not path.exists():
            if config.raw:
                chunk = [_long_enough(article, config, counts) for article in chunk]
                chunk = [_asked_about(article, config, counts) for article in chunk]
            _write_chunk(path, chunk, counts)
        counts.clear()
        on_articles(len(chunk))


def _gather_dump(
    config: WikiqaConfig,
    dump: Path,
    folder: Path,
    workers: int,
    on_articles: Callable[[int], object],
) -> None:
    """Articles of a dump: one process reads, the workers clean and ask."""
    counts: Counts = Counter()
    pages = islice(read_pages(dump, counts), config.limit)
    waiting: list[Future[int]] = []
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for number, chunk in enumerate(_chunks(pages)):
            path = _chunk_path(folder, number)
            read = Counter(counts)
            counts.clear()
            if path.exists():
                on_articles(len(chunk))
                continue
            waiting.append(pool.submit(_clean_chunk, path, chunk, read, config))
            if len(waiting) > AHEAD * workers:
                on_articles(waiting.pop(0).result())
        for future in waiting:
            on_articles(future.result())


def _clean_chunk(path: Path, pages: list[Page], counts: Counts, config: WikiqaConfig) -> int:
    """Clean pages, ask about them, and write them; how many."""
    articles = [article_of(page, config.min_words, counts) for page in pages]
    articles = [_asked_about(article, config, counts) for article in articles]
    _write_chunk(path, articles, counts)
    return len(pages)


def _long_enough(article: Article, config: WikiqaConfig, counts: Counts) -> Article:
    """The article without its short paragraphs, which are counted."""
    long = [p for p in article.paragraphs if len(p.text.split()) >= config.min_words]
    counts["short paragraph"] += len(article.paragraphs) - len(long)
    return replace(article, paragraphs=long)


def _asked_about(article: Article, config: WikiqaConfig, counts: Counts) -> Article:
    """The article with cloze questions, which are counted; unless a model shall write them."""
    if config.writes_by_model:
        return article
    asked = cloze_questions(article)
    counts[WRITTEN] += num_questions(asked)
    return asked


def num_questions(article: Article) -> int:
    """Questions on all paragraphs."""
    return sum(len(paragraph.asked) for paragraph in article.paragraphs)


def write_questions(
    config: WikiqaConfig,
    gathered: Path,
    folder: Path,
    chat: ChatModel,
    on_articles: Callable[[int], object] = lambda count: None,
) -> None:
    """Write the gathered articles to `folder` once more, with a model's questions on the paragraphs
    that the config draws; those that are there stay.

    Raises:
        InputError: the model cannot be asked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(_chunk_files(gathered)):
        if (folder / path.name).exists():
            continue
        counts, articles = _load_chunk(path)
        drawn = [
            replace(a, paragraphs=sampled_paragraphs(a.paragraphs, number * CHUNK + index, config))
            for index, a in enumerate(articles)
        ]
        count = config.questions_per_paragraph or QUESTIONS
        asked = written_questions(drawn, chat, count, counts)
        counts[WRITTEN] += sum(map(num_questions, asked))
        _write_chunk(folder / path.name, asked, counts)
        on_articles(len(asked))


def _chunks(items: Iterator[Item]) -> Iterator[list[Item]]:
    """The items, `CHUNK` at a time."""
    while chunk := list(islice(items, CHUNK)):
        yield chunk


def _chunk_path(folder: Path, number: int) -> Path:
    """Where a chunk goes."""
    return folder / f"articles-{number:06d}.jsonl"


def _chunk_files(folder: Path) -> list[Path]:
    """The chunks of a folder, in order."""
    return sorted(folder.glob("articles-*.jsonl"))


def _load_chunk(path: Path) -> tuple[Counts, list[Article]]:
    """Counts and articles of a chunk."""
    counts, *articles = path.read_text(encoding="utf-8").splitlines()
    return Counter(json.loads(counts)), [_article(json.loads(line)) for line in articles]


def _write_chunk(path: Path, articles: list[Article], counts: Counts) -> None:
    """Write counts and articles, a line each."""
    lines = [json.dumps(counts), *(json.dumps(asdict(article)) for article in articles)]
    write_atomically(path, "\n".join(lines) + "\n")


def _article(entry: dict) -> Article:
    """An article from its line."""
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
