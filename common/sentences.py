"""Where sentences begin and end."""

import re

Span = tuple[int, int]

SENTENCE_END = re.compile(r"[.!?][\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9])")

ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:[A-Z]|e\.g|i\.e|c|ca|cf|vs|St|Ft|Mt|Dr|Mr|Mrs|Ms|Prof|Gen|Col|Lt|Sgt|Rev)$"
)
"""What a full stop belongs to without ending the sentence; initials, too."""


def sentence_spans(text: str, unbroken: list[Span]) -> list[Span]:
    """Characters of each sentence, without the white space between them.

    A sentence ends at a full stop, question or exclamation mark before a capital or a digit, but
    not after an initial or one of the commonest abbreviations.

    Args:
        text: what is split.
        unbroken: spans that no sentence ends within, such as names.

    >>> sentence_spans("Born in St. Ives. Died in Rome.", [(8, 16)])
    [(0, 17), (18, 31)]
    """
    spans, start = [], 0
    for match in SENTENCE_END.finditer(text):
        if text[match.start()] == "." and ABBREVIATION.search(
            text, max(0, start - 1), match.start()
        ):
            continue
        if any(first < match.end() and match.start() + 1 < last for first, last in unbroken):
            continue
        spans.append((start, start + len(text[start : match.end()].rstrip())))
        start = match.end()
    return [*spans, (start, len(text))]
