"""From an article to the records of a dataset: documents, questions, shots."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Literal

from elusive.common.dataset.records import WIKIPEDIA, Fact, Shot, Span, WikiDocument, WikiQuestion
from elusive.common.text.languages import count_words_between
from elusive.common.text.sentences import find_sentences
from elusive.common.text.text_spans import find_whole_words
from elusive.wikiqa.articles import Article, Asked, Paragraph, to_entity
from elusive.wikiqa.config import UNKNOWN_LICENCE, WikiqaConfig

Split = Literal["dev", "test"]

QUALIFIER = re.compile(r"\s*\([^()]*\)$")
MIN_NAME = 3
"""Characters of a name; mentions of a shorter one cannot be told from other words."""


def name_entity(article: Article, number: int) -> str:
    """Return the article's entity, or a name made of its number if it has no title."""
    return to_entity(article.title) or f"article {number}"


def list_head_names(article: Article) -> list[str]:
    """List what the text may call the entity: the title, with and without a qualifier, and others.

    >>> list_head_names(Article("Mercury_(planet)", [], names=["Hermes"]))
    ['Mercury (planet)', 'Mercury', 'Hermes']
    """
    entity = to_entity(article.title)
    names = [entity, QUALIFIER.sub("", entity), *article.names]
    return [name for name in dict.fromkeys(names) if len(name) >= MIN_NAME or name == entity]


def build_doc_id(number: int, index: int) -> str:
    """Build the identifier of paragraph `index` of article `number`.

    >>> build_doc_id(12, 3)
    '000012-0003'
    """
    return f"{number:06d}-{index:04d}"


def build_document(
    article: Article, paragraph: Paragraph, number: int, index: int, config: WikiqaConfig
) -> WikiDocument:
    """Build the document of paragraph `index` of article `number`; its answers are its facts."""
    heads = find_whole_words(paragraph.text, list_head_names(article))
    return WikiDocument(
        doc_id=build_doc_id(number, index),
        entity=name_entity(article, number),
        text=paragraph.text,
        heads=heads,
        others=[],
        facts=list(_build_facts(paragraph, heads, config.language)),
        split="train",
        templates=[],
        variant=WIKIPEDIA,
        title=article.title,
        section=paragraph.section,
        links=paragraph.links,
        revision=article.revision,
        url=article.url,
        licence=config.licence or UNKNOWN_LICENCE,
        language=config.language,
    )


def _build_facts(paragraph: Paragraph, heads: list[Span], language: str) -> Iterator[Fact]:
    """Yield each answer once, in the order of the text."""
    text = paragraph.text
    spans = {
        (start, start + len(answer), asked.field)
        for asked in paragraph.asked
        for answer, start in asked.answers[:1]
    }
    unbroken = [*heads, *((start, end) for start, end, _ in spans)]
    firsts = [first for first, _ in find_sentences(text, unbroken, language)]
    head_ends = [head_end for _, head_end in heads]
    nearest, counted, distance = None, 0, 0
    for start, end, field in sorted(spans):
        num_before = bisect_right(head_ends, start)
        if num_before and nearest != num_before:
            nearest, counted = num_before, head_ends[num_before - 1]
            distance = count_words_between(text, counted, counted, language)
        if num_before:  # count on from the last answer, so that no word is counted twice
            distance -= count_words_between(text, counted, counted, language)
            distance += count_words_between(text, counted, start, language)
            counted = start
        yield Fact(
            field=field,
            value=text[start:end],
            start=start,
            end=end,
            distance=distance if num_before else None,
            position=bisect_right(firsts, start) - 1,
        )


def build_question(
    article: Article, asked: Asked, indices: tuple[int, int], split: Split, licence: str
) -> WikiQuestion:
    """Build a question, given the indices of its article and of the paragraph in the article."""
    return WikiQuestion(
        question_id=asked.question_id,
        doc_id=build_doc_id(*indices),
        entity=name_entity(article, indices[0]),
        field=asked.field,
        question=asked.question,
        answers=[answer for answer, _ in asked.answers],
        split=split,
        answer_starts=[start for _, start in asked.answers],
        blind=asked.blind,
        informed=asked.informed,
        licence=licence,
    )


def build_shot(article: Article, asked: Asked, number: int) -> Shot:
    """Build a solved question of article `number`."""
    return Shot(name_entity(article, number), asked.field, asked.question, asked.answers[0][0])
