"""A Wikipedia question set as a folder: gathered, chosen, split, written."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from elusive.common.dataset_statistics import dataset_statistics
from elusive.common.errors import InputError
from elusive.common.folders import file_hash
from elusive.common.records import (
    SCHEMAS,
    Fact,
    Shot,
    Span,
    WikiDocument,
    WikiQuestion,
    to_table,
)
from elusive.common.seeding import derived_seed, stream
from elusive.common.sentences import sentence_spans
from elusive.common.shards import PROGRESS, Append, claimed_folder, finish_folder, shard_writer
from elusive.wikiqa.articles import Article, Asked, Counts, Paragraph, entity_of
from elusive.wikiqa.card import write_card
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.filters import Repeated, reason_to_drop
from elusive.wikiqa.gather import gather_articles, load_articles, load_counts
from elusive.wikiqa.tables import hub_revision

GATHERED = "articles"
TABLES = {
    "corpus": SCHEMAS[WikiDocument],
    "questions": SCHEMAS[WikiQuestion],
    "shots": SCHEMAS[Shot],
}
QUALIFIER = re.compile(r"\s*\([^()]*\)$")
MIN_NAME = 3
"""Characters of a name, below which its mentions cannot be told from other words."""

Item = TypeVar("Item")


def generate_dataset(
    config: WikiqaConfig,
    out: Path,
    workers: int = 1,
    on_articles: Callable[[int], object] = lambda count: None,
) -> bool:
    """Write the question set of `config` to `out`; False if `out` holds it already.

    Args:
        config: what decides the content.
        out: folder to write.
        workers: processes that clean the articles of a dump; the result does not depend on them.
        on_articles: called with the number of articles read since the last call.

    Raises:
        InputError: the source cannot be read or has too little, or `out` holds something else.
    """
    config = _pinned(config)
    parameters = {
        "generator": "wikiqa",
        **config.model_dump(mode="json", exclude={"squad", "table", "dump"}),
        "source": _source_name(config),
        "source_hash": _source_hash(config),
        "filters": list(config.active_filters),
    }
    with claimed_folder(out, "dataset", parameters) as is_mine:
        if is_mine:
            gathered = out / PROGRESS / GATHERED
            gather_articles(config, gathered, workers, on_articles)
            counts = load_counts(gathered)
            _write_tables(config, gathered, out, counts)
            write_card(
                config,
                _source_name(config),
                out,
                counts,
                dataset_statistics(out, texts_repeat=False),
            )
            finish_folder(out, "dataset", parameters, TABLES)
    return is_mine


def _pinned(config: WikiqaConfig) -> WikiqaConfig:
    """The config with the commit of its Hub dataset."""
    if not config.hub:
        return config
    return config.model_copy(update={"revision": hub_revision(config.hub, config.revision)})


def _file(config: WikiqaConfig) -> Path | None:
    """The source's file, if it is one."""
    return config.squad or config.table or config.dump


def _source_name(config: WikiqaConfig) -> str:
    """The source by name: a file's, or a Hub dataset's."""
    path = _file(config)
    return path.name if path else str(config.hub)


def _source_hash(config: WikiqaConfig) -> str:
    """What tells another source of the same name apart."""
    path = _file(config)
    if path is None:
        return str(config.revision)
    if not path.is_file():
        raise InputError(f"no file at {path}")
    return file_hash(path)


def _write_tables(config: WikiqaConfig, gathered: Path, out: Path, counts: Counts) -> None:
    """Choose among the gathered articles and write the tables as one shard."""
    chosen = _Chosen(config, gathered)
    with shard_writer(out, 0, 1, TABLES) as append:
        for number, article in enumerate(load_articles(gathered)):
            kept = chosen.paragraphs(number, article, counts)
            if chosen.is_shot(article):
                _append_shots(append, article, kept)
                counts["articles for shots"] += 1
            elif kept:
                _append_article(append, config, number, article, kept)
                counts["articles"] += 1
    if not counts["articles"]:
        raise InputError(
            f"nothing is left of {_source_name(config)}: {counts['articles read']} articles were "
            f"read and {counts['articles for shots']} set aside for shots; lower --shots or "
            "leave out fewer questions"
        )


class _Chosen:
    """What is taken of each article, decided after one look at all of them."""

    def __init__(self, config: WikiqaConfig, gathered: Path) -> None:
        self._config = config
        hashes = []
        for article in load_articles(gathered):
            if any(paragraph.asked for paragraph in article.paragraphs):
                hashes.append(derived_seed(config.seed, "shots", article.title))
        self._last_shot = np.sort(np.unique(hashes))[: config.shots].max() if config.shots else -1
        pairs = (
            (asked.question, asked.answers[0][0])
            for article in load_articles(gathered)
            for paragraph in article.paragraphs
            for asked in paragraph.asked
        )
        self._repeated = Repeated(pairs if config.active_filters else ())

    def is_shot(self, article: Article) -> bool:
        """Whether an article is set aside for prompts."""
        return derived_seed(self._config.seed, "shots", article.title) <= self._last_shot

    def paragraphs(self, number: int, article: Article, counts: Counts) -> list[Paragraph]:
        """The paragraphs to keep, with the questions to keep."""
        kept = []
        for index, paragraph in enumerate(article.paragraphs):
            if not paragraph.text.strip():
                counts["empty paragraph"] += 1
                continue
            asked = self._questions(article, paragraph, counts)
            rng = stream(self._config.seed, "questions", number, index)
            asked = _sampled(asked, self._config.questions_per_paragraph, rng)
            kept.append(Paragraph(paragraph.text, asked, paragraph.section, paragraph.links))
        rng = stream(self._config.seed, "paragraphs", number)
        return _sampled(kept, self._config.paragraphs_per_article, rng)

    def _questions(self, article: Article, paragraph: Paragraph, counts: Counts) -> list[Asked]:
        """The questions of a paragraph whose answers stand in it and that no filter leaves out."""
        asked = []
        for question in paragraph.asked:
            mended = with_true_starts(question, paragraph.text, counts)
            if mended is None:
                continue
            reason = reason_to_drop(mended, article, self._config) or self._repeated.reason(
                mended, self._config.active_filters
            )
            if reason:
                counts[f"question left out: {reason}"] += 1
            else:
                asked.append(mended)
        return asked


def _sampled(items: list[Item], most: int | None, rng: np.random.Generator) -> list[Item]:
    """At most so many of the items, drawn at random, in their order."""
    if most is None or len(items) <= most:
        return items
    return [items[index] for index in sorted(rng.choice(len(items), most, replace=False))]


def with_true_starts(asked: Asked, text: str, counts: Counts) -> Asked | None:
    """The question with answers that stand where it says; None if none does.

    An answer that stands elsewhere, and there once, gets that place; others are left out.
    """
    answers = []
    for answer, start in asked.answers:
        if answer and text[start : start + len(answer)] == answer and start >= 0:
            answers.append((answer, start))
        elif answer and text.count(answer) == 1:
            counts["answer's place mended"] += 1
            answers.append((answer, text.index(answer)))
        else:
            counts["answer that the paragraph has not"] += 1
    if not answers:
        counts["question left out: no answer stands in the paragraph"] += 1
        return None
    return Asked(asked.question_id, asked.question, answers, asked.field)


def _append_shots(append: Append, article: Article, paragraphs: list[Paragraph]) -> None:
    """Write an article's questions as solved examples."""
    shots = [
        Shot(_entity(article), asked.field, asked.question, asked.answers[0][0])
        for paragraph in paragraphs
        for asked in paragraph.asked
    ]
    _append_records(append, "shots", shots, Shot)


def _append_article(
    append: Append, config: WikiqaConfig, number: int, article: Article, kept: list[Paragraph]
) -> None:
    """Write an article's paragraphs and questions."""
    names = head_names(article)
    is_dev = stream(config.seed, "dev", article.title).random() < config.dev_rate
    documents, questions = [], []
    for index, paragraph in enumerate(kept):
        doc_id = f"{number:06d}-{index:04d}"
        documents.append(_document(config, article, paragraph, doc_id, names))
        questions += [
            WikiQuestion(
                question_id=asked.question_id,
                doc_id=doc_id,
                entity=_entity(article, number),
                field=asked.field,
                question=asked.question,
                answers=[answer for answer, _ in asked.answers],
                split="dev" if is_dev else "test",
                answer_starts=[start for _, start in asked.answers],
                blind="",
                informed="",
                licence=config.licence,
            )
            for asked in paragraph.asked
        ]
    _append_records(append, "corpus", documents, WikiDocument)
    _append_records(append, "questions", questions, WikiQuestion)


def _append_records(append: Append, table: str, records: list[Item], kind: type[Item]) -> None:
    """Write records to a table."""
    for batch in to_table(records, kind).to_batches():
        append(table, batch)


def _entity(article: Article, number: int = 0) -> str:
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


def _document(
    config: WikiqaConfig, article: Article, paragraph: Paragraph, doc_id: str, names: list[str]
) -> WikiDocument:
    """A paragraph as a document: its answers are its facts."""
    heads = mentions(paragraph.text, names)
    return WikiDocument(
        doc_id=doc_id,
        entity=_entity(article, int(doc_id[:6])),
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
        licence=config.licence,
    )


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
