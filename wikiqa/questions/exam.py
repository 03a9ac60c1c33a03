"""The blind and informed test: what a model answers without and with the paragraph."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from elusive.common.answers import score_answer
from elusive.common.intervals import Estimate, mean_over_entities
from elusive.wikiqa.articles import Article, Asked, Counts, Paragraph
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.questions.chat import ChatModel

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
    """Share that it answers without the paragraph: the contamination of a set for this model."""
    informed: Estimate
    """Share that it answers with the paragraph at hand."""


class Exam:
    """A model that answers questions without and with their paragraph, and what it answered."""

    def __init__(self, chat: ChatModel) -> None:
        self._chat = chat
        self._entities: list[str] = []
        self._grades: list[tuple[bool, bool]] = []

    def graded(self, article: Article, entity: str) -> Article:
        """The article with both grades in its questions: `right` if a gold answer occurs in the
        reply's first line as whole words (answer recall), else `wrong`.
        """
        asked = [(each, question) for each in article.paragraphs for question in each.asked]
        prompts = [self._prompt(question, "") for _, question in asked]
        prompts += [self._prompt(question, paragraph.text) for paragraph, question in asked]
        replies = self._chat.ask(prompts, MAX_TOKENS)
        right = [
            is_right(reply, question)
            for reply, (_, question) in zip(replies, [*asked, *asked], strict=True)
        ]
        grades = list(zip(right[: len(asked)], right[len(asked) :], strict=True))
        self._entities += [entity] * len(asked)
        self._grades += grades
        left = iter(grades)
        return replace(article, paragraphs=[_with_grades(p, left) for p in article.paragraphs])

    @staticmethod
    def _prompt(asked: Asked, text: str) -> str:
        """What the model is asked."""
        context = CONTEXT.format(text=text) if text else ""
        return PROMPT.format(context=context, question=asked.question)

    def result(self) -> ExamResult:
        """Both shares over all questions so far, with intervals over articles."""
        blind, informed = zip(*self._grades, strict=True)
        return ExamResult(
            examiner=self._chat.name,
            questions=len(blind),
            blind=mean_over_entities(blind, self._entities),
            informed=mean_over_entities(informed, self._entities),
        )


def passed(article: Article, config: WikiqaConfig, counts: Counts) -> Article:
    """The article without the questions whose grades the filters in use do not let through."""
    paragraphs = []
    for paragraph in article.paragraphs:
        asked = []
        for question in paragraph.asked:
            reason = _reason_to_drop(question, config)
            if reason:
                counts[f"question left out: {reason}"] += 1
            else:
                asked.append(question)
        paragraphs.append(replace(paragraph, asked=asked))
    return replace(article, paragraphs=paragraphs)


def _reason_to_drop(asked: Asked, config: WikiqaConfig) -> str | None:
    """The first filter in use that the grades of a question do not pass."""
    failed = {"known": asked.blind == "right", "unanswerable": asked.informed == "wrong"}
    return next((name for name in config.active_filters if failed.get(name)), None)


def is_right(reply: str, asked: Asked) -> bool:
    """Whether a gold answer occurs in the first line of a reply as whole words."""
    first_line = next(iter(reply.strip().splitlines()), "")
    return score_answer(first_line, [answer for answer, _ in asked.answers])["contains"] == 1.0


def _with_grades(paragraph: Paragraph, grades: Iterator[tuple[bool, bool]]) -> Paragraph:
    """The paragraph with the next grades in its questions."""
    asked = []
    for question in paragraph.asked:
        blind, informed = next(grades)
        asked.append(replace(question, blind=GRADES[blind], informed=GRADES[informed]))
    return replace(paragraph, asked=asked)
