"""Sampling paragraphs and questions when the config limits their number."""

from typing import TypeVar

import numpy as np

from elusive.common.seeding import stream
from elusive.wikiqa.articles import Paragraph
from elusive.wikiqa.config import WikiqaConfig

Item = TypeVar("Item")


def sample_paragraphs(
    paragraphs: list[Paragraph], number: int, config: WikiqaConfig
) -> list[Paragraph]:
    """Sample the paragraphs of article `number`; all of them if the config sets no limit.

    Sampling the sample again changes nothing.
    """
    rng = stream(config.seed, "paragraphs", number)
    return sample_items(paragraphs, config.paragraphs_per_article, rng)


def sample_items(items: list[Item], limit: int | None, rng: np.random.Generator) -> list[Item]:
    """Sample at most `limit` items, and keep their order."""
    if limit is None or len(items) <= limit:
        return items
    return [items[index] for index in sorted(rng.choice(len(items), limit, replace=False))]
