"""Marks that the text of an article carries while it is built, and what is left without them."""

import re
from dataclasses import dataclass

import regex

from elusive.common.dataset.records import Link, Span

# From the part of Unicode that is reserved for private use.
LINK_END, BOLD, BOLD_END, NOT_PROSE, APOSTROPHE = (chr(0xE000 + number) for number in range(5))
FIRST_LINK, FIRST_HOLE, MAX_MARKS = 0xF0000, 0x100000, 0xFFFE
"""A link begins with the character whose code is the first plus the index of its target; a hole is
the character whose code is the second plus the index of its name."""
HOLE = re.compile(f"[{chr(FIRST_HOLE)}-{chr(FIRST_HOLE + MAX_MARKS)}]")
MARKS = re.compile(
    f"[{LINK_END}-{APOSTROPHE}{chr(FIRST_LINK)}-{chr(FIRST_LINK + MAX_MARKS)}]|{HOLE.pattern}"
)
SPLIT = re.compile(f"({MARKS.pattern})")
PLACEHOLDER = "Hole"
"""Stands for a hole while the text is split into sentences, which a capital may begin."""
QUOTES = re.compile("'{2,}")
NO_TRAIL = "\u0e00-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\ud7ff\uf900-\ufaff"
"""Scripts that write no blanks between words, or attach particles to them: Thai to Burmese, Khmer,
Chinese, Japanese and Korean."""
LINK_TRAIL = regex.compile(rf"(?:(?![{NO_TRAIL}\d_])\w)+")


@dataclass(frozen=True)
class Marked:
    """Text with marks, and what they stand for."""

    text: str
    targets: list[str]
    holes: list[str]


@dataclass(frozen=True)
class Unmarked:
    """Text without marks, and the spans that they marked."""

    text: str
    links: list[Link]
    bold: list[Span]
    holes: list[tuple[Span, str]]


def remove_marks(marked: Marked) -> Unmarked:
    """Return text without marks: links with their spans, and where it is bold or has a hole."""
    pieces: list[str] = []
    length, open_links, bold_start = 0, [], None
    links: list[Link] = []
    bold: list[Span] = []
    holes: list[tuple[Span, str]] = []
    for piece in filter(None, SPLIT.split(marked.text)):
        code = ord(piece[0])
        if code >= FIRST_HOLE:
            holes.append(((length, length + len(PLACEHOLDER)), marked.holes[code - FIRST_HOLE]))
            piece = PLACEHOLDER
        elif code >= FIRST_LINK:
            open_links.append((length, marked.targets[code - FIRST_LINK]))
            continue
        elif piece == LINK_END and open_links:
            start, target = open_links.pop()
            links.append(Link(start, length, target))
            continue
        elif piece == BOLD_END and bold_start is not None:
            bold.append((bold_start, length))
        if piece in (BOLD, BOLD_END):
            bold_start = length if piece == BOLD else None
            continue
        piece = "'" if piece == APOSTROPHE else MARKS.sub("", piece)
        if pieces and pieces[-1].endswith(" "):
            piece = piece.lstrip(" ")
        if piece:
            pieces.append(piece)
            length += len(piece)
    text = "".join(pieces).rstrip()
    links = [link for link in (_trim_link(link, text) for link in links) if link.start < link.end]
    starts = {link.start for link in links}
    return Unmarked(text, [_add_trail(link, text, starts) for link in links], bold, holes)


def _trim_link(link: Link, text: str) -> Link:
    """Return a link without the white space at its ends."""
    words = text[link.start : link.end]
    start = link.start + len(words) - len(words.lstrip())
    return Link(start, max(start, link.start + len(words.rstrip())), link.target)


def _add_trail(link: Link, text: str, starts: set[int]) -> Link:
    """Extend a link to the letters that follow it, as MediaWiki does: [[hyena]]s links hyenas.

    If another link follows immediately, the letters belong to that link.
    """
    trail = None if link.end in starts else LINK_TRAIL.match(text, link.end)
    return Link(link.start, trail.end() if trail else link.end, link.target)


def mark_bold(text: str) -> str:
    """Return text in which pairs of apostrophes are gone and what is bold is marked.

    Source: `doQuotes` of MediaWiki's Parser. What is open at the end of a line ends there.
    """
    return "\n".join(_mark_line(line) if "''" in line else line for line in text.split("\n"))


def _mark_line(line: str) -> str:
    """1) Split off apostrophes that are text; 2) balance; 3) replace by marks."""
    parts = QUOTES.split(line)
    runs = [len(run) for run in QUOTES.findall(line)]
    for index, length in enumerate(runs):
        if length == 4 or length > 5:  # the first of four, and those beyond five, are text
            runs[index] = 3 if length == 4 else 5
            parts[index] += "'" * (length - runs[index])
    if sum(run in (2, 5) for run in runs) % 2 and sum(run in (3, 5) for run in runs) % 2:
        _make_italic(parts, runs)
    pieces, is_bold = [parts[0]], False
    for run, part in zip(runs, parts[1:], strict=True):
        if run >= 3:
            pieces.append(BOLD_END if is_bold else BOLD)
            is_bold = not is_bold
        pieces.append(part)
    return "".join([*pieces, BOLD_END if is_bold else ""])


def _make_italic(parts: list[str], runs: list[int]) -> None:
    """Read one run of three as an apostrophe and an italic: the one after a word of one letter,
    or else after a longer word, or else after a blank."""
    ranks: list[tuple[int, int]] = []
    for index, run in enumerate(runs):
        if run == 3:
            before = MARKS.sub("", parts[index])[-2:]
            after_blank = before.endswith(" ")
            rank = 2 if after_blank else 0 if before[:1] == " " and len(before) == 2 else 1
            ranks.append((rank, index))
    if ranks:
        _, index = min(ranks)
        runs[index] = 2
        parts[index] += "'"
