"""What is known of a wiki's templates: printed by a pattern, silent, pronounced or computed."""

import re
from fnmatch import translate
from functools import cache
from typing import Literal

import mwparserfromhell
from mwparserfromhell.nodes import Node

from elusive.wikiqa.wikitext.computed import COMPUTED
from elusive.wikiqa.wikitext.tables import load_table, split_names

TemplateKind = Literal["printed", "silent", "pronounced", "computed", "unknown"]
PREFIX = re.compile(r"^(template|vorlage|modèle|plantilla|шаблон|:)\s*:?\s*", re.I)
COMPUTED_PREFIXES = ("lang-",)
"""Names that begin so are all computed by one function."""


@cache
def sort_template(name: str, language: str) -> TemplateKind:
    """Return what is known of a template of a language's wiki; its name is in small letters.

    >>> [sort_template(name, "en") for name in ("nowrap", "cite web", "citation needed", "convert")]
    ['printed', 'unknown', 'silent', 'computed']
    """
    if name in _load_patterns(language):
        return "printed"
    if find_computed_name(name) in COMPUTED:
        return "computed"
    if _match_names("silent", language).fullmatch(name):
        return "silent"
    return "pronounced" if _match_names("pronounced", language).fullmatch(name) else "unknown"


def find_computed_name(name: str) -> str:
    """Return the name by which the function is found that computes a template."""
    return next((prefix for prefix in COMPUTED_PREFIXES if name.startswith(prefix)), name)


@cache
def find_pattern(name: str, language: str) -> list[Node]:
    """Return the nodes of the wikitext that a template prints."""
    return mwparserfromhell.parse(_load_patterns(language)[name], skip_style_tags=True).nodes


@cache
def _load_patterns(language: str) -> dict[str, str]:
    table = load_table("templates")["printed"]
    return {
        name: pattern
        for scope in ("any", _find_scope(language))
        for names, pattern in table.get(scope, {}).items()
        for name in split_names(names)
    }


@cache
def _match_names(kind: str, language: str) -> re.Pattern[str]:
    table = load_table("templates")[kind]
    names = f"{table['any']} / {table.get(_find_scope(language), '')}"
    return re.compile("|".join(map(translate, split_names(" ".join(names.split())))))


def _find_scope(language: str) -> str:
    return "en" if language == "simple" else language
