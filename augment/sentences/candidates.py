"""Spans that a sentence could take up again: words that stand before it, without function words."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import regex

from elusive.augment.clue_spans import FUNCTION_WORD, split_sentences
from elusive.common.dataset.records import Document, Span
from elusive.common.text.languages import LETTER, RANGES, UNSPACED

ENDING = rf"['\u2019](?:s|t|d|m|ll|re|ve)(?!{LETTER})"
SPACED = rf"(?:(?![{RANGES}]){LETTER})+"
WORD = regex.compile(
    rf"(?P<word>(?:\p{{Lu}}\.){{2,}}|[{RANGES}]\p{{M}}*|{SPACED}(?:(?!{ENDING})[-'\u2019]{SPACED})*)"
    rf"(?P<ending>{ENDING})?"
)
"""Letters and digits, with hyphens and apostrophes within, or initials without blanks; then the
ending of a possessive, or of a verb as in `she'll`. In scripts without blanks, a character."""
TITLES = (
    "Mr|Mrs|Ms|Mx|Messrs|Dr|Prof|Rev|Fr|Hon|St|Ste|Mt|Ft|Gen|Col|Maj|Capt|Cpt|Cmdr|Lt|Sgt|Cpl|"
    "Adm|Pres|Gov|Sen|Rep|Sr|Sra"
)
"""Abbreviations before names, whose full stop is inside a span. That of others, such as `Ltd.`, may
end a sentence."""
JOINT = regex.compile(rf"\s+|(?<=\b(?:\p{{Lu}}|{TITLES}))\.\s+")
"""What may stand between two words of a span: white space, also after an initial or a title."""
INITIAL = regex.compile(r"\p{Lu}\.")
FURTHER_FUNCTION_WORD = re.compile(
    r"after|before|into|onto|over|under|about|between|during|through|since|until|while|but|not|if|"
    r"than|then|so|also|i|me|my|you|your|we|us|our|whose|what|how|do|does|did|can|could|will|would|"
    r"may|might|must|shall|should|being|had|himself|herself|itself|themself|themselves|theirs"
)
"""Words that are no relation words either, but that a clue should not be made of."""


@dataclass(frozen=True)
class Candidates:
    """The content words of a document in runs, and the spans that its sentences could take up.

    Function words are left out, and they cut the text, as signs do, into runs of other words. A run
    also ends where words with a small first letter follow others, so that no span reaches beyond a
    name. An initial is part of the word before it, or of the next initial.

    As many neighbors of a run as `size` says are a span. Only where no such span stands before a
    sentence do shorter ones count: with all of them in one list, single words that receive much
    attention would win over names of two words.
    """

    sentences: list[Span]
    words: list[Span]
    runs: list[int]
    """Number of the run of each word."""
    size: int
    """Most words of a span."""

    def list_before(self, sentence: int) -> list[range]:
        """List the spans that end before a sentence starts, each as indices of its words."""
        num_before = int(np.searchsorted(self._ends, self.sentences[sentence][0], side="right"))
        for size in range(self.size, 0, -1):
            firsts = range(num_before - size + 1)
            spans = [
                range(first, first + size)
                for first in firsts
                if self.runs[first] == self.runs[first + size - 1]
            ]
            if spans:
                return spans
        return []

    def locate(self, span: range) -> Span:
        """Return the characters of a span."""
        return self.words[span[0]][0], self.words[span[-1]][1]

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.array([end for _, end in self.words], int)


def find_candidates(document: Document, size: int) -> Candidates:
    """Find the spans of at most `size` words that the sentences of a document could take up.

    >>> text = "Ada Lovelace met the wise Charles Babbage. She was amused."
    >>> candidates = find_candidates(Document("", "", text, [], [], [], "train", [], ""), 2)
    >>> [text[slice(*candidates.locate(span))] for span in candidates.list_before(1)]
    ['Ada Lovelace', 'Charles Babbage']
    """
    sentences = split_sentences(document)
    runs = list(_find_runs(document.text, sentences))
    words = [_merge_initials(document.text, run) for run in runs]
    return Candidates(
        sentences,
        [word for run in words for word in run],
        [number for number, run in enumerate(words) for _ in run],
        size,
    )


def _find_runs(text: str, sentences: list[Span]) -> Iterator[list[Span]]:
    """Yield the content words between function words, signs, and changes of the first letter."""
    starts = [start for start, _ in sentences]
    run: list[Span] = []
    for match in WORD.finditer(text):
        is_content = not (is_function_word(match["word"]) or is_verb_ending(match["ending"]))
        if run and not (is_content and _is_joined(text, run[-1], match.span("word"), starts)):
            yield run
            run = []
        if is_content:
            run.append(match.span("word"))
    if run:
        yield run


def _is_joined(text: str, last: Span, word: Span, starts: list[int]) -> bool:
    """Whether nothing stands between two words that ends a run; `starts` are of sentences."""
    return (
        text[last[0]].islower() == text[word[0]].islower()
        and (_is_unspaced(text, last, word) or JOINT.fullmatch(text, last[1], word[0]) is not None)
        and bisect_right(starts, last[0]) == bisect_right(starts, word[0])
    )


def _is_unspaced(text: str, last: Span, word: Span) -> bool:
    """Whether two words are neighboring characters of a script without blanks."""
    return last[1] == word[0] and all(UNSPACED.match(text, start) for start, _ in (last, word))


def _merge_initials(text: str, run: list[Span]) -> list[Span]:
    """Merge initials, such as the K of "J. K. Rowling", with the word before them in a run."""
    merged = run[:1]
    for count, word in enumerate(run[1:], 2):
        if count < len(run) and INITIAL.fullmatch(text, word[0], word[1] + 1):
            merged[-1] = (merged[-1][0], word[1])
        else:
            merged.append(word)
    return merged


def list_words(text: str) -> list[str]:
    """List the words of a text without the endings of possessives.

    >>> list_words("Sinead O'Connor's song")
    ['Sinead', "O'Connor", 'song']
    """
    return [match["word"] for match in WORD.finditer(text)]


def is_verb_ending(ending: str | None) -> bool:
    """Return whether an ending of `WORD` makes a verb of a word, as that of `she'll` does."""
    return ending is not None and ending[1:].casefold() != "s"


def is_function_word(word: str) -> bool:
    """Return whether a word carries no content of its own, as articles and pronouns do."""
    lower = word.casefold()
    return any(words.fullmatch(lower) for words in (FUNCTION_WORD, FURTHER_FUNCTION_WORD))


def score_words(scores: np.ndarray, units: list[Span], words: list[Span]) -> np.ndarray:
    """Score each word by the highest score of the units that share a character with it.

    Args:
        scores: of units.  # (..., unit)
        units: in the order of the text, not overlapping.
        words: of the same text.

    Returns:
        The lowest score of all for words that share none.  # (..., word)
    """
    starts, ends = np.array(units, int).reshape(-1, 2).T
    first = np.searchsorted(ends, [start for start, _ in words], side="right")
    last = np.searchsorted(starts, [end for _, end in words], side="left")
    by_word = np.empty((*scores.shape[:-1], len(words)), scores.dtype)
    for word, (start, end) in enumerate(zip(first, last, strict=True)):
        by_word[..., word] = (scores[..., start:end] if start < end else scores[..., :0]).max(
            -1, initial=-np.inf
        )
    lowest = scores.min(-1, initial=np.inf)[..., None]
    return np.where(np.isneginf(by_word), lowest, by_word)
