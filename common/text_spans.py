"""Character spans of sentences and of whole words in a text."""

import re
from collections.abc import Iterable

Span = tuple[int, int]

SENTENCE_END = re.compile(r"[.!?][\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9])")

ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:[A-Z]|e\.g|i\.e|c|ca|cf|vs|St|Ft|Mt|Dr|Mr|Mrs|Ms|Prof|Gen|Col|Lt|Sgt|Rev)$"
)
"""A full stop after one of these, initials included, does not end the sentence."""


def find_sentences(text: str, unbroken: list[Span]) -> list[Span]:
    """Return the span of each sentence, without the white space between sentences.

    A sentence ends at a full stop, question mark or exclamation mark before a capital or a digit,
    but not after an initial or one of the commonest abbreviations.

    Args:
        text: what is split.
        unbroken: spans that contain no end of a sentence, such as names.

    >>> find_sentences("Born in St. Ives. Died in Rome.", [(8, 16)])
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


def find_whole_words(text: str, phrases: Iterable[str]) -> list[Span]:
    """Return where phrases occur in a text as whole words, in order and without overlaps.

    Letters, digits and underscores next to a phrase make it part of a longer word. Where two
    phrases overlap, the one that begins first counts; of two that begin together, the longer one.

    >>> find_whole_words("The party liked art, art_2 and modern art.", ["art", "modern art"])
    [(16, 19), (31, 41)]
    """
    # Most phrases do not occur at all: leaving them out here spares compiling a pattern for them.
    occurring = [phrase for phrase in phrases if phrase and phrase in text]
    if not occurring:
        return []
    pattern = "|".join(map(re.escape, sorted(occurring, key=len, reverse=True)))
    return [match.span() for match in re.finditer(rf"(?<!\w)(?:{pattern})(?!\w)", text)]
