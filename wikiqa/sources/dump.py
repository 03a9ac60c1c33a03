"""Articles of a Wikipedia dump in pages-articles XML."""

import bz2
import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote
from xml.etree.ElementTree import ParseError

import mwxml
from mwxml.errors import MalformedXML

from elusive.common.errors import InputError
from elusive.common.text.languages import compose
from elusive.wikiqa.articles import Article, Counts
from elusive.wikiqa.sources.xml_stream import CUT, BoundedXml
from elusive.wikiqa.wikitext.clean import clean_article
from elusive.wikiqa.wikitext.namespaces import Wiki, build_wiki, list_languages, sort_link

OPENERS = {".bz2": bz2.open, ".gz": gzip.open}
MAX_CHARACTERS = 2_000_000
"""Longer wikitext is a list or an error, and takes minutes to parse."""
MAX_BYTES = 8 * MAX_CHARACTERS
"""Bytes of XML that are read of one text; a character is at most four, or an entity such as &lt;"""
SITE = re.compile(r"https?://(?:www\.)?([a-z-]+)\.(?:m\.)?wik[a-z]+\.org")
SAME_LANGUAGE = {"simple": "en", "nb": "no", "als": "gsw", "zh-classical": "lzh", "zh-yue": "yue"}
"""Names of languages in the addresses of wikis that differ from their codes."""

DISAMBIGUATION = re.compile(
    r"\{\{\s*(disambig(uation)?|hndis|geodis|dab|surname|given name|set index( article)?|sia)"
    r"\s*(\|[^{}]*)?\}\}",
    re.I,
)
LIST_TITLE = re.compile(r"^(lists? of|outline of|index of|timeline of|glossary of)\b", re.I)


@dataclass(frozen=True)
class Page:
    """An article as it is in the dump."""

    title: str
    wikitext: str
    revision: str
    wiki: Wiki


def read_pages(path: Path, counts: Counts, language: str = "en") -> Iterator[Page]:
    """Read the articles of a dump, in its order; other pages are left out and counted.

    Args:
        path: of the dump.
        counts: to which the reasons are added.
        language: of the dump's text.

    Raises:
        InputError: the file does not exist, is truncated or damaged, is not a dump in XML, or is of
            a wiki in another language.
    """
    number = 0
    with _open_dump(path) as file:
        try:
            dump = mwxml.Dump.from_file(BoundedXml(file, MAX_BYTES))
            wiki = _read_wiki(dump, path, language)
            for page in dump.pages:
                number += 1
                counts["pages read"] += 1
                revision = next(iter(page), None)
                title = page.title or ""
                text = (revision.text if revision else None) or ""
                reason = _find_drop_reason(page, title, text, wiki)
                if reason:
                    counts[reason] += 1
                else:
                    counts["articles read"] += 1
                    yield Page(
                        compose(title), compose(text), str(revision.id if revision else ""), wiki
                    )
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(
                f"{path} is truncated or damaged after page {number} ({error}): download it again"
            ) from None
        except OSError as error:
            raise InputError(f"{path} cannot be read after page {number}: {error}") from None
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8 after page {number}: {error.reason}") from None
        except InputError:
            raise
        except (AttributeError, TypeError, ValueError) as error:  # mwxml, of values it cannot read
            raise InputError(
                f"{path}: a title, number or time after page {number} is not as in pages-articles "
                f"XML ({error}): correct it, or download the dump again"
            ) from None
        except (ParseError, MalformedXML, AssertionError) as error:
            raise InputError(
                f"{path} is not well-formed pages-articles XML after page {number}: {error}"
            ) from None


@contextmanager
def _open_dump(path: Path) -> Iterator[IO[bytes]]:
    """Open a dump, decompressed according to its suffix."""
    try:
        file = OPENERS.get(path.suffix, open)(path, "rb")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    with file:
        yield file  # type: ignore[misc]


def _read_wiki(dump: mwxml.Dump, path: Path, language: str) -> Wiki:
    """Read the address and the namespaces of a dump's wiki.

    Raises:
        InputError: the wiki's language is another.
    """
    base = getattr(dump.site_info, "base", None) or ""
    if site := SITE.match(base):
        codes = (SAME_LANGUAGE.get(code, code) for code in (site[1], language.casefold()))
        if site[1] in list_languages() and len({code.split("-")[0] for code in codes}) > 1:
            raise InputError(
                f"{path} is a dump of {base}, but --language is {language}: "
                f"add --language {site[1]}"
            )
    names = {space.id: space.name for space in dump.site_info.namespaces or [] if space.name}
    return build_wiki(language, base.split("/wiki/")[0] if "/wiki/" in base else "", names)


def _find_drop_reason(page: mwxml.Page, title: str, text: str, wiki: Wiki) -> str | None:
    """Return why a page is not an article, or None if it is one."""
    if page.namespace or (not wiki.elsewhere and sort_link(title, wiki) != "article"):
        return "page of another namespace"
    if page.redirect or text.lstrip()[:9].casefold() == "#redirect":
        return "redirect"
    if title.endswith("(disambiguation)") or DISAMBIGUATION.search(text):
        return "disambiguation"
    if LIST_TITLE.match(title):
        return "list"
    if len(text) > MAX_CHARACTERS or CUT in text:
        return f"article of more than {MAX_CHARACTERS:,} characters"
    return None


def build_article(page: Page, min_words: int, counts: Counts) -> Article:
    """Build an article from the prose of a page."""
    cleaned = clean_article(page.wikitext, counts, min_words, page.wiki)
    counts["paragraphs read"] += len(cleaned.paragraphs)
    counts["links"] += sum(len(paragraph.links) for paragraph in cleaned.paragraphs)
    url = f"{page.wiki.site}/wiki/{quote(page.title.replace(' ', '_'))}?oldid={page.revision}"
    return Article(
        title=page.title,
        paragraphs=cleaned.paragraphs,
        names=cleaned.bold,
        revision=page.revision,
        url=url if page.wiki.site else "",
    )
