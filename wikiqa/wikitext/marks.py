"""Marks that the text of an article carries while it is built, and what is left without them."""

import re
from dataclasses import dataclass

from elusive.common.dataset.records import Link, Span

# From the part of Unicode that is reserved for private use.
LINK_END, BOLD, BOLD_END, NOT_PROSE, APOSTROPHE = (chr(0xE000 + number) for number in range(5))
FIRST_LINK, FIRST_HOLE, MAX_MARKS = 0xF0000, 0x100000, 0xFFFE
"""A link begins with the character whose code is the first plus the index of its target; a hole is
the character whose code is the second plus the index of its name."""
HOLES = f"[{chr(FIRST_HOLE)}-{chr(FIRST_HOLE + MAX_MARKS)}]"
HOLE = re.compile(HOLES)
MARKS = re.compile(f"[{LINK_END}-{APOSTROPHE}{chr(FIRST_LINK)}-{chr(FIRST_LINK + MAX_MARKS)}]|{HOLES}")
PLACEHOLDER = "Hole"
"""Stands for a hole while the text is split into sentences, which a capital may begin."""
NO_TRAIL = "\u0e00-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\ud7ff\uf900-\ufaff"
"""Scripts that write no blanks between words, or attach particles to them: Thai to Burmese, Khmer,
Chinese, Japanese and Korean."""
LINK_TRAIL = re.compile(rf"(?:(?![{NO_TRAIL}])[^\W\d_])+")


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
    characters: list[str] = []
    links: list[Link] = []
    bold: list[Span] = []
    holes: list[tuple[Span, str]] = []
    open_links: list[tuple[int, str]] = []
    bold_start = None
    for character in marked.text:
        code = ord(character)
        if code >= FIRST_HOLE:
            start = len(characters)
            characters += PLACEHOLDER
            holes.append(((start, len(characters)), marked.holes[code - FIRST_HOLE]))
        elif code >= FIRST_LINK:
            open_links.append((len(characters), marked.targets[code - FIRST_LINK]))
        elif character == LINK_END and open_links:
            links += _trim_link(characters, *open_links.pop())
        elif character == BOLD:
            bold_start = len(characters)
        elif character == BOLD_END and bold_start is not None:
            bold.append((bold_start, len(characters)))
            bold_start = None
        elif character == APOSTROPHE:
            characters.append("'")
        elif not MARKS.match(character) and not (character == " " and characters[-1:] == [" "]):
            characters.append(character)
    text = "".join(characters).rstrip()
    starts = {link.start for link in links}
    links = [_add_trail(link, text, starts) for link in links if link.end <= len(text)]
    return Unmarked(text, links, bold, holes)


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
