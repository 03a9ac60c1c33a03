"""What every source yields: articles with paragraphs, and with questions if the source has them."""

from collections import Counter
from dataclasses import dataclass, field, replace

from elusive.common.dataset.records import Link
from elusive.common.errors import InputError
from elusive.common.text.languages import compose
from elusive.wikiqa.left_out import LEFT_OUT_QUESTION

Counts = Counter[str]
"""What was read, corrected and left out, by reason, for the card."""


EMPTY_QUESTION = f"{LEFT_OUT_QUESTION}it is empty"


@dataclass(frozen=True)
class Asked:
    """A question about a paragraph."""

    question_id: str
    question: str
    answers: list[tuple[str, int]]
    """Gold answers, each with the character of the paragraph where it begins, or -1 if the source
    does not state it; the first answer that stands in the paragraph becomes its fact."""
    field: str = "answer"
    """What is asked for; `answer` if the source does not say."""
    blind: str = ""
    """Grade of a model's answer without the paragraph: `right`, `wrong`, or empty if not asked."""
    informed: str = ""
    """Grade of its answer with the paragraph."""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of an article."""

    text: str
    asked: list[Asked] = field(default_factory=list)
    section: str = ""
    """Headings above it, joined with ` > `; empty for the lead."""
    links: list[Link] = field(default_factory=list)


@dataclass(frozen=True)
class Article:
    """A Wikipedia article."""

    title: str
    """As the source writes it."""
    paragraphs: list[Paragraph]
    names: list[str] = field(default_factory=list)
    """Other names of its entity, such as those that the lead prints in bold."""
    revision: str = ""
    """Identifier of the revision; empty if the source has none."""
    url: str = ""


def read_title(value: object) -> str:
    """Return a title as text: numbers are titles too, and nothing is none.

    Raises:
        InputError: it is a list or an object.

    >>> read_title(1984), read_title(None)
    ('1984', '')
    """
    if isinstance(value, list | dict):
        raise InputError(f"a title should be a text (got {value!r:.60})")
    return "" if value is None else compose(str(value))


def compose_asked(asked: Asked, text: str) -> Asked:
    """Compose the accents of a question and its answers, and count their places in the same way.

    Args:
        asked: as the source has it.
        text: the paragraph as the source has it.
    """
    answers = [
        (compose(answer), start - _count_composed(text, start)) for answer, start in asked.answers
    ]
    return replace(asked, question=compose(asked.question), answers=answers)


def _count_composed(text: str, end: int) -> int:
    """Count the characters that composing takes away before a place; a negative one is none."""
    before = text[: max(end, 0)]
    return len(before) - len(compose(before))


def read_answer(value: object) -> str:
    """Return an answer as text: a number is what it prints as.

    Raises:
        InputError: it is neither text nor a number, or a number that may have been written in
            another way, such as 1969.0 for 1969.

    >>> read_answer("Rome"), read_answer(1969), read_answer(3.5)
    ('Rome', '1969', '3.5')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        text = str(value)
        if isinstance(value, int) or not (value.is_integer() or text.strip("-.0123456789")):
            return text
        raise InputError(f"the answer {text} could be written in several ways: put it into quotes")
    raise InputError(f"an answer should be a text or a number (got {value!r:.60})")


def to_entity(title: str) -> str:
    """Return the entity of an article: its title with spaces.

    >>> to_entity("Super_Bowl_50")
    'Super Bowl 50'
    """
    return title.replace("_", " ").strip()
