"""Cloze questions: a sentence with a blank in place of the answer, and the article's name."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace

from elusive.common.dataset.records import Span
from elusive.common.text.sentences import find_sentences
from elusive.wikiqa.articles import Article, Asked, Counts, Paragraph, to_entity
from elusive.wikiqa.questions.answer_patterns import build_patterns

BLANK = "___"
MAX_SENTENCE = 1000
"""Characters of a sentence; what is longer is no sentence, and would be repeated per answer."""


def add_cloze_questions(
    article: Article, language: str = "en", counts: Counts | None = None
) -> Article:
    """Return the article with a question for each link, date, quantity and number.

    Args:
        article: with its paragraphs.
        language: of the text.
        counts: to which the answers in sentences that are too long are added.
    """
    counts = Counter() if counts is None else counts
    paragraphs = [
        replace(paragraph, asked=list(_write_questions(article, number, language, counts)))
        for number, paragraph in enumerate(article.paragraphs)
    ]
    return replace(article, paragraphs=paragraphs)


def _write_questions(
    article: Article, number: int, language: str, counts: Counts
) -> Iterator[Asked]:
    """Yield the questions of one paragraph, for answers that occur in it exactly once."""
    paragraph = article.paragraphs[number]
    text = paragraph.text
    links = [(link.start, link.end) for link in paragraph.links]
    sentences = find_sentences(text, links, language)
    starts = [start for start, _ in sentences]
    spans = find_answer_spans(paragraph, language)
    occurrences = _count_occurrences(text, {text[start:end] for _, start, end in spans})
    for count, (kind, start, end) in enumerate(spans):
        sentence = sentences[bisect_right(starts, start) - 1]
        if end > sentence[1] or occurrences[text[start:end]] > 1:
            continue
        if sentence[1] - sentence[0] > MAX_SENTENCE:
            counts[f"answer in a sentence of more than {MAX_SENTENCE:,} characters"] += 1
            continue
        yield Asked(
            question_id=f"{number}-{count}",
            question=build_cloze_question(article.title, text, sentence, (start, end)),
            answers=[(text[start:end], start)],
            field=kind,
        )


def _count_occurrences(text: str, answers: set[str]) -> dict[str, int]:
    """Count how often each answer occurs; the text is read once, however many they are."""
    counts = {answer: text.count(answer) if len(answer) == 1 else 0 for answer in answers}
    lengths: dict[str, set[int]] = defaultdict(set)
    for answer in answers:
        lengths[answer[:2]].add(len(answer))
    for place in range(len(text) - 1):
        for length in lengths.get(text[place : place + 2], ()):
            words = text[place : place + length]
            if len(words) == length and words in counts:
                counts[words] += 1
    return counts


def find_answer_spans(paragraph: Paragraph, language: str = "en") -> list[tuple[str, int, int]]:
    """Return the kind and span of all possible answers, in order, without overlaps."""
    spans = [("link", link.start, link.end) for link in paragraph.links]
    is_taken = bytearray(len(paragraph.text))
    for _, start, end in spans:
        is_taken[start:end] = b"\1" * (end - start)
    for kind, pattern in build_patterns(language).items():
        for match in pattern.finditer(paragraph.text):
            start, end = match.span()
            if 1 not in is_taken[start:end]:
                is_taken[start:end] = b"\1" * (end - start)
                spans.append((kind, start, end))
    return sorted(spans, key=lambda span: span[1])


def build_cloze_question(title: str, text: str, sentence: Span, answer: Span) -> str:
    """Build a question that can be answered closed-book.

    >>> build_cloze_question("Rome", "Rome is in Italy.", (0, 17), (11, 16))
    'Which words fill the blank in this sentence about Rome? "Rome is in ___."'
    """
    with_blank = f"{text[sentence[0] : answer[0]]}{BLANK}{text[answer[1] : sentence[1]]}"
    return f'Which words fill the blank in this sentence about {to_entity(title)}? "{with_blank}"'
