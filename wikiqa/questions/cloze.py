"""Cloze questions: a sentence with a blank in place of the answer, and the article's name."""

import re
from collections.abc import Iterator
from dataclasses import replace

from elusive.common.dataset.records import Span
from elusive.common.text.languages import WORD_END, WORD_START
from elusive.common.text.sentences import find_sentences
from elusive.wikiqa.articles import Article, Asked, Paragraph, to_entity

BLANK = "___"

MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
PATTERNS = {
    "date": re.compile(
        rf"{WORD_START}(?:\d{{1,2}} (?:{MONTHS})(?: \d{{4}})?|(?:{MONTHS}) \d{{1,2}}(?:, \d{{4}})?"
        rf"|(?:{MONTHS}) \d{{4}}|1\d{{3}}|20\d{{2}}){WORD_END}"
    ),
    "quantity": re.compile(
        r"[$€£]?\b\d[\d,.]*\d?\s?(?:%|percent|million|billion|trillion|km|kilometres|kilometers|"
        r"metres|meters|miles|feet|acres|hectares|kg|tonnes|tons|years|inhabitants|people)(?!\w)"
    ),
    "number": re.compile(
        r"(?<![\d.,$€£-])\b\d{1,3}(?:,\d{3})+(?:\.\d+)?\b|(?<![\d.,-])\b\d+\.\d+\b"
    ),
}
"""Kinds of answers besides links, in the order in which they are searched for."""


def add_cloze_questions(article: Article, language: str = "en") -> Article:
    """Return the article with a question for each link, date, quantity and number."""
    paragraphs = [
        replace(paragraph, asked=list(_write_questions(article, paragraph, number, language)))
        for number, paragraph in enumerate(article.paragraphs)
    ]
    return replace(article, paragraphs=paragraphs)


def _write_questions(
    article: Article, paragraph: Paragraph, number: int, language: str
) -> Iterator[Asked]:
    """Yield the questions of one paragraph, for answers that occur in it exactly once."""
    text = paragraph.text
    links = [(link.start, link.end) for link in paragraph.links]
    sentences = find_sentences(text, links, language)
    for count, (kind, start, end) in enumerate(find_answer_spans(paragraph)):
        sentence = next((s for s in sentences if s[0] <= start and end <= s[1]), None)
        if sentence is None or text.count(text[start:end]) > 1:
            continue
        yield Asked(
            question_id=f"{number}-{count}",
            question=build_cloze_question(article.title, text, sentence, (start, end)),
            answers=[(text[start:end], start)],
            field=kind,
        )


def find_answer_spans(paragraph: Paragraph) -> list[tuple[str, int, int]]:
    """Return the kind and span of all possible answers, in order, without overlaps."""
    spans = [("link", link.start, link.end) for link in paragraph.links]
    for kind, pattern in PATTERNS.items():
        for match in pattern.finditer(paragraph.text):
            start, end = match.span()
            if all(end <= first or last <= start for _, first, last in spans):
                spans.append((kind, start, end))
    return sorted(spans, key=lambda span: span[1])


def build_cloze_question(title: str, text: str, sentence: Span, answer: Span) -> str:
    """Build a question that can be answered closed-book.

    >>> build_cloze_question("Rome", "Rome is in Italy.", (0, 17), (11, 16))
    'Which words fill the blank in this sentence about Rome? "Rome is in ___."'
    """
    with_blank = f"{text[sentence[0] : answer[0]]}{BLANK}{text[answer[1] : sentence[1]]}"
    return f'Which words fill the blank in this sentence about {to_entity(title)}? "{with_blank}"'
