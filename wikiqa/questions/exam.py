"""The blind and informed exam: what a model answers without and with the paragraph."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from elusive.common.answers import score_answer
from elusive.common.chat.models import ChatModel
from elusive.common.intervals import RATE, Estimate, estimate_mean
from elusive.wikiqa.articles import Article, Asked, Counts, Paragraph
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.left_out import LEFT_OUT_QUESTION

MAX_TOKENS = 24
PROMPT = """\
Answer with as few words as possible.

Question: What is the capital of France?
Answer: Paris

Question: In which year did the First World War begin?
Answer: 1914

{context}Question: {question}
Answer:"""
CONTEXT = "Text: {text}\n"
GRADES = {True: "right", False: "wrong"}


@dataclass(frozen=True)
class ExamResult:
    """What a model knows before it is trained."""

    examiner: str
    questions: int
    blind: Estimate
    """Share answered without the paragraph: the contamination of the dataset for this model."""
    informed: Estimate
    """Share answered with the paragraph."""


class Exam:
    """A model that answers questions without and with their paragraphs, and its grades so far."""

    def __init__(self, chat: ChatModel, language: str) -> None:
        self._chat = chat
        self._language = language
        self._entities: list[str] = []
        self._grades: list[tuple[bool, bool]] = []

    def grade(self, article: Article, entity: str) -> Article:
        """Return the article with both grades in its questions.

        A grade is `right` if the reply's first line contains a gold answer as whole words (answer
        recall), else `wrong`.
        """
        asked = [(p.text, question) for p in article.paragraphs for question in p.asked]
        contexts = [""] * len(asked) + [CONTEXT.format(text=text) for text, _ in asked]
        questions = 2 * [question for _, question in asked]
        prompts = [
            PROMPT.format(context=context, question=question.question)
            for context, question in zip(contexts, questions, strict=True)
        ]
        replies = self._chat.ask(prompts, MAX_TOKENS)
        pairs = zip(replies, questions, strict=True)
        right = [is_right(*pair, self._language) for pair in pairs]
        grades = list(zip(right[: len(asked)], right[len(asked) :], strict=True))
        self._entities += [entity] * len(asked)
        self._grades += grades
        remaining = iter(grades)
        paragraphs = [_add_grades(paragraph, remaining) for paragraph in article.paragraphs]
        return replace(article, paragraphs=paragraphs)

    def compute_result(self) -> ExamResult:
        """Compute both shares over all questions so far, with intervals over articles."""
        blind, informed = zip(*self._grades, strict=True)
        return ExamResult(
            examiner=self._chat.name,
            questions=len(blind),
            blind=estimate_mean(blind, self._entities, bounds=RATE),
            informed=estimate_mean(informed, self._entities, bounds=RATE),
        )


def drop_failed_questions(article: Article, config: WikiqaConfig, counts: Counts) -> Article:
    """Return the article without the questions whose grades do not pass the active filters."""
    paragraphs = []
    for paragraph in article.paragraphs:
        asked = []
        for question in paragraph.asked:
            reason = _find_drop_reason(question, config)
            if reason:
                counts[f"{LEFT_OUT_QUESTION}{reason}"] += 1
            else:
                asked.append(question)
        paragraphs.append(replace(paragraph, asked=asked))
    return replace(article, paragraphs=paragraphs)


def _find_drop_reason(asked: Asked, config: WikiqaConfig) -> str | None:
    """Return the first active filter that the grades of a question do not pass."""
    failed = {"known": asked.blind == "right", "unanswerable": asked.informed == "wrong"}
    return next((name for name in config.active_filters if failed.get(name)), None)


def is_right(reply: str, asked: Asked, language: str = "en") -> bool:
    """Return whether the first line of a reply contains a gold answer as whole words."""
    first_line = next(iter(reply.strip().splitlines()), "")
    golds = [answer for answer, _ in asked.answers]
    return score_answer(first_line, golds, language)["contains"] == 1.0


def _add_grades(paragraph: Paragraph, grades: Iterator[tuple[bool, bool]]) -> Paragraph:
    """Return the paragraph with the next grades in its questions."""
    asked = []
    for question in paragraph.asked:
        blind, informed = next(grades)
        asked.append(replace(question, blind=GRADES[blind], informed=GRADES[informed]))
    return replace(paragraph, asked=asked)
