"""What worker processes run in tests; they import it by name."""

import resource
from pathlib import Path

from elusive.common.errors import InputError
from elusive.wikiqa.articles import Article, Counts
from elusive.wikiqa.wikitext.clean import clean_article


def clean_or_misbehave(page: str, counts: Counts, settings: object) -> Article:
    """What the workers run: a page is a word, or the wikitext of a real one."""
    if page == "memory":
        bytearray(settings.memory + (64 << 20))  # pyright: ignore[reportAttributeAccessIssue]
    if page == "crash":
        resource.setrlimit(resource.RLIMIT_CPU, (0, resource.RLIM_INFINITY))
        while True:
            pass
    if page == "error":
        raise InputError("wrong")
    counts["cleaned"] += 1
    return Article(page[:4], clean_article(page, counts).paragraphs)


def write_titles(path: Path, articles: list[Article], counts: Counts) -> None:
    path.write_text(f"{[article.title for article in articles]} {sorted(counts.items())}")
