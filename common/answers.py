"""Exact match, F1 and answer recall of short answers, after SQuAD's normalization."""

import hashlib
import re
import string
from collections import Counter
from functools import lru_cache

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


@lru_cache(maxsize=2**14)  # the same gold answers are normalized for every score, arm and seed
def normalize_answer(text: str) -> str:
    """Lowercase a text, strip ASCII punctuation, drop a/an/the, and squeeze white space.

    Source: the SQuAD 1.1 evaluation script (arXiv 1606.05250), same order of steps.

    >>> normalize_answer("The  U.S. Army!")
    'us army'
    """
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def compute_exact_match(prediction: str, answers: list[str]) -> float:
    """Return 1.0 if the normalized prediction equals any normalized gold answer, else 0.0.

    >>> compute_exact_match("the Louvre", ["Louvre", "Paris"])
    1.0
    """
    return float(any(normalize_answer(prediction) == normalize_answer(gold) for gold in answers))


def compute_f1(prediction: str, answers: list[str]) -> float:
    """Compute F1 over the bags of normalized words, the maximum over gold answers, in [0, 1].

    A bag counts repeated words, so repeating the answer is not rewarded. If the prediction or the
    gold answer is empty after normalization, F1 is 1.0 when both are, else 0.0.

    >>> round(compute_f1("Paris Paris", ["Paris"]), 3)
    0.667
    """
    return max(_compute_pair_f1(prediction, gold) for gold in answers)


def _compute_pair_f1(prediction: str, gold: str) -> float:
    words, gold_words = normalize_answer(prediction).split(), normalize_answer(gold).split()
    if not words or not gold_words:
        return float(words == gold_words)
    num_common = sum((Counter(words) & Counter(gold_words)).values())
    if num_common == 0:
        return 0.0
    precision, recall = num_common / len(words), num_common / len(gold_words)
    return 2 * precision * recall / (precision + recall)


def find_answer_position(prediction: str, answers: list[str]) -> int | None:
    """Return the index of the normalized word at which a gold answer first begins, or None.

    Whole words count: "Paris" does not occur in "Parisian". An empty gold answer never occurs.

    >>> find_answer_position("he was born in Rome in 1990", ["Rome"])
    4
    """
    words = normalize_answer(prediction).split()
    golds = [gold_words for gold in answers if (gold_words := normalize_answer(gold).split())]
    for start in range(len(words)):
        if any(words[start : start + len(gold)] == gold for gold in golds):
            return start
    return None


def score_answer(prediction: str, answers: list[str]) -> dict[str, float | int | None]:
    """Compute all scores of one answer: em, f1, opens, contains, answer_position."""
    position = find_answer_position(prediction, answers)
    return {
        "em": compute_exact_match(prediction, answers),
        "f1": compute_f1(prediction, answers),
        "opens": float(position == 0),
        "contains": float(position is not None),
        "answer_position": position,
    }


PROBES = ("The  U.S. Army!", "a Theory of an answer", "Paris Paris", "May 5, 1990", "Ünï", "")


def hash_scoring() -> str:
    """Hash how answers are scored; the hash changes when any probe is scored differently."""
    scores = [
        (normalize_answer(probe), score_answer(probe, [gold]))
        for probe in PROBES
        for gold in PROBES
    ]
    return hashlib.sha256(repr(scores).encode()).hexdigest()[:12]
