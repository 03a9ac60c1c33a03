"""Spans that a sentence could take up again: words that stand before it, without function words."""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from elusive.augment.clue_spans import FUNCTION_WORD, split_sentences
from elusive.common.dataset.records import Document, Span

WORD = re.compile(r"\w+(?:-\w+)*")
JOINT = re.compile(r"\s+|(?<=\b[A-Z])\.\s+")
"""What may stand between two words of a span: white space, also after an initial."""
FURTHER_FUNCTION_WORD = re.compile(
    r"s|after|before|into|onto|over|under|about|between|during|through|since|until|while|but|not|if|"
    r"than|then|so|also|i|me|my|you|your|we|us|our|whose|what|how|do|does|did|can|could|will|would|"
    r"may|might|must|shall|should|being|had|himself|herself|itself|themself|themselves|theirs"
)
"""Words that are no relation words either, but that a clue should not be made of; `s` is what a
possessive leaves after its apostrophe."""


@dataclass(frozen=True)
class Candidates:
    """The content words of a document in runs, and the spans that its sentences could take up.

    Function words are left out, and they cut the text, as signs do, into runs of other words. A run
    also ends where words with a small first letter follow others, so that no span reaches beyond a
    name. As many neighbors of a run as `size` says are a span. Only where no such span stands
    before a sentence do shorter ones count: with all of them in one list, single words that receive
    much attention would win over names of two words.
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
    words, runs, last = [], [0], None
    for match in WORD.finditer(document.text):
        if is_function_word(match.group()):
            last = None
            continue
        is_joined = (
            last is not None
            and last.group()[0].islower() == match.group()[0].islower()
            and JOINT.fullmatch(document.text, last.end(), match.start())
        )
        runs.append(runs[-1] + (not is_joined))
        words.append(match.span())
        last = match
    return Candidates(split_sentences(document), words, runs[1:], size)


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
