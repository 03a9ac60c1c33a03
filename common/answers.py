"""Exact match, F1 and answer recall of short answers, after normalization by language.

English is normalized as in SQuAD, other languages as in MLQA.
"""

import hashlib
import re
import string
import unicodedata
from collections import Counter
from functools import lru_cache

from elusive.common.text.languages import ENGLISH, UNSPACED, compose, get_base_code

ARTICLES = {
    "ar": re.compile("\\b\u0627\u0644"),
    "de": re.compile(r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "en": re.compile(r"\b(a|an|the)\b"),
    "es": re.compile(r"\b(un|una|unos|unas|el|la|los|las)\b"),
    "vi": re.compile(r"\b(của|là|cái|chiếc|những)\b"),
}
"""What is dropped from the answers of each language; from those of others, nothing."""
PUNCTUATION = str.maketrans("", "", string.punctuation)


@lru_cache(maxsize=2**14)  # the same gold answers are normalized for every score, arm and seed
def normalize_answer(text: str, language: str = ENGLISH) -> str:
    """Compose accents, lowercase, strip punctuation, drop articles, and squeeze white space.

    English: ASCII punctuation and a/an/the. Other languages: all punctuation of Unicode and the
    articles of the language; each character of a script without blanks, such as Chinese or Thai, is
    a word of its own.

    Source: for English, the SQuAD 1.1 evaluation script (arXiv 1606.05250), same order of steps;
    for other languages, that of MLQA (arXiv 1910.07475). Departures: accents are composed first,
    the Arabic article is dropped at the beginning of words alone, MLQA's characters of Chinese are
    those of all scripts without blanks, and languages that MLQA lacks keep their articles.

    >>> normalize_answer("The  U.S. Army!")
    'us army'
    >>> normalize_answer("Die «Elbe».", "de")
    'elbe'
    >>> normalize_answer("东京。", "zh")
    '东 京'
    """
    text, code = compose(text), get_base_code(language)
    if code == ENGLISH:
        return " ".join(ARTICLES[code].sub(" ", text.lower().translate(PUNCTUATION)).split())
    plain = "".join(sign for sign in text.lower().translate(PUNCTUATION) if not _is_mark(sign))
    if code in ARTICLES:
        plain = ARTICLES[code].sub(" ", plain)
    return " ".join(UNSPACED.sub(r" \g<0> ", plain).split())


def _is_mark(sign: str) -> bool:
    return unicodedata.category(sign).startswith("P")


def compute_exact_match(prediction: str, answers: list[str], language: str = ENGLISH) -> float:
    """Return 1.0 if the normalized prediction equals any normalized gold answer, else 0.0.

    >>> compute_exact_match("the Louvre", ["Louvre", "Paris"])
    1.0
    """
    normal = normalize_answer(prediction, language)
    return float(any(normal == normalize_answer(gold, language) for gold in answers))


def compute_f1(prediction: str, answers: list[str], language: str = ENGLISH) -> float:
    """Compute F1 over the bags of normalized words, the maximum over gold answers, in [0, 1].

    A bag counts repeated words, so repeating the answer is not rewarded. If the prediction or the
    gold answer is empty after normalization, F1 is 1.0 when both are, else 0.0.

    >>> round(compute_f1("Paris Paris", ["Paris"]), 3)
    0.667
    """
    words = normalize_answer(prediction, language).split()
    return max(
        _compute_pair_f1(words, normalize_answer(gold, language).split()) for gold in answers
    )


def _compute_pair_f1(words: list[str], gold_words: list[str]) -> float:
    if not words or not gold_words:
        return float(words == gold_words)
    num_common = sum((Counter(words) & Counter(gold_words)).values())
    if num_common == 0:
        return 0.0
    precision, recall = num_common / len(words), num_common / len(gold_words)
    return 2 * precision * recall / (precision + recall)


def find_answer_position(
    prediction: str, answers: list[str], language: str = ENGLISH
) -> int | None:
    """Return the index of the normalized word at which a gold answer first begins, or None.

    Whole words count: "Paris" does not occur in "Parisian". An empty gold answer never occurs.

    >>> find_answer_position("he was born in Rome in 1990", ["Rome"])
    4
    """
    words = normalize_answer(prediction, language).split()
    normal = [normalize_answer(gold, language).split() for gold in answers]
    golds = [gold_words for gold_words in normal if gold_words]
    for start in range(len(words)):
        if any(words[start : start + len(gold)] == gold for gold in golds):
            return start
    return None


def score_answer(
    prediction: str, answers: list[str], language: str = ENGLISH
) -> dict[str, float | int | None]:
    """Compute all scores of one answer: em, f1, opens, contains, answer_position.

    >>> score_answer("彼は東京で。", ["東京"], "ja")["contains"]
    1.0
    """
    position = find_answer_position(prediction, answers, language)
    return {
        "em": compute_exact_match(prediction, answers, language),
        "f1": compute_f1(prediction, answers, language),
        "opens": float(position == 0),
        "contains": float(position is not None),
        "answer_position": position,
    }


PROBES = ("The  U.S. Army!", "a Theory of an answer", "Paris Paris", "May 5, 1990", "Ünï", "")
OTHER_PROBES = (
    *("Der «Zug».", "la casa", "العاصمة", "của là", "東京は。", "กรุงเทพ"),
    "Hue\u0302\u0301",  # Huế
)
"""Probes of the rules of other languages than English."""


def hash_scoring(language: str = ENGLISH) -> str:
    """Hash how answers are scored; the hash changes when any probe is scored differently.

    If the language is not English, its code and a hyphen stand before the hash.
    """
    code = get_base_code(language)
    if code == ENGLISH:
        return _hash_scores(PROBES, code)
    return f"{code}-{_hash_scores(PROBES + OTHER_PROBES, code)}"


def _hash_scores(probes: tuple[str, ...], code: str) -> str:
    scores = [
        (normalize_answer(probe, code), score_answer(probe, [gold], code))
        for probe in probes
        for gold in probes
    ]
    return hashlib.sha256(repr(scores).encode()).hexdigest()[:12]


def get_scoring_language(scoring: str) -> str:
    """Return the language of a hash of the scoring.

    >>> get_scoring_language("de-0123456789ab"), get_scoring_language("0123456789ab")
    ('de', 'en')
    """
    return scoring.rpartition("-")[0] or ENGLISH
