"""Which questions are left out, and why."""

import re
from array import array
from collections.abc import Callable, Iterable

import numpy as np

from elusive.common.seeding import derived_seed
from elusive.wikiqa.articles import Article, Asked, entity_of
from elusive.wikiqa.config import WikiqaConfig

DEPENDENT = re.compile(
    r"^(?:\S+ ){0,3}(?:he|she|it|they|him|her|them|his|hers|its|their|theirs|this|these|those|such|"
    r"here|there|however|therefore|thus|the former|the latter|the same|also)\b",
    re.I,
)
"""A pronoun or a pointer among the first words refers to something before."""
QUOTED = re.compile(r'"(.+)"$', re.S)


def normalized(question: str) -> str:
    """A question as it is compared with others: case and white space aside."""
    return " ".join(question.casefold().split())


def is_too_long(asked: Asked, article: Article, config: WikiqaConfig) -> bool:
    """Whether the answer has more words than asked for."""
    return len(asked.answers[0][0].split()) > config.max_answer_words


def is_leaked(asked: Asked, article: Article, config: WikiqaConfig) -> bool:
    """Whether an answer stands in the question as whole words, the article's name aside."""
    question = asked.question.replace(entity_of(article.title), "").casefold()
    return any(
        re.search(rf"(?<!\w){re.escape(answer.casefold().strip())}(?!\w)", question)
        for answer, _ in asked.answers
        if answer.strip()
    )


def is_dependent(asked: Asked, article: Article, config: WikiqaConfig) -> bool:
    """Whether the question, or the sentence that it quotes, cannot be understood by itself."""
    quoted = QUOTED.search(asked.question)
    return bool(DEPENDENT.match(quoted.group(1) if quoted else asked.question))


FILTERS: dict[str, Callable[[Asked, Article, WikiqaConfig], bool]] = {
    "length": is_too_long,
    "leak": is_leaked,
    "dependent": is_dependent,
}
"""Filters that look at one question alone."""


def reason_to_drop(asked: Asked, article: Article, config: WikiqaConfig) -> str | None:
    """The first filter in use that leaves a question out, if any does."""
    for name in config.active_filters:
        if name in FILTERS and FILTERS[name](asked, article, config):
            return name
    return None


def repeated_hashes(texts: Iterable[str]) -> list[int]:
    """Hashes of the texts that come more than once; of the others only eight bytes are held."""
    hashes, counts = np.unique(array_of_hashes(texts), return_counts=True)
    return hashes[counts > 1].tolist()


def array_of_hashes(texts: Iterable[str]) -> np.ndarray:
    """64 bits of each text.  # (text,)."""
    return np.fromiter((_hash(text) for text in texts), np.uint64)


class Repeated:
    """Questions that were asked before, by hashes."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Take every question with its first answer, in order."""
        hashes = array("Q")
        for question, answer in pairs:
            hashes.extend((_hash(normalized(question)), _hash(answer.casefold())))
        table = np.frombuffer(hashes, np.uint64).reshape(-1, 2)
        distinct = np.unique(table, axis=0)
        questions, answers = np.unique(distinct[:, 0], return_counts=True)
        self._ambiguous = set(questions[answers > 1].tolist())
        self._seen: set[int] = set()

    def reason(self, asked: Asked, filters: tuple[str, ...]) -> str | None:
        """Whether another answer is gold for the same question, or it came before."""
        key = _hash(normalized(asked.question))
        if "ambiguous" in filters and key in self._ambiguous:
            return "ambiguous"
        if "duplicate" in filters and key in self._seen:
            return "duplicate"
        self._seen.add(key)
        return None


def _hash(text: str) -> int:
    """64 bits of a text."""
    return derived_seed(text)
