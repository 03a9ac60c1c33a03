"""Apostrophes that stand for bold and italic, line by line as MediaWiki reads them."""

import re

from elusive.wikiqa.wikitext.marks import BOLD, BOLD_END, MARKS

QUOTES = re.compile("'{2,}")


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
