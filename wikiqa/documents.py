"""From an article to the records of a dataset: documents, questions, shots."""

import re
from collections.abc import Iterator
from typing import Literal

from elusive.common.dataset.records import Fact, Shot, Span, WikiDocument, WikiQuestion
from elusive.common.sentences import sentence_spans
from elusive.wikiqa.articles import Article, Asked, Paragraph, entity_of

Split = Literal["dev", "test"]

QUALIFIER = re.compile(r"\s*\([^()]*\)$")
MIN_NAME = 3
"""Characters of a name, below which its mentions cannot be told from other words."""


def entity_name(article: Article, number: int) -> str:
    """The article's entity, or its number where it has no title."""
    return entity_of(article.title) or f"article {number}"


def head_names(article: Article) -> list[str]:
    """How the text may call the article's entity: its title, that without a qualifier, others.

    >>> head_names(Article("Mercury_(planet)", [], names=["Hermes"]))
    ['Mercury (planet)', 'Mercury', 'Hermes']
    """
    entity = entity_of(article.title)
    names = [entity, QUALIFIER.sub("", entity), *article.names]
    return [name for name in dict.fromkeys(names) if len(name) >= MIN_NAME or name == entity]


def mentions(text: str, names: list[str]) -> list[Span]:
    """Where names stand as whole words, the longest first where they overlap, in order."""
    ordered = sorted(filter(None, names), key=len, reverse=True)
    if not ordered:
        return []
    pattern = "|".join(map(re.escape, ordered))
    return [match.span() for match in re.finditer(rf"(?<!\w)(?:{pattern})(?!\w)", text)]


def whole_words(answer: str, text: str) -> list[int]:
    """Where an answer stands in a text as whole words.

    >>> whole_words("art", "The party liked art.")
    [16]
    """
    return [m.start() for m in re.finditer(rf"(?<!\w){re.escape(answer)}(?!\w)", text)]


def document_of(
    article: Article, paragraph: Paragraph, number: int, index: int, licence: str
) -> WikiDocument:
    """Paragraph `index` of article `number` as a document: its answers are its facts."""
    heads = mentions(paragraph.text, head_names(article))
    return WikiDocument(
        doc_id=doc_id_of(number, index),
        entity=entity_name(article, number),
        text=paragraph.text,
        heads=heads,
        others=[],
        facts=list(_facts(paragraph, heads)),
        split="train",
        templates=[],
        variant="wikipedia",
        title=article.title,
        section=paragraph.section,
        links=paragraph.links,
        revision=article.revision,
        url=article.url,
        licence=licence,
    )


def doc_id_of(number: int, index: int) -> str:
    """Identifier of a paragraph.

    >>> doc_id_of(12, 3)
    '000012-0003'
    """
    return f"{number:06d}-{index:04d}"


def _facts(paragraph: Paragraph, heads: list[Span]) -> Iterator[Fact]:
    """Each answer once, in the order of the text."""
    text = paragraph.text
    spans = {
        (start, start + len(answer), asked.field)
        for asked in paragraph.asked
        for answer, start in asked.answers[:1]
    }
    sentences = sentence_spans(text, [*heads, *((start, end) for start, end, _ in spans)])
    for start, end, name in sorted(spans):
        before = [stop for _, stop in heads if stop <= start]
        yield Fact(
            field=name,
            value=text[start:end],
            start=start,
            end=end,
            distance=text.count(" ", max(before), start) if before else None,
            position=sum(first <= start for first, _ in sentences) - 1,
        )


def question_of(
    article: Article, asked: Asked, place: tuple[int, int], split: Split, licence: str
) -> WikiQuestion:
    """A question about a paragraph, given the numbers of its article and of the paragraph in it."""
    number, index = place
    return WikiQuestion(
        question_id=asked.question_id,
        doc_id=doc_id_of(number, index),
        entity=entity_name(article, number),
        field=asked.field,
        question=asked.question,
        answers=[answer for answer, _ in asked.answers],
        split=split,
        answer_starts=[start for _, start in asked.answers],
        blind=asked.blind,
        informed=asked.informed,
        licence=licence,
    )


def shot_of(article: Article, asked: Asked, number: int) -> Shot:
    """A question as a solved example."""
    return Shot(entity_name(article, number), asked.field, asked.question, asked.answers[0][0])
