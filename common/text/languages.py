"""Codes of languages, what words are made of, and scripts that put no blank between them."""

import re
import unicodedata

ENGLISH = "en"
CODE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]+)*")
"""A code of a language as in BCP 47, such as `de` or `pt-BR`."""
RANGES = (  # of scripts without blanks
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
BLANKS = re.compile(r"\s+")
UNSPACED = re.compile(f"[{RANGES}]")
"""A character of Thai, Lao, Burmese, Khmer, Japanese or Chinese, which put no blank between words:
where words are counted, each such character counts as a word."""
LETTER = r"[\w\p{No}]"
"""Pattern, for the package `regex`, of what words are made of: letters with their combining marks,
which `re` takes for signs, digits of all kinds, and underscores."""
WORD_START, WORD_END = rf"(?<!(?![{RANGES}]){LETTER})", rf"(?!(?![{RANGES}]){LETTER})"
"""Patterns, for `regex`, of the edges of whole words: no letter, digit or underscore is next to
them, except of scripts without blanks."""
UNSPACED_LANGUAGES = ("ja", "km", "lo", "my", "th", "yue", "zh")


def get_base_code(language: str) -> str:
    """Return the code of a language without script and region.

    >>> get_base_code("pt-BR")
    'pt'
    """
    return re.split("[-_]", language.casefold())[0]


def compose(text: str) -> str:
    """Compose letters and their accents (NFC), so that a text is found however it was typed.

    >>> len("e\\u0301"), len(compose("e\\u0301"))
    (2, 1)
    """
    return unicodedata.normalize("NFC", text)


def is_unspaced(language: str) -> bool:
    """Return whether a language puts no blank between words."""
    return get_base_code(language) in UNSPACED_LANGUAGES


def count_words_between(text: str, start: int, end: int, language: str = ENGLISH) -> int:
    """Count the words from the one that ends at `start` to the one at `end`: 1 for the next word.

    Words are counted by the blanks between them, such as one line break or several spaces; in
    languages without blanks, by characters.

    >>> count_words_between("Rome is in Italy", 4, 11), count_words_between("Rome\\nis  in", 4, 9)
    (3, 2)
    >>> count_words_between("罗马位于意大利", 2, 4, "zh")
    3
    """
    blanks = sum(1 for _ in BLANKS.finditer(text, start, end))
    if not is_unspaced(language):
        return blanks
    unspaced = sum(1 for _ in UNSPACED.finditer(text, start, end))
    return blanks + unspaced + (UNSPACED.match(text, end) is not None)


def count_words(text: str, language: str = ENGLISH) -> int:
    """Count the words of a text; in languages without blanks, each of their characters is one.

    >>> count_words("Rome is old"), count_words("罗马 is old", "zh")
    (3, 4)
    """
    if is_unspaced(language):
        text = UNSPACED.sub(r" \g<0> ", text)
    return len(text.split())
