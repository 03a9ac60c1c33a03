"""Easy data augmentation (EDA): replace words with synonyms, or insert, swap or delete words."""

import gzip
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from elusive.common.dataset.records import Document, Span

SYNONYMS = Path(__file__).parent / "synonyms.txt.gz"
"""The sets of synonyms of WordNet 3.0, one set per line."""
CHANGE_RATE = 0.1
"""Share of a text's words that an operation changes, as its authors recommend."""
Words = list[tuple[str, Span | None]]
"""Words of a copy, each with its span in the original; None for a word that is new."""


def apply_eda(document: Document, rng: np.random.Generator, copy: int) -> tuple[str, list[Span]]:
    """Write a copy with one of the four operations, which take turns from copy to copy.

    One thing differs from the published code: words with a digit are neither deleted nor replaced,
    because the published code strips all digits, and with them every date.

    Returns:
        The copy, and the spans of the original that it keeps, in the copy's order.

    Source: Wei and Zou 2019, arXiv 1901.11196, section 2.
    """
    matches = re.finditer(r"\S+", document.text)
    words: Words = [(match.group(), match.span()) for match in matches]
    num_changes = max(1, round(CHANGE_RATE * len(words))) if words else 0
    operation = OPERATIONS[(copy - 1) % len(OPERATIONS)]
    changed = operation(words, num_changes, rng)
    kept = _merge_spans([span for _, span in changed], document.text)
    return " ".join(word for word, _ in changed), kept


def _merge_spans(spans: list[Span | None], text: str) -> list[Span]:
    """Merge the spans of words that are neighbors in the original as well as in the copy."""
    merged: list[Span] = []
    previous: Span | None = None
    for span in spans:
        if span and previous and previous[1] < span[0] and text[previous[1] : span[0]].isspace():
            merged[-1] = (merged[-1][0], span[1])
        elif span:
            merged.append(span)
        previous = span
    return merged


def _replace_words(words: Words, num_changes: int, rng: np.random.Generator) -> Words:
    candidates = [index for index, (word, _) in enumerate(words) if find_synonyms(word)]
    chosen = rng.permutation(candidates)[:num_changes]
    synonyms = {int(index): _sample_synonym(words[index][0], rng) for index in chosen}
    return [
        (synonyms[index], None) if index in synonyms else word for index, word in enumerate(words)
    ]


def _insert_words(words: Words, num_changes: int, rng: np.random.Generator) -> Words:
    candidates = [word for word, _ in words if find_synonyms(word)]
    result = list(words)
    for _ in range(num_changes if candidates else 0):
        synonym = _sample_synonym(candidates[rng.integers(len(candidates))], rng)
        position = int(rng.integers(len(result) + 1))
        result.insert(position, (_strip_signs(synonym).lower(), None))
    return result


def _swap_words(words: Words, num_changes: int, rng: np.random.Generator) -> Words:
    result = list(words)
    for _ in range(num_changes if len(words) > 1 else 0):
        first, second = rng.choice(len(result), 2, replace=False)
        result[first], result[second] = result[second], result[first]
    return result


def _delete_words(words: Words, num_changes: int, rng: np.random.Generator) -> Words:
    """Delete each word with the same probability, but leave at least one."""
    deleted = rng.random(len(words)) < num_changes / max(len(words), 1)
    kept = [
        word
        for word, is_deleted in zip(words, deleted, strict=True)
        if not is_deleted or any(sign.isdigit() for sign in word[0])
    ]
    return kept or [words[int(rng.integers(len(words)))]] if words else []


OPERATIONS: tuple[Callable[[Words, int, np.random.Generator], Words], ...] = (
    _replace_words,
    _insert_words,
    _swap_words,
    _delete_words,
)


def find_synonyms(word: str) -> list[str]:
    """Find the synonyms of a word in all its senses, sorted; none for function words.

    >>> find_synonyms("institute")
    ['bring', 'constitute', 'establish', 'found', 'plant']
    """
    bare = _strip_signs(word).lower()
    return [synonym for synonym in _load_synonyms().get(bare, ()) if synonym != bare]


def _sample_synonym(word: str, rng: np.random.Generator) -> str:
    """Sample a synonym, with the signs around the word and its capital kept."""
    bare = _strip_signs(word)
    synonyms = find_synonyms(word)
    synonym = synonyms[rng.integers(len(synonyms))]
    return word.replace(bare, synonym.capitalize() if bare[0].isupper() else synonym, 1)


def _strip_signs(word: str) -> str:
    return re.sub(r"^\W+|\W+$", "", word)


@cache
def _load_synonyms() -> dict[str, list[str]]:
    """Map each word of the file to all words that share a set of synonyms with it."""
    words: dict[str, set[str]] = {}
    with gzip.open(SYNONYMS, "rt", encoding="ascii") as lines:
        for line in lines:
            synonyms = line.split()
            for word in synonyms:
                words.setdefault(word, set()).update(synonyms)
    return {word: sorted(synonyms) for word, synonyms in words.items()}
