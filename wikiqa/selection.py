"""Which paragraphs and questions are taken, and which articles are set aside for shots."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from elusive.common.seeding import derived_seed, stream
from elusive.wikiqa.articles import Article, Asked, Counts, Paragraph
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.documents import entity_name, whole_words
from elusive.wikiqa.filters import Repeated, reason_to_drop, repeated_hashes
from elusive.wikiqa.gather import load_articles
from elusive.wikiqa.sampling import sampled, sampled_paragraphs


class Selection:
    """What is taken of each article, decided after one look at all of them."""

    def __init__(self, config: WikiqaConfig, gathered: Path) -> None:
        self._config = config
        draws = {
            self._draw(number, article)
            for number, article in enumerate(load_articles(gathered))
            if any(
                reason_to_drop(asked, article, config) is None
                for paragraph in article.paragraphs
                for asked in paragraph.asked
            )
        }
        self._shots = set(sorted(draws)[: config.shots])
        pairs = (
            (asked.question, asked.answers[0][0])
            for article in load_articles(gathered)
            for paragraph in article.paragraphs
            for asked in paragraph.asked
        )
        ids = () if config.is_raw else _ids(gathered)
        self._repeated_ids = dict.fromkeys(repeated_hashes(ids), 0)
        self._repeated = Repeated(pairs if config.active_filters else ())

    def is_shot(self, number: int, article: Article) -> bool:
        """Whether an article is set aside for prompts."""
        return self._draw(number, article) in self._shots

    def _draw(self, number: int, article: Article) -> int:
        """A number by which articles are drawn for shots; equal for equal entities."""
        return derived_seed(self._config.seed, "shots", entity_name(article, number))

    def paragraphs(self, number: int, article: Article, counts: Counts) -> list[Paragraph]:
        """The paragraphs to keep, with the questions to keep."""
        kept = []
        for index, paragraph in enumerate(article.paragraphs):
            if not paragraph.text.strip():
                counts["empty paragraph"] += 1
                continue
            asked = self._questions(number, article, paragraph, counts)
            rng = stream(self._config.seed, "questions", number, index)
            asked = sampled(asked, self._config.questions_per_paragraph, rng)
            kept.append(Paragraph(paragraph.text, asked, paragraph.section, paragraph.links))
        return sampled_paragraphs(kept, number, self._config)

    def _questions(
        self, number: int, article: Article, paragraph: Paragraph, counts: Counts
    ) -> list[Asked]:
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
                name = self._unique(number, mended.question_id, counts)
                asked.append(replace(mended, question_id=name))
        return asked

    def _unique(self, number: int, question_id: str, counts: Counts) -> str:
        """The question's identifier; with the article's number where questions are written, and
        with another number where the source repeats one."""
        if self._config.is_raw:
            return f"{number:06d}-{question_id}"
        key = derived_seed(question_id)
        if key not in self._repeated_ids:
            return question_id
        self._repeated_ids[key] += 1
        if self._repeated_ids[key] == 1:
            return question_id
        counts["identifier of a question that is repeated"] += 1
        return f"{question_id}#{counts['identifier of a question that is repeated']}"


def _ids(gathered: Path) -> Iterator[str]:
    """Identifiers of all questions."""
    for article in load_articles(gathered):
        for paragraph in article.paragraphs:
            yield from (asked.question_id for asked in paragraph.asked)


def with_true_starts(asked: Asked, text: str, counts: Counts) -> Asked | None:
    """The question with answers that stand where it says; None if none does.

    An answer that stands elsewhere, and there once, gets that place; others are left out.
    """
    answers = []
    for answer, start in asked.answers:
        if answer and text[start : start + len(answer)] == answer and start >= 0:
            answers.append((answer, start))
        elif answer and len(places := whole_words(answer, text)) == 1:
            counts["answer's place mended"] += 1
            answers.append((answer, places[0]))
        else:
            counts["answer that the paragraph has not"] += 1
    if not answers:
        counts["question left out: no answer stands in the paragraph"] += 1
        return None
    return replace(asked, answers=answers)
