"""Wikitext to plain paragraphs, with links as character spans of the plain text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import mwparserfromhell
from mwparserfromhell.nodes import (
    ExternalLink,
    Heading,
    HTMLEntity,
    Tag,
    Template,
    Text,
    Wikilink,
)
from mwparserfromhell.parser import ParserError
from mwparserfromhell.wikicode import Wikicode

from elusive.common.dataset.records import Link
from elusive.wikiqa.articles import Counts, Paragraph

# Marks in the text while it is built, from the part of Unicode that is reserved for private use.
LINK_END, BOLD, BOLD_END, NOT_PROSE, HOLE = (chr(0xE000 + number) for number in range(5))
FIRST_LINK, MAX_LINKS = 0xF0000, 0xFFFE
"""A link begins with the character whose code is this plus the index of its target."""
MARKS = re.compile(f"[{LINK_END}-{HOLE}{chr(FIRST_LINK)}-{chr(FIRST_LINK + MAX_LINKS)}]")

DROPPED_TAGS = frozenset(
    (
        *("ref", "references", "table", "gallery", "timeline", "imagemap", "score", "pre", "poem"),
        *("syntaxhighlight", "source", "code", "hiero", "graph", "templatedata", "categorytree"),
        *("section", "noinclude", "includeonly", "inputbox"),
    )
)
HOLE_TAGS = frozenset(("math", "chem", "ce"))
"""Formulas; a sentence cannot be read without its formula."""
LIST_TAGS = frozenset(("li", "dt", "dd"))

DROPPED_SECTIONS = frozenset(
    (
        *("references", "external links", "see also", "notes", "further reading", "bibliography"),
        *("sources", "footnotes", "notes and references", "references and notes", "citations"),
        *("general references", "literature", "publications", "works", "selected works"),
        *("gallery", "discography", "filmography"),
    )
)
DROPPED_LINKS = re.compile(r"^\s*(file|image|media|category|[a-z]{2,3}(-[a-z]+)*)\s*:\S", re.I)
"""Links whose words are not part of the sentence: pictures, categories, languages."""
NOT_PAGES = re.compile(
    r"^\s*(:|(wikt|wiktionary|wikipedia|wp|w|s|q|b|n|d|v|m|help|template|user|portal|special|talk|"
    r"wikisource|wikiquote|commons|meta|draft|module)\s*:\S)",
    re.I,
)
"""Targets in another namespace or wiki; their words are kept, the links are not."""
LINK_TRAIL = re.compile(r"[a-z]+")
SWITCHES = re.compile(r"__[A-Z]+__")
LEFTOVER = re.compile(r"\[\[|\]\]|\{\{|\}\}|'''|''|\{\||\|\}|</?[a-zA-Z]+[^<>]*>|&[a-z]+;|\|\||==")
EMPTY_BRACKETS = re.compile(r"[ \t]*[(\[][\s,;:\u2013\u2014-]*[)\]]")
OPENING_JUNK = re.compile(r"([(\[])[\s,;:]+")
CLOSING_JUNK = re.compile(r"[\s,;:]+([)\]])")
SPACE_BEFORE = re.compile(r"[ \t]+([,.;:!?)])")

FIRST_ARGUMENT = frozenset(("nowrap", "nobr", "small", "sic", "not a typo", "noitalic", "em"))
LAST_ARGUMENT = frozenset(("lang", "transl", "transliteration", "abbr"))
EN_DASH, EM_DASH = "\u2013", "\u2014"
CONSTANT = {
    "nbsp": " ",
    "ndash": EN_DASH,
    "spaced ndash": f" {EN_DASH} ",
    "snd": f" {EN_DASH} ",
    "mdash": EM_DASH,
    "'": "'",
}


@dataclass(frozen=True)
class CleanArticle:
    """The prose of an article."""

    paragraphs: list[Paragraph]
    bold: list[str]
    """What the lead prints in bold: names of the article's entity."""


def clean_article(wikitext: str, counts: Counts, min_words: int = 0) -> CleanArticle:
    """Extract the prose of an article, paragraph by paragraph; never raise.

    Templates, tables, references, files, comments and lists are removed. Paragraphs that contain a
    formula or broken markup, or that are shorter than `min_words`, are left out and counted by
    reason.

    Args:
        wikitext: source of the article.
        counts: to which the reasons are added.
        min_words: fewest words of a paragraph.
    """
    try:
        code = mwparserfromhell.parse(SWITCHES.sub("", MARKS.sub("", wikitext)))
    except (ParserError, RecursionError):
        counts["article that cannot be parsed"] += 1
        return CleanArticle([], [])
    paragraphs: list[Paragraph] = []
    bold: list[str] = []
    for section, nodes in _split_sections(code):
        targets: list[str] = []
        try:
            marked = "".join(_render(nodes, targets))
        except RecursionError:
            counts["article that cannot be parsed"] += 1
            continue
        for text, links, names in _split_paragraphs(marked, targets, counts, min_words):
            paragraphs.append(Paragraph(text, [], section, links))
            bold += names if not section else []
    return CleanArticle(paragraphs, list(dict.fromkeys(bold)))


def _split_sections(code: Wikicode) -> Iterator[tuple[str, list]]:
    """Yield the headings and nodes of each section; no nodes if it lists sources or links."""
    path: list[tuple[int, str]] = []
    nodes: list = []
    for node in code.nodes:
        if not isinstance(node, Heading):
            nodes.append(node)
            continue
        yield _name_section(path, nodes)
        title = " ".join(node.title.strip_code().split())
        path = [(level, name) for level, name in path if level < node.level]
        path.append((node.level, title))
        nodes = []
    yield _name_section(path, nodes)


def _name_section(path: list[tuple[int, str]], nodes: list) -> tuple[str, list]:
    if any(name.casefold() in DROPPED_SECTIONS for _, name in path):
        nodes = []
    return " > ".join(name for _, name in path), nodes


def _render(nodes: list, targets: list[str]) -> Iterator[str]:
    """Yield the text of nodes with marks around links and bold; link targets go to `targets`."""
    for node in nodes:
        if isinstance(node, Text):
            yield str(node.value)
        elif isinstance(node, Wikilink):
            yield from _render_link(node, targets)
        elif isinstance(node, ExternalLink):
            if node.brackets and node.title is not None:
                yield from _render(node.title.nodes, targets)
        elif isinstance(node, HTMLEntity):
            yield _render_entity(node)
        elif isinstance(node, Tag):
            yield from _render_tag(node, targets)
        elif isinstance(node, Template):
            yield from _render_template(node, targets)


def _render_link(node: Wikilink, targets: list[str]) -> Iterator[str]:
    """Yield the words of a link, marked if it leads to an article; none of files and categories."""
    target = " ".join(str(node.title).split("#")[0].replace("_", " ").split())
    if DROPPED_LINKS.match(str(node.title)):
        return
    label = list(node.text.nodes) if node.text is not None else None
    if not target or "{" in target or "[" in target or NOT_PAGES.match(str(node.title)):
        yield from [target.lstrip(":")] if label is None else _render(label, targets)
        return
    if len(targets) < MAX_LINKS:
        targets.append(target)
    yield chr(FIRST_LINK + len(targets) - 1)
    yield from [target] if label is None else _render(label, targets)
    yield LINK_END


def _render_entity(node: HTMLEntity) -> str:
    """Return the character of an HTML entity; a space if it is white space or not valid."""
    try:
        character = node.normalize()
    except (ValueError, OverflowError):
        return " "
    return " " if character.isspace() or MARKS.match(character) else character


def _render_tag(node: Tag, targets: list[str]) -> Iterator[str]:
    """Yield the contents of a tag if they are prose."""
    name = str(node.tag).strip().casefold()
    if name in HOLE_TAGS:
        yield HOLE
    elif name in LIST_TAGS and node.self_closing:
        yield NOT_PROSE
    elif name == "br":
        yield " "
    elif name == "hr":
        yield "\n\n"
    elif name not in DROPPED_TAGS and node.contents is not None:
        is_bold = name == "b"
        yield BOLD if is_bold else ""
        yield from _render(node.contents.nodes, targets)
        yield BOLD_END if is_bold else ""


def _render_template(node: Template, targets: list[str]) -> Iterator[str]:
    """Yield the words of the few templates that stand for words; nothing for others."""
    name = " ".join(str(node.name).split()).casefold()
    arguments = [p.value for p in node.params if not p.showkey]
    if name in CONSTANT:
        yield CONSTANT[name]
    elif name in FIRST_ARGUMENT and arguments:
        yield from _render(arguments[0].nodes, targets)
    elif name in LAST_ARGUMENT and len(arguments) > 1:
        yield from _render(arguments[1 if name == "lang" else -1].nodes, targets)
    elif name in ("convert", "cvt") and len(arguments) > 1:
        yield f"{str(arguments[0]).strip()} {str(arguments[1]).strip()}"


def _split_paragraphs(
    marked: str, targets: list[str], counts: Counts, min_words: int
) -> Iterator[tuple[str, list[Link], list[str]]]:
    """Yield the text, links and bold words of each paragraph of a section."""
    for block in re.split(r"\n\s*\n", marked):
        prose = _tidy(" ".join(line for line in block.split("\n") if _is_prose(line)))
        text, links, bold = _remove_marks(prose, targets)
        if not text:
            continue
        if HOLE in prose:
            counts["paragraph with a formula"] += 1
        elif LEFTOVER.search(text):
            counts["paragraph with broken markup"] += 1
        elif len(text.split()) < min_words:
            counts["short paragraph"] += 1
        else:
            yield text, links, bold


def _is_prose(line: str) -> bool:
    """Return whether a line is neither a list item nor a row of a broken table."""
    plain = MARKS.sub("", line).lstrip()
    return NOT_PROSE not in line and not plain.startswith(("*", "#", ":", ";", "|", "!"))


def _tidy(text: str) -> str:
    """Squeeze white space, and remove brackets that are empty without their markup."""
    text = " ".join(text.split())
    for _ in range(2):  # brackets may be nested
        text = EMPTY_BRACKETS.sub("", text)
        text = OPENING_JUNK.sub(r"\1", text)
        text = CLOSING_JUNK.sub(r"\1", text)
    return SPACE_BEFORE.sub(r"\1", text).strip()


def _remove_marks(marked: str, targets: list[str]) -> tuple[str, list[Link], list[str]]:
    """Return the text without marks, its links with their spans, and what it prints in bold."""
    characters: list[str] = []
    links: list[Link] = []
    bold: list[str] = []
    open_links: list[tuple[int, str]] = []
    bold_start = 0
    for character in marked:
        index = ord(character) - FIRST_LINK
        if 0 <= index < MAX_LINKS:
            open_links.append((len(characters), targets[index]))
        elif character == LINK_END and open_links:
            links += _trim_link(characters, *open_links.pop())
        elif character == BOLD:
            bold_start = len(characters)
        elif character == BOLD_END:
            bold.append("".join(characters[bold_start:]).strip())
        elif not MARKS.match(character) and not (character == " " and characters[-1:] == [" "]):
            characters.append(character)
    text = "".join(characters).rstrip()
    starts = {link.start for link in links}
    links = [_add_trail(link, text, starts) for link in links if link.end <= len(text)]
    return text, links, [name for name in bold if name]


def _add_trail(link: Link, text: str, starts: set[int]) -> Link:
    """Extend a link to the letters that follow it, as MediaWiki does: [[hyena]]s links hyenas.

    If another link follows immediately, the letters belong to that link.
    """
    trail = None if link.end in starts else LINK_TRAIL.match(text, link.end)
    return Link(link.start, trail.end() if trail else link.end, link.target)


def _trim_link(characters: list[str], start: int, target: str) -> list[Link]:
    """Return a link from `start` to the last character, without white space at its ends."""
    end = len(characters)
    while start < end and characters[start] == " ":
        start += 1
    while end > start and characters[end - 1] == " ":
        end -= 1
    return [Link(start, end, target)] if start < end else []
