"""Character spans of sentences, by the rules of the text's language."""

import re
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

import regex
import sentencex

from elusive.common.text.languages import LETTER, get_base_code, is_unspaced

Span = tuple[int, int]

SENTENCE_RULES = "sentencex 1"
JOINED_AS_FOUND = ", before digits too, joined as found"
"""Further rules of texts without blanks between words."""

ABBREVIATIONS = {
    "ar": "د أ م",
    "de": "Hl Bd Abs Frhr Gf engl frz griech lat",
    "en": "Vol Vols Ch Br Mts Sts approx ed eds est trans",
    "es": "Sr Sra Dr Dra Gral Sto Sta",
    "fr": "M Mme Mmes Dr St Ste av apr env",
    "ru": "им св млн млрд",
    "uk": "ім св млн млрд",
}
"""By language, words before a full stop that ends no sentence, besides those of sentencex."""
ORDINAL_STOP = re.compile(r"bs|cs|da|de|et|eu|fi|fo|hr|hu|is|lb|lv|nb|nn|no|pl|sk|sl|sr|tr")
"""Languages that write a full stop after ordinal numbers, as in 'der 2. Weltkrieg'."""
LAST_WORD = regex.compile(rf"((?:(?!_){LETTER})+)\.$")
STOP = re.compile(r"([.!?][\"')\]]*)\s+(?=[\"'(\[]*[A-Z0-9])")
SPACED = frozenset({"lo", "th"})
"""Languages that have no mark at the end of a sentence, but a blank between clauses."""
CLAUSE_END = re.compile(r"(?<=[\u0e00-\u0eff])[ \u00a0]+(?=[\u0e00-\u0eff])")
STOP_BEFORE_DIGIT = re.compile("[\u3002\uff01\uff1f]+[\u300d\u300f\u201d\u2019\uff09]*(?=\\d)")
"""Where sentencex ends no sentence of Chinese or Japanese."""
NOTES = re.compile(r"(?:\[[^\]\n]{1,40}\])+\s*")
"""References such as [3] or [citation needed]; right after a sentence they belong to it."""
APOSTROPHE = regex.compile(rf"(?<={LETTER})['\u2019](?={LETTER})|(?<=s)['\u2019](?=\s)")
"""Those that are no quotation marks, of which sentencex would see a pair around sentences."""
MIN_CLAUSE = 12
"""Characters of a clause; a blank after fewer sets off a name or a number."""


def find_sentences(text: str, unbroken: list[Span], language: str = "en") -> list[Span]:
    """Return the span of each sentence, without the white space between sentences.

    Thai and Lao text, which has no mark at the end of a sentence, is cut into clauses. A text
    without an end of a sentence is one sentence.

    Args:
        text: what is split.
        unbroken: spans that contain no end of a sentence, such as names.
        language: code of the text's language, such as `de` or `pt-BR`; sentences of one that
            sentencex does not know end as in English.

    Source: the rules of https://github.com/wikimedia/sentencex. Departures: the abbreviations and
    ordinals of this module end nothing, and no sentence begins with a small letter.

    >>> find_sentences("Born in St. Ives. Died in Rome.", [(8, 16)])
    [(0, 17), (18, 31)]
    >>> find_sentences("他1990年出生。他在罗马。", [], "zh")
    [(0, 9), (9, 14)]
    """
    code = get_base_code(language)
    ordered = sorted(unbroken)
    firsts = [first for first, _ in ordered]
    furthest = [0, *accumulate((last for _, last in ordered), max)]  # of the spans before each
    spans, start = [], 0
    breaks = {*_find_breaks(text, code), *_find_stops(text, ordered)}
    if is_unspaced(code):
        breaks |= {(stop.end(), stop.end()) for stop in STOP_BEFORE_DIGIT.finditer(text)}
    for end, next_start in sorted(breaks):
        if end > start and furthest[bisect_left(firsts, next_start)] <= end:
            spans.append((start, end))
            start = next_start
    return [*spans, (start, len(text))]


def name_sentence_rules(language: str) -> str:
    """Name the rules by which sentences of a language end and are joined again, for manifests."""
    return SENTENCE_RULES + JOINED_AS_FOUND * is_unspaced(language)


def find_spaced(text: str, pieces: list[Span], language: str = "en") -> list[bool]:
    """Return for each piece of a text whether a blank follows it where pieces are joined again.

    It does in languages that put blanks between words. In the others, it does where white space
    follows the piece in the text; after the piece at the end of the text, as after most others.

    >>> find_spaced("他出生。 他在罗马。他老了。", [(0, 4), (5, 10), (10, 14)], "zh")
    [True, False, False]
    """
    if not is_unspaced(language):
        return [True] * len(pieces)
    following = [text[end : end + 1] for _, end in pieces]
    inner = [character.isspace() for character in following if character]
    at_end = 2 * sum(inner) > len(inner)
    return [character.isspace() if character else at_end for character in following]


def join_pieces(text: str, pieces: list[Span], language: str = "en") -> str:
    """Join pieces of a text in the order in which they are given, as `find_spaced` says.

    >>> join_pieces("他出生。他在罗马。", [(4, 9), (0, 4)], "zh")
    '他在罗马。他出生。'
    """
    spaced = find_spaced(text, pieces, language)
    joined = [
        text[start:end] + " " * is_spaced
        for (start, end), is_spaced in zip(pieces[:-1], spaced, strict=False)
    ]
    return "".join([*joined, *(text[start:end] for start, end in pieces[-1:])])


def _find_breaks(text: str, code: str) -> Iterator[Span]:
    """Yield the white space, which may be empty, between each sentence and the next."""
    split = sentencex.get_sentence_boundaries  # pyright: ignore[reportAttributeAccessIssue]
    for boundary in split(code, APOSTROPHE.sub("\u02bc", text)):
        first, last = boundary["start_index"], boundary["end_index"]
        sentence = text[first:last]
        if code in SPACED:
            yield from _find_clause_ends(sentence, first)
        end = first + len(sentence.rstrip())
        if notes := NOTES.match(text, last):
            last, end = notes.end(), last + len(notes[0].rstrip())
        next_start = last + len(text[last : last + 64]) - len(text[last : last + 64].lstrip())
        if next_start < len(text) and not _continues(text, (first, end), next_start, code):
            yield end, next_start


def _find_stops(text: str, unbroken: list[Span]) -> Iterator[Span]:
    """Yield the white space after a full stop that follows a name and is no part of it.

    'Ltd' abbreviates nothing in 'She works for Smith Ltd. He left.' if the name is 'Smith Ltd'.
    """
    for _, last in unbroken:
        if text[last - 1 : last].isalpha() and (stop := STOP.match(text, last)):
            yield stop.end(1), stop.end()


def _find_clause_ends(sentence: str, offset: int) -> Iterator[Span]:
    start = 0
    for match in CLAUSE_END.finditer(sentence):
        if match.start() - start >= MIN_CLAUSE <= len(sentence) - match.end():
            yield offset + match.start(), offset + match.end()
            start = match.end()


def _continues(text: str, sentence: Span, next_start: int, code: str) -> bool:
    """Return whether what looks like the end of a sentence is none."""
    first, end = sentence
    following = text[next_start]
    if "\n\n" in text[end:next_start]:
        return False
    if following in "-\u2010\u2013,;:)]}»" or _is_small(following):
        return True
    if end == next_start and text[end - 1] in ".!?":
        return following.isupper() or following.isdigit()
    if end == next_start and text[end - 1] in "」』":
        return "\u3040" <= following <= "\u309f"  # hiragana: 「はい。」と彼は言った
    word = LAST_WORD.search(text, max(first, end - 40), end)
    return word is not None and bool(
        word[1] in ABBREVIATIONS.get(code, "").split()
        or (ORDINAL_STOP.fullmatch(code) and word[1].isdecimal() and len(word[1]) <= 2)
    )


def _is_small(letter: str) -> bool:
    return letter.islower() and not "\u10d0" <= letter <= "\u10ff"  # Georgian has no capitals
