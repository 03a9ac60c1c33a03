"""Filler text of any number of words between a name and a value, and sentences with a name."""

from functools import cache

from elusive.biogen.people.pools import POOL_SEED, read_words
from elusive.common.seeding import stream

NUM_VARIANTS = 32
"""Passages of each length; one of them is drawn at random."""


def read_lead_parts() -> list[tuple[str, str]]:
    """Read the sentences that state only a name: the text before and after it."""
    pairs = [line.split("{name}") for line in read_words("leads")]
    return [(before, f"{after} ") for before, after in pairs]


@cache
def build_passages(num_words: int) -> list[tuple[str, int]]:
    """Return fillers of exactly `num_words` words, each with its number of sentences.

    Each filler ends in a space.
    """
    return [_build_passage(num_words, variant) for variant in range(NUM_VARIANTS)]


def _build_passage(num_words: int, variant: int) -> tuple[str, int]:
    rng = stream(POOL_SEED, "filler", num_words, variant)
    passage: list[str] = []
    rest = num_words
    while rest:
        shortest = min(rest, 4)  # shorter sentences only fill what is left at the end
        fitting = [s for s in read_words("fillers") if shortest <= len(s.split()) <= rest]
        fitting = [s for s in fitting if [s] != passage[-1:]]  # no sentence twice in a row
        passage.append(fitting[rng.integers(len(fitting))])
        rest -= len(passage[-1].split())
    return "".join(f"{sentence} " for sentence in passage), len(passage)
