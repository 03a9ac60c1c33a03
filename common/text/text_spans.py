"""Character spans of whole words in a text."""

from collections.abc import Iterable

import regex

from elusive.common.text.languages import WORD_END, WORD_START

Span = tuple[int, int]


def find_whole_words(text: str, phrases: Iterable[str]) -> list[Span]:
    """Return where phrases occur in a text as whole words, in order and without overlaps.

    Letters, digits and underscores next to a phrase make it part of a longer word, unless their
    script puts no blank between words. Where two phrases overlap, the one that begins first counts;
    of two that begin together, the longer one.

    >>> find_whole_words("The party liked art, art_2 and modern art.", ["art", "modern art"])
    [(16, 19), (31, 41)]
    """
    # Most phrases do not occur at all: leaving them out here spares compiling a pattern for them.
    occurring = [phrase for phrase in phrases if phrase and phrase in text]
    if not occurring:
        return []
    pattern = "|".join(map(regex.escape, sorted(occurring, key=len, reverse=True)))
    whole = regex.compile(f"{WORD_START}(?:{pattern}){WORD_END}")
    return [match.span() for match in whole.finditer(text)]
