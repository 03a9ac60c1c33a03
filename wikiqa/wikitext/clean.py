"""Wikitext to plain paragraphs, with links as character spans of the plain text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import mwparserfromhell
from mwparserfromhell.nodes import Heading, Node, Tag
from mwparserfromhell.parser import ParserError

from elusive.wikiqa.articles import Counts, Paragraph
from elusive.wikiqa.wikitext.languages import find_left_out_heading
from elusive.wikiqa.wikitext.marks import MARKS, mark_bold
from elusive.wikiqa.wikitext.namespaces import Wiki
from elusive.wikiqa.wikitext.prose import split_paragraphs
from elusive.wikiqa.wikitext.render import HOLE_TAGS, SILENT_TAGS, Renderer

SWITCHES = re.compile(r"__[A-Z]+__")
COMMENT = re.compile(r"<!--(?>[^-]+|-(?!->))*+-->")
COMMENT_LINE = re.compile(rf"^[ \t]*+{COMMENT.pattern}[ \t]*\n", re.M)
OPEN_COMMENT = re.compile(r"<!--.*?(?=\n==|\Z)", re.S)
"""A comment that nothing closes ends at the next heading."""


@dataclass(frozen=True)
class CleanArticle:
    """The prose of an article."""

    paragraphs: list[Paragraph]
    bold: list[str]
    """What the lead prints in bold: names of the article's entity."""


def clean_article(
    wikitext: str, counts: Counts, min_words: int = 0, wiki: Wiki | None = None
) -> CleanArticle:
    """Extract the prose of an article, paragraph by paragraph; never raise.

    Templates that are known are printed as Wikipedia prints them. A sentence is left out if
    something in it is not known: a template, a formula, or a list that interrupts it. Tables,
    references, files, comments and lists are removed, and so are paragraphs that contain broken
    markup or are shorter than `min_words`. All of this is counted by reason.

    Args:
        wikitext: source of the article.
        counts: to which the reasons are added.
        min_words: fewest words of a paragraph.
        wiki: of the article; by default the English Wikipedia.
    """
    wiki = wiki or Wiki()
    try:
        nodes = mwparserfromhell.parse(_remove_comments(wikitext), skip_style_tags=True).nodes
    except (ParserError, RecursionError):
        counts["article that cannot be parsed"] += 1
        return CleanArticle([], [])
    paragraphs: list[Paragraph] = []
    bold: list[str] = []
    for path, section in _split_sections(nodes):
        if heading := find_left_out_heading(path, wiki.language):
            counts[f"section left out: {heading}"] += heading == path[-1].casefold()
            continue
        renderer = Renderer(wiki)
        try:
            marked = mark_bold(renderer.render(section))
        except RecursionError:
            counts["section that cannot be parsed"] += 1
            continue
        for prose in split_paragraphs(marked, renderer, wiki.language, counts, min_words):
            paragraphs.append(Paragraph(prose.text, [], " > ".join(path), prose.links))
            bold += prose.bold if not path else []
    return CleanArticle(paragraphs, list(dict.fromkeys(bold)))


def _remove_comments(wikitext: str) -> str:
    """Remove comments, with their line if nothing else stands in it, and switches."""
    text = COMMENT_LINE.sub("", MARKS.sub("", wikitext))
    return SWITCHES.sub("", OPEN_COMMENT.sub("", COMMENT.sub("", text)))


def _split_sections(nodes: list[Node]) -> Iterator[tuple[list[str], list[Node]]]:
    """Yield the headings above each section, and its nodes."""
    path: list[tuple[int, str]] = []
    section: list[Node] = []
    for node in _unwrap(nodes):
        if not isinstance(node, Heading):
            section.append(node)
            continue
        yield [name for _, name in path], section
        title = " ".join(node.title.strip_code().replace("''", "").split())
        path = [(level, name) for level, name in path if level < node.level]
        path.append((node.level, title))
        section = []
    yield [name for _, name in path], section


def _unwrap(nodes: list[Node]) -> Iterator[Node]:
    """Yield nodes, and instead of a tag that contains headings what is in it."""
    for node in nodes:
        if isinstance(node, Tag) and node.contents is not None and _has_headings(node):
            yield from _unwrap(node.contents.nodes)
        else:
            yield node


def _has_headings(node: Tag) -> bool:
    name = str(node.tag).strip().casefold()
    if name in SILENT_TAGS or name in HOLE_TAGS:
        return False
    return any(
        isinstance(inner, Heading)
        or (isinstance(inner, Tag) and inner.contents is not None and _has_headings(inner))
        for inner in node.contents.nodes
    )
