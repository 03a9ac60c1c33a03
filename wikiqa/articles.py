"""What every source gives: articles of paragraphs, with questions where the source has them."""

from collections import Counter
from dataclasses import dataclass, field

from elusive.common.dataset.records import Link

Counts = Counter[str]
"""What was read, mended and left out, by reason, for the card."""


@dataclass(frozen=True)
class Asked:
    """A question about a paragraph."""

    question_id: str
    question: str
    answers: list[tuple[str, int]]
    """Gold answers with the character of the paragraph at which each begins; the first counts as
    the paragraph's fact."""
    field: str = "answer"
    """What is asked for: `answer` where the source does not say."""
    blind: str = ""
    """Grade of a model's answer without the paragraph: `right`, `wrong`, or empty if not asked."""
    informed: str = ""
    """The same, with the paragraph."""


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
    """Other names of its entity, such as those that its lead has in bold."""
    revision: str = ""
    """Identifier of the revision; empty where the source does not say."""
    url: str = ""


def entity_of(title: str) -> str:
    """The article's entity: its title with spaces.

    >>> entity_of("Super_Bowl_50")
    'Super Bowl 50'
    """
    return title.replace("_", " ").strip()
