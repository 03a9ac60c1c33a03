"""Which questions are left out, and why."""

import re
from array import array
from collections.abc import Callable, Iterable

import numpy as np

from elusive.common.seeding import derived_seed
from elusive.common.text.languages import count_words
from elusive.common.text.text_spans import find_whole_words
from elusive.wikiqa.articles import Article, Asked, to_entity
from elusive.wikiqa.config import WikiqaConfig

DEPENDENT = re.compile(
    r"^(?:\S+ ){0,3}(?:he|she|it|they|him|her|them|his|hers|its|their|theirs|this|these|those|such|"
    r"here|there|however|therefore|thus|the former|the latter|the same|also)\b",
    re.I,
)
"""A pronoun or pointer among the first words refers to something that comes before."""
QUOTED = re.compile(r'"(.+)"$', re.S)


def is_too_long(asked: Asked, article: Article, config: WikiqaConfig) -> bool:
    """Return whether the answer has more words than the config allows."""
    return count_words(asked.answers[0][0], config.language) > config.max_answer_words


def is_leaked(asked: Asked, article: Article, config: WikiqaConfig) -> bool:
    """Return whether the question contains an answer as whole words, outside the article's name."""
    question = asked.question.replace(to_entity(article.title), "").casefold()
    answers = [answer.casefold().strip() for answer, _ in asked.answers]
    return bool(find_whole_words(question, answers))


def is_dependent(asked: Asked, article: Article, config: WikiqaConfig) -> bool:
    """Return whether the question, or the sentence it quotes, needs context to be understood."""
    quoted = QUOTED.search(asked.question)
    return bool(DEPENDENT.match(quoted.group(1) if quoted else asked.question))


FILTERS: dict[str, Callable[[Asked, Article, WikiqaConfig], bool]] = {
    "length": is_too_long,
    "leak": is_leaked,
    "dependent": is_dependent,
}
"""Filters that look at one question alone."""


def find_drop_reason(asked: Asked, article: Article, config: WikiqaConfig) -> str | None:
    """Return the name of the first active filter that leaves a question out, if there is one."""
    for name in config.active_filters:
        if name in FILTERS and FILTERS[name](asked, article, config):
            return name
    return None


def find_repeated_hashes(texts: Iterable[str]) -> list[int]:
    """Return the hashes of texts that occur more than once, in eight bytes of memory per text."""
    hashes = np.fromiter((derived_seed(text) for text in texts), np.uint64)
    distinct, counts = np.unique(hashes, return_counts=True)
    return distinct[counts > 1].tolist()


class Repeated:
    """The questions that a source asks more than once, by their hashes."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Read every question with its first answer, in order."""
        hashes = array("Q")
        for question, answer in pairs:
            hashes.extend((_hash_question(question), derived_seed(answer.casefold())))
        table = np.frombuffer(hashes, np.uint64).reshape(-1, 2)
        distinct = np.unique(table, axis=0)
        questions, num_answers = np.unique(distinct[:, 0], return_counts=True)
        self._ambiguous = set(questions[num_answers > 1].tolist())
        self._seen: set[int] = set()

    def find_drop_reason(self, asked: Asked, filters: tuple[str, ...]) -> str | None:
        """Return the filter that leaves a question out, if one does.

        A question is ambiguous if it has another gold answer elsewhere, and a duplicate if it was
        already looked up.
        """
        key = _hash_question(asked.question)
        if "ambiguous" in filters and key in self._ambiguous:
            return "ambiguous"
        if "duplicate" in filters and key in self._seen:
            return "duplicate"
        self._seen.add(key)
        return None


def _hash_question(question: str) -> int:
    """Hash a question, ignoring case and white space."""
    return derived_seed(" ".join(question.casefold().split()))
