"""What the words before the colon of a link mean in a wiki."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from elusive.wikiqa.wikitext.tables import load_table

LinkKind = Literal["article", "elsewhere", "hidden"]
ALWAYS_HIDDEN = frozenset(("file", "image", "media", "category"))
HIDDEN_NUMBERS = frozenset((-2, 6, 14))
"""Namespaces of media, files and categories."""


@dataclass(frozen=True)
class Wiki:
    """A wiki, as its dump describes it."""

    language: str = "en"
    site: str = ""
    """Its address, such as `https://en.wikipedia.org`; empty if the dump has none."""
    hidden: frozenset[str] = ALWAYS_HIDDEN
    """Namespaces whose links print nothing where they stand, in small letters."""
    elsewhere: frozenset[str] = frozenset()
    """Other namespaces, whose links do not lead to articles."""


def build_wiki(
    language: str = "en", site: str = "", namespaces: Mapping[int, str] | None = None
) -> Wiki:
    """Build a wiki from its language and the numbered namespaces of its dump, if it has any."""
    names = namespaces or {}
    aliases = load_table("namespaces")["dropped"].get(language, [])
    hidden = {_fold(name) for number, name in names.items() if number in HIDDEN_NUMBERS}
    elsewhere = {_fold(name) for name in names.values() if name} - hidden
    return Wiki(
        language, site, ALWAYS_HIDDEN | hidden | set(map(_fold, aliases)), frozenset(elsewhere)
    )


def sort_link(title: str, wiki: Wiki) -> LinkKind:
    """Return whether a link leads to an article, elsewhere, or prints nothing where it stands.

    A colon in front makes a link to a file, category or language an ordinary one.

    >>> [sort_link(title, Wiki()) for title in ("File: a.jpg", ":fr:Rome", "CSI:NY")]
    ['hidden', 'elsewhere', 'article']
    """
    prefix, colon, _ = title.partition(":")
    prefix = _fold(prefix)
    if not colon:
        return "article"
    if not prefix:
        return "elsewhere"
    if prefix in wiki.hidden or prefix in list_languages():
        return "hidden"
    is_elsewhere = prefix in wiki.elsewhere or prefix in _list_projects()
    return "elsewhere" if is_elsewhere else "article"


@cache
def list_languages() -> frozenset[str]:
    """Return the codes of the languages that have a Wikipedia, as links and addresses name them."""
    return frozenset(load_table("namespaces")["languages"].split())


@cache
def _list_projects() -> frozenset[str]:
    return frozenset(map(_fold, load_table("namespaces")["other"].split()))


def _fold(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()
