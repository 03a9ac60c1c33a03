"""Which paragraphs and questions are drawn where not all are wanted."""

from typing import TypeVar

import numpy as np

from elusive.common.seeding import stream
from elusive.wikiqa.articles import Paragraph
from elusive.wikiqa.config import WikiqaConfig

Item = TypeVar("Item")


def sampled_paragraphs(
    paragraphs: list[Paragraph], number: int, config: WikiqaConfig
) -> list[Paragraph]:
    """The paragraphs of article `number` that are drawn, all where the config does not limit them;
    drawn again, they are the same."""
    rng = stream(config.seed, "paragraphs", number)
    return sampled(paragraphs, config.paragraphs_per_article, rng)


def sampled(items: list[Item], most: int | None, rng: np.random.Generator) -> list[Item]:
    """At most so many of the items, drawn at random, in their order."""
    if most is None or len(items) <= most:
        return items
    return [items[index] for index in sorted(rng.choice(len(items), most, replace=False))]
