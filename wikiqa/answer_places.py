"""Where the gold answers of a question stand in its paragraph."""

from collections.abc import Iterator
from dataclasses import replace

from elusive.common.answers import normalize_answer
from elusive.common.text.languages import ENGLISH
from elusive.common.text.text_spans import find_whole_words
from elusive.wikiqa.articles import Asked, Counts
from elusive.wikiqa.left_out import LEFT_OUT_QUESTION

NO_PLACE = -1
"""Place of an answer whose source states none, and of one that the paragraph lacks."""


def place_answers(asked: Asked, text: str, counts: Counts, language: str = ENGLISH) -> Asked | None:
    """Return the question with the true places of its answers, or None if the text has none.

    An answer that does not stand where the source says is looked for, in this order: at that
    number of UTF-16 code units, at that number of bytes, and where it stands nearest, as whole
    words if it can be; without the white space around it if the text has it only so. If the source
    states no place, it is the first. What was mended is counted by its reason.

    Returns:
        The answers that stand in the text, then those without a stated place that the text lacks,
        which are other names of the answer; None if no answer stands in the text.
    """
    placed, others = [], []
    for answer, start in asked.answers:
        if answer.strip() and not normalize_answer(answer, language):
            counts[NORMALIZED_AWAY] += 1
            continue
        reason, found = _place_answer(answer, start, text)
        if reason:
            counts[reason] += 1
        if found:
            placed.append(found)
        elif start < 0 and answer.strip():
            others.append((answer.strip(), NO_PLACE))
        else:
            counts[EMPTY if not answer.strip() else MISSING] += 1
    if not placed:
        counts[f"{LEFT_OUT_QUESTION}no answer stands in the paragraph"] += 1
        return None
    known = {answer.casefold() for answer, _ in placed}
    others = [(a, s) for a, s in dict.fromkeys(others) if a.casefold() not in known]
    return replace(asked, answers=placed + others)


NORMALIZED_AWAY = "answer left out: scoring would leave nothing of it"
EMPTY = "answer left out: it is empty"
MISSING = "answer left out: the paragraph does not have it"
MENDED = "answer's place mended: "


def _place_answer(answer: str, start: int, text: str) -> tuple[str, tuple[str, int] | None]:
    """Return why an answer was mended, if it was, and the answer with its place, if it has one."""
    if answer and start >= 0 and text.startswith(answer, start):
        return "", (answer, start)
    bare = answer.strip()
    form = answer if bare and answer in text else bare
    if not form or form not in text:
        return "", None
    if form != answer and start >= 0:
        start += len(answer) - len(answer.lstrip())
        if text.startswith(form, start):
            return f"{MENDED}white space around it", (form, start)
    places = [first for first, _ in find_whole_words(text, [form])] or list(_find(text, form))
    if start < 0:
        several = ": first of several" if len(places) > 1 else ""
        return f"answer whose place the source does not state{several}", (form, places[0])
    for unit, place in _convert_place(text, start):
        if text.startswith(form, place):
            return f"{MENDED}it was in {unit}", (form, place)
    nearest = min(places, key=lambda place: abs(place - start))
    return f"{MENDED}nearest of {'several' if len(places) > 1 else 'one'}", (form, nearest)


def _find(text: str, phrase: str) -> Iterator[int]:
    """Yield every place of a phrase, those that overlap included."""
    place = text.find(phrase)
    while place >= 0:
        yield place
        place = text.find(phrase, place + 1)


def _convert_place(text: str, start: int) -> Iterator[tuple[str, int]]:
    """Yield the characters before a place that is counted in other units."""
    for unit, encoding, width in (("UTF-16 units", "utf-16-le", 2), ("bytes", "utf-8", 1)):
        before = text.encode(encoding, "replace")[: start * width]
        yield unit, len(before.decode(encoding, "ignore"))
