"""Easy data augmentation (EDA): words replaced by synonyms, inserted, swapped or deleted."""

import gzip
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from elusive.common.dataset.records import Document, Span

SYNONYMS = Path(__file__).parent / "synonyms.txt.gz"
RATE = 0.1
"""Share of a text's words that an operation changes, as its authors recommend."""
Words = list[tuple[str, Span | None]]
"""Words of a text, with where they stood in the original; None for words that are new."""


def apply_eda(document: Document, rng: np.random.Generator, copy: int) -> tuple[str, list[Span]]:
    """A copy under one of the four operations, which take turns.

    As published but for one thing: words with a digit are neither deleted nor replaced, because the
    published code strips all digits, and with them every date.

    Source: Wei and Zou 2019, arXiv 1901.11196, section 2.
    """
    words: Words = [(each.group(), each.span()) for each in re.finditer(r"\S+", document.text)]
    changes = max(1, round(RATE * len(words))) if words else 0
    operation = OPERATIONS[(copy - 1) % len(OPERATIONS)]
    changed = operation(words, changes, rng)
    return " ".join(word for word, _ in changed), _joined(
        [span for _, span in changed], document.text
    )


def _joined(spans: list[Span | None], text: str) -> list[Span]:
    """Spans of words, those that follow each other in copy and original made one."""
    joined: list[Span] = []
    after: Span | None = None
    for span in spans:
        if span and after and after[1] < span[0] and text[after[1] : span[0]].isspace():
            joined[-1] = (joined[-1][0], span[1])
        elif span:
            joined.append(span)
        after = span
    return joined


def _replaced(words: Words, changes: int, rng: np.random.Generator) -> Words:
    """Some words give way to synonyms."""
    chosen = rng.permutation([i for i, (word, _) in enumerate(words) if synonyms(word)])[:changes]
    new = {int(index): _synonym(words[index][0], rng) for index in chosen}
    return [(new[i], None) if i in new else word for i, word in enumerate(words)]


def _inserted(words: Words, changes: int, rng: np.random.Generator) -> Words:
    """Synonyms of some words appear at random places."""
    sources = [word for word, _ in words if synonyms(word)]
    result = list(words)
    for _ in range(changes if sources else 0):
        new = _bare(_synonym(sources[rng.integers(len(sources))], rng)).lower()
        result.insert(int(rng.integers(len(result) + 1)), (new, None))
    return result


def _swapped(words: Words, changes: int, rng: np.random.Generator) -> Words:
    """Pairs of words change places."""
    result = list(words)
    for _ in range(changes if len(words) > 1 else 0):
        first, second = rng.choice(len(result), 2, replace=False)
        result[first], result[second] = result[second], result[first]
    return result


def _deleted(words: Words, changes: int, rng: np.random.Generator) -> Words:
    """Words vanish, each with the same probability; one at least is left."""
    lost = rng.random(len(words)) < changes / max(len(words), 1)
    kept = [
        word
        for word, is_lost in zip(words, lost, strict=True)
        if not is_lost or _has_digit(word[0])
    ]
    return kept or [words[int(rng.integers(len(words)))]] if words else []


OPERATIONS: tuple[Callable[[Words, int, np.random.Generator], Words], ...] = (
    _replaced,
    _inserted,
    _swapped,
    _deleted,
)


def _has_digit(word: str) -> bool:
    """Whether a word holds a number, which EDA may not touch."""
    return any(sign.isdigit() for sign in word)


def _bare(word: str) -> str:
    """A word without the signs around it."""
    return re.sub(r"^\W+|\W+$", "", word)


def _synonym(word: str, rng: np.random.Generator) -> str:
    """The word with a synonym in its place, the signs around it and a capital kept."""
    bare = _bare(word)
    choices = synonyms(word)
    new = choices[rng.integers(len(choices))]
    return word.replace(bare, new.capitalize() if bare[0].isupper() else new, 1)


def synonyms(word: str) -> list[str]:
    """Synonyms of a word in all its senses, sorted; none for function words.

    >>> synonyms("institute")
    ['bring', 'constitute', 'establish', 'found', 'plant']
    """
    bare = _bare(word).lower()
    return [other for other in _sets_by_word().get(bare, ()) if other != bare]


@cache
def _sets_by_word() -> dict[str, list[str]]:
    """Every content word of WordNet 3.0 with the words of all sets of synonyms that it is in."""
    found: dict[str, set[str]] = {}
    with gzip.open(SYNONYMS, "rt", encoding="ascii") as lines:
        for line in lines:
            together = line.split()
            for word in together:
                found.setdefault(word, set()).update(together)
    return {word: sorted(together) for word, together in found.items()}
