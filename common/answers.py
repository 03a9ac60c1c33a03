"""Exact match, F1 and answer recall of short answers, after SQuAD's normalisation."""

import hashlib
import re
import string
from collections import Counter
from functools import lru_cache

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


@lru_cache(maxsize=2**14)  # gold answers come again for every score, arm and seed
def normalize_answer(text: str) -> str:
    """Lower case, ASCII punctuation stripped, a/an/the dropped, white space squeezed.

    Source: the SQuAD 1.1 evaluation script (arXiv 1606.05250), same order of steps.

    >>> normalize_answer("The  U.S. Army!")
    'us army'
    """
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def exact_match(prediction: str, answers: list[str]) -> float:
    """1.0 if the normalised prediction equals any normalised gold answer, else 0.0.

    >>> exact_match("the Louvre", ["Louvre", "Paris"])
    1.0
    """
    return float(any(normalize_answer(prediction) == normalize_answer(gold) for gold in answers))


def f1(prediction: str, answers: list[str]) -> float:
    """F1 over the bags of normalised words, the maximum over gold answers, in [0, 1].

    A bag counts repeated words, so saying the answer twice is not rewarded. If prediction or gold
    is empty after normalisation, 1.0 when both are, else 0.0.

    >>> round(f1("Paris Paris", ["Paris"]), 3)
    0.667
    """
    return max(_f1_one(normalize_answer(prediction), normalize_answer(gold)) for gold in answers)


def _f1_one(prediction: str, gold: str) -> float:
    """F1 of two normalised texts."""
    predicted, wanted = prediction.split(), gold.split()
    if not predicted or not wanted:
        return float(predicted == wanted)
    common = sum((Counter(predicted) & Counter(wanted)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(predicted), common / len(wanted)
    return 2 * precision * recall / (precision + recall)


def answer_position(prediction: str, answers: list[str]) -> int | None:
    """Index of the normalised word at which a gold answer first begins; None if none occurs.

    Whole words count: "Paris" does not occur in "Parisian". An empty gold answer never occurs.

    >>> answer_position("he was born in Rome in 1990", ["Rome"])
    4
    """
    words = normalize_answer(prediction).split()
    positions = [_find(words, normalize_answer(gold).split()) for gold in answers]
    found = [position for position in positions if position is not None]
    return min(found) if found else None


def _find(words: list[str], wanted: list[str]) -> int | None:
    """First index at which `wanted` stands in `words`."""
    for start in range(len(words) - len(wanted) + 1):
        if wanted and words[start : start + len(wanted)] == wanted:
            return start
    return None


def score_answer(prediction: str, answers: list[str]) -> dict[str, float | int | None]:
    """All scores of one answer: em, f1, opens, contains, answer_position."""
    position = answer_position(prediction, answers)
    return {
        "em": exact_match(prediction, answers),
        "f1": f1(prediction, answers),
        "opens": float(position == 0),
        "contains": float(position is not None),
        "answer_position": position,
    }


PROBES = ("The  U.S. Army!", "a Theory of an answer", "Paris Paris", "May 5, 1990", "Ünï", "")


def scoring_hash() -> str:
    """Hash of how answers are scored: changes as soon as one of some probes scores otherwise."""
    scores = [
        (normalize_answer(each), score_answer(each, [gold])) for each in PROBES for gold in PROBES
    ]
    return hashlib.sha256(repr(scores).encode()).hexdigest()[:12]
