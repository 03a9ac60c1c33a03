"""What worker processes run in tests; they import it by name."""

import os
import resource
import signal
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
    if page in ("SIGKILL", "SIGSEGV"):
        os.kill(os.getpid(), signal.Signals[page])
    if page == "error":
        raise InputError("wrong")
    if page == "unsendable error":
        raise RuntimeError("odd", lambda: None)
    counts["cleaned"] += 1
    return Article(page[:4], clean_article(page, counts).paragraphs)


def write_titles(path: Path, articles: list[Article], counts: Counts) -> None:
    path.write_text(f"{[article.title for article in articles]} {sorted(counts.items())}")


def die_writing(path: Path, articles: list[Article], counts: Counts) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)
