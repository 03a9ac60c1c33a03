"""Which paragraphs and questions a dataset keeps, and which articles are set aside for shots."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from elusive.common.seeding import derived_seed, stream
from elusive.wikiqa.answer_places import place_answers
from elusive.wikiqa.articles import Article, Asked, Counts, Paragraph
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.documents import name_entity
from elusive.wikiqa.filters import Repeated, find_drop_reason, find_repeated_hashes
from elusive.wikiqa.gather import load_articles
from elusive.wikiqa.left_out import LEFT_OUT_QUESTION
from elusive.wikiqa.sampling import sample_items, sample_paragraphs


class Selection:
    """Decides what is kept of each article, after one pass over all of them."""

    def __init__(self, config: WikiqaConfig, gathered: Path) -> None:
        self._config = config
        # Articles are drawn for shots by a number of their own: those with the lowest are taken.
        draws = {
            self._draw(number, article)
            for number, article in enumerate(load_articles(gathered))
            if any(
                find_drop_reason(asked, article, config) is None
                for paragraph in article.paragraphs
                for asked in paragraph.asked
            )
        }
        self._shot_draws = set(sorted(draws)[: config.shots])
        ids = () if config.is_raw else (asked.question_id for asked in _load_questions(gathered))
        self._repeated_ids = dict.fromkeys(find_repeated_hashes(ids), 0)
        pairs = ((asked.question, asked.answers[0][0]) for asked in _load_questions(gathered))
        self._repeated = Repeated(pairs if config.active_filters else ())

    def is_shot(self, number: int, article: Article) -> bool:
        """Return whether an article is set aside for shots."""
        return self._draw(number, article) in self._shot_draws

    def _draw(self, number: int, article: Article) -> int:
        """Return the number by which an article is drawn for shots, equal for equal entities."""
        return derived_seed(self._config.seed, "shots", name_entity(article, number))

    def select_paragraphs(self, number: int, article: Article, counts: Counts) -> list[Paragraph]:
        """Return the paragraphs to keep, with the questions to keep."""
        paragraphs = []
        for index, paragraph in enumerate(article.paragraphs):
            if not paragraph.text.strip():
                counts["empty paragraph"] += 1
                continue
            asked = self._select_questions(number, article, paragraph, counts)
            rng = stream(self._config.seed, "questions", number, index)
            asked = sample_items(asked, self._config.questions_per_paragraph, rng)
            paragraphs.append(replace(paragraph, asked=asked))
        return sample_paragraphs(paragraphs, number, self._config)

    def _select_questions(
        self, number: int, article: Article, paragraph: Paragraph, counts: Counts
    ) -> list[Asked]:
        """Return the questions whose answers the paragraph contains and that pass all filters."""
        questions = []
        for original in paragraph.asked:
            asked = place_answers(original, paragraph.text, counts, self._config.language)
            if asked is None:
                continue
            reason = find_drop_reason(asked, article, self._config)
            reason = reason or self._repeated.find_drop_reason(asked, self._config.active_filters)
            if reason:
                counts[f"{LEFT_OUT_QUESTION}{reason}"] += 1
            else:
                question_id = self._make_unique(number, asked.question_id, counts)
                questions.append(replace(asked, question_id=question_id))
        return questions

    def _make_unique(self, number: int, question_id: str, counts: Counts) -> str:
        """Return a question's identifier, made unique.

        If questions are written, it begins with the article's number. If the source repeats an
        identifier, each repetition gets a number.
        """
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


def _load_questions(gathered: Path) -> Iterator[Asked]:
    for article in load_articles(gathered):
        for paragraph in article.paragraphs:
            yield from paragraph.asked
