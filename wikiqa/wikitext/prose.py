"""Paragraphs of prose in the marked text of a section, without the sentences that have a hole."""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from elusive.common.dataset.records import Link, Span
from elusive.common.text.sentences import find_sentences
from elusive.wikiqa.articles import Counts
from elusive.wikiqa.left_out import LEFT_OUT, SENTENCES_LEFT_OUT, SENTENCES_READ
from elusive.wikiqa.wikitext.marks import (
    BOLD,
    BOLD_END,
    FIRST_HOLE,
    FIRST_LINK,
    HOLE,
    LINK_END,
    MARKS,
    NOT_PROSE,
    Marked,
    Unmarked,
    remove_marks,
)
from elusive.wikiqa.wikitext.render import PRONOUNCED, Renderer

LEFTOVER = re.compile(
    r"\[\[|\]\]|\{\{|\}\}|'''|''|\{\||\|\}|</?[a-zA-Z]+[^<>]*>|<!--|-->|&[a-z]+;|\|\||=="
)
EMPTY_BRACKETS = re.compile(r"[(\[][\s,;:\u2013\u2014-]*[)\]]")
OPENING_JUNK = re.compile(r"([(\[])[\s,;:]+")
CLOSING_JUNK = re.compile(r"(?<![\s,;:])[\s,;:]+([)\]])")
DOUBLE_COMMA = re.compile(r"[,;](?=\s*[,;])")
SPACE_BEFORE = re.compile(r" ([,.;:!?)])")
BRACKETS = re.compile(r"\([^()]*\)")
BRACKET_PART = re.compile(r"[,;][^,;]*|[^,;]+")
SENTENCE_END = re.compile(r"[.!?…。！？．।॥؟۔։።]['\"”’»«)\]」』）›]*$")
UNMARKED_ENDS = frozenset(("th", "lo", "km", "my"))
"""Languages that write no mark at the end of a sentence."""
LIST, NO_END = "a list or table follows", "it does not end"


@dataclass(frozen=True)
class Prose:
    """A paragraph as it is kept."""

    text: str
    links: list[Link]
    bold: list[str]


def split_paragraphs(
    marked: str, renderer: Renderer, language: str, counts: Counts, min_words: int
) -> Iterator[Prose]:
    """Yield the paragraphs of a section; what is left out is counted by reason.

    Args:
        marked: text of a section.
        renderer: that rendered it.
        language: of the text.
        counts: to which the reasons are added.
        min_words: fewest words of a paragraph.
    """
    is_interrupted = False
    for block in re.split(r"\n\s*\n", marked):
        running, is_interrupted = _join_lines(block, renderer, language, is_interrupted)
        if not running:
            continue
        running = _tidy(_print_pronunciations(_tidy(running), renderer))
        unmarked = remove_marks(Marked(running, renderer.targets, renderer.holes))
        prose = _drop_sentences(unmarked, language, counts)
        if not prose.text:
            continue
        if LEFTOVER.search(prose.text):
            counts["paragraph with broken markup"] += 1
        elif len(prose.text.split()) < min_words:
            counts["short paragraph"] += 1
        else:
            yield prose


def _join_lines(
    block: str, renderer: Renderer, language: str, is_interrupted: bool
) -> tuple[str, bool]:
    """Return the prose of a block, and whether a list or formula stands at its end.

    A list, a formula or a template on lines of its own is a hole if it interrupts a sentence: if
    the text before it ends none, or the text after it begins with a small letter.

    Args:
        block: lines without a blank one between them.
        renderer: of the block.
        language: of the text.
        is_interrupted: whether a list or formula stood at the end of the block before.
    """
    pieces: list[str] = []
    gap = renderer.mark_hole(LIST) if is_interrupted else ""
    for line in block.split("\n"):
        plain, holes = MARKS.sub("", line).strip(), "".join(HOLE.findall(line))
        if not plain and not holes:
            continue
        if not plain or not _is_prose(line):
            is_template = not plain and all("{{" in name for name in _name_holes(holes, renderer))
            gap = holes or renderer.mark_hole(LIST)
            is_interrupted = not is_template
            continue
        if gap and pieces and not _ends(pieces[-1], language):
            pieces.append(gap if plain[0].islower() else f"{gap}.")
        elif gap and plain[0].islower() and (pieces or is_interrupted):
            pieces.append(gap)
        gap, is_interrupted = "", False
        pieces.append(line)
    if pieces and not _ends(pieces[-1], language):
        pieces.append(gap or renderer.mark_hole(NO_END if not _introduces(pieces[-1]) else LIST))
    return " ".join(pieces), is_interrupted


def _name_holes(marks: str, renderer: Renderer) -> list[str]:
    return [renderer.holes[ord(mark) - FIRST_HOLE] for mark in marks]


def _is_prose(line: str) -> bool:
    """Return whether a line is neither a list item nor a row of a broken table."""
    plain = MARKS.sub("", line).lstrip()
    return NOT_PROSE not in line and not plain.startswith(("*", "#", ":", ";", "|", "!"))


def _ends(line: str, language: str) -> bool:
    """Return whether a line ends with the end of a sentence, or with a hole."""
    plain = MARKS.sub("", line).rstrip()
    if HOLE.match(line.rstrip()[-1:]) or (language in UNMARKED_ENDS and not _introduces(line)):
        return True
    return bool(SENTENCE_END.search(plain[-12:]))


def _introduces(line: str) -> bool:
    return MARKS.sub("", line).rstrip().endswith((":", "："))


def _tidy(text: str) -> str:
    """Squeeze white space, and remove brackets that are empty without their markup."""
    text = " ".join(text.split())
    if "(" in text or "[" in text:
        text = DOUBLE_COMMA.sub("", text)
        for _ in range(2):  # brackets may be nested
            text = CLOSING_JUNK.sub(r"\1", OPENING_JUNK.sub(r"\1", EMPTY_BRACKETS.sub("", text)))
        text = " ".join(text.split())
    return SPACE_BEFORE.sub(r"\1", text)


def _print_pronunciations(text: str, renderer: Renderer) -> str:
    """Drop the parts of brackets, between commas or semicolons, that say how a word is said; print
    what is known of the others."""

    def is_pronounced(part: str) -> bool:
        names = _name_holes("".join(HOLE.findall(part)), renderer)
        return any(name.startswith(PRONOUNCED) for name in names) and _is_balanced(part)

    def drop_parts(match: re.Match[str]) -> str:
        if not HOLE.search(match[0]):
            return match[0]
        parts = BRACKET_PART.findall(match[0][1:-1])
        return f"({''.join(part for part in parts if not is_pronounced(part))})"

    text = BRACKETS.sub(drop_parts, text)
    return HOLE.sub(lambda match: renderer.spoken.get(match[0], match[0]), text)


def _is_balanced(part: str) -> bool:
    """Return whether each link and bold text that begins in a part also ends in it."""
    num_links = sum(FIRST_LINK <= ord(character) < FIRST_HOLE for character in part)
    return num_links == part.count(LINK_END) and part.count(BOLD) == part.count(BOLD_END)


def _drop_sentences(unmarked: Unmarked, language: str, counts: Counts) -> Prose:
    """Return the sentences without a hole, and count the others by what their holes are."""
    spans = [(link.start, link.end) for link in unmarked.links]
    sentences = find_sentences(unmarked.text, spans, language) if unmarked.text else []
    bold = [unmarked.text[start:end].strip() for start, end in _keep_whole(unmarked)]
    counts[SENTENCES_READ] += len(sentences)
    if not unmarked.holes:
        return Prose(unmarked.text, unmarked.links, bold)
    holes = sorted((first, name) for (first, _), name in unmarked.holes)
    starts = [first for first, _ in holes]
    kept: list[tuple[Span, Span]] = []  # with the white space that follows
    for index, (start, end) in enumerate(sentences):
        next_start = sentences[index + 1][0] if index + 1 < len(sentences) else end
        within = slice(bisect_left(starts, start), bisect_left(starts, end))
        names = {name for _, name in holes[within]}
        if names:
            counts[SENTENCES_LEFT_OUT] += 1
        for name in names:
            counts[f"{LEFT_OUT}{name.removeprefix(PRONOUNCED)}"] += 1
        kept += [] if names else [((start, end), (start, next_start))]
    text = "".join(unmarked.text[slice(*span)] for _, span in kept).rstrip()
    return Prose(text, _move_links(unmarked.links, kept), bold)


def _keep_whole(unmarked: Unmarked) -> Iterator[Span]:
    """Yield where text is bold, without a hole in it."""
    starts = sorted(first for (first, _), _ in unmarked.holes)
    for start, end in unmarked.bold:
        if end > start and bisect_left(starts, start) == bisect_left(starts, end):
            yield start, end


def _move_links(links: list[Link], kept: list[tuple[Span, Span]]) -> list[Link]:
    """Return the links of the sentences that are kept, where they then are."""
    moved, index, offset = [], 0, 0
    for link in sorted(links, key=lambda link: link.start):
        while index < len(kept) and kept[index][1][1] <= link.start:
            offset += kept[index][1][1] - kept[index][1][0]
            index += 1
        if index < len(kept) and kept[index][0][0] <= link.start and link.end <= kept[index][0][1]:
            shift = offset - kept[index][0][0]
            moved.append(Link(link.start + shift, link.end + shift, link.target))
    return moved
