"""Cloze questions: a sentence with its answer's place marked, and its article named."""

import re
from collections.abc import Iterator
from dataclasses import replace

from elusive.common.dataset.records import Span
from elusive.common.sentences import sentence_spans
from elusive.wikiqa.articles import Article, Asked, Paragraph, entity_of

BLANK = "___"

MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
PATTERNS = {
    "date": re.compile(
        rf"\b(?:\d{{1,2}} (?:{MONTHS})(?: \d{{4}})?|(?:{MONTHS}) \d{{1,2}}(?:, \d{{4}})?"
        rf"|(?:{MONTHS}) \d{{4}}|1\d{{3}}|20\d{{2}})\b"
    ),
    "quantity": re.compile(
        r"[$€£]?\b\d[\d,.]*\d?\s?(?:%|percent|million|billion|trillion|km|kilometres|kilometers|"
        r"metres|meters|miles|feet|acres|hectares|kg|tonnes|tons|years|inhabitants|people)(?!\w)"
    ),
    "number": re.compile(
        r"(?<![\d.,$€£-])\b\d{1,3}(?:,\d{3})+(?:\.\d+)?\b|(?<![\d.,-])\b\d+\.\d+\b"
    ),
}
"""Kinds of answers beside links, in the order in which they are looked for."""


def cloze_questions(article: Article) -> Article:
    """The article with a question for every link, date, quantity and number of its paragraphs."""
    paragraphs = [
        replace(paragraph, asked=list(_asked(article, paragraph, number)))
        for number, paragraph in enumerate(article.paragraphs)
    ]
    return replace(article, paragraphs=paragraphs)


def _asked(article: Article, paragraph: Paragraph, number: int) -> Iterator[Asked]:
    """Questions of one paragraph; only answers that stand there once are asked for."""
    text = paragraph.text
    spans = sentence_spans(text, [(link.start, link.end) for link in paragraph.links])
    for count, (kind, start, end) in enumerate(answer_spans(paragraph)):
        sentence = next((s for s in spans if s[0] <= start and end <= s[1]), None)
        if sentence is None or text.count(text[start:end]) > 1:
            continue
        yield Asked(
            question_id=f"{number}-{count}",
            question=cloze_question(article.title, text, sentence, (start, end)),
            answers=[(text[start:end], start)],
            field=kind,
        )


def answer_spans(paragraph: Paragraph) -> list[tuple[str, int, int]]:
    """Kind and characters of everything that can be asked for, in order, without overlaps."""
    found = [("link", link.start, link.end) for link in paragraph.links]
    for kind, pattern in PATTERNS.items():
        for match in pattern.finditer(paragraph.text):
            start, end = match.span()
            if all(end <= first or last <= start for _, first, last in found):
                found.append((kind, start, end))
    return sorted(found, key=lambda span: span[1])


def cloze_question(title: str, text: str, sentence: Span, answer: Span) -> str:
    """The question for closed-book use.

    >>> cloze_question("Rome", "Rome is in Italy.", (0, 17), (11, 16))
    'Which words fill the blank in this sentence about Rome? "Rome is in ___."'
    """
    with_blank = f"{text[sentence[0] : answer[0]]}{BLANK}{text[answer[1] : sentence[1]]}"
    return f'Which words fill the blank in this sentence about {entity_of(title)}? "{with_blank}"'
