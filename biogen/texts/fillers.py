"""Filler between a name and a value, of any number of words, and sentences that bring a name up."""

from functools import cache

from elusive.biogen.people.pools import POOL_SEED, words
from elusive.common.seeding import stream

NUM_VARIANTS = 32
"""Passages of each length, drawn from at random."""


def lead_parts() -> list[tuple[str, str]]:
    """Text before and after the name in sentences that state nothing but the name."""
    pairs = [line.split("{name}") for line in words("leads")]
    return [(before, f"{after} ") for before, after in pairs]


@cache
def passages(num_words: int) -> list[tuple[str, int]]:
    """Fillers of exactly `num_words` words, each with a space behind, and their sentences."""
    return [_passage(num_words, variant) for variant in range(NUM_VARIANTS)]


def _passage(num_words: int, variant: int) -> tuple[str, int]:
    """One filler; no sentence twice in a row."""
    rng = stream(POOL_SEED, "filler", num_words, variant)
    chosen: list[str] = [""]
    left = num_words
    while left:
        shortest = min(left, 4)  # shorter ones only fill up what is left
        fitting = [s for s in words("fillers") if shortest <= len(s.split()) <= left]
        fitting = [s for s in fitting if s != chosen[-1]]
        chosen.append(fitting[rng.integers(len(fitting))])
        left -= len(chosen[-1].split())
    return "".join(f"{sentence} " for sentence in chosen[1:]), len(chosen) - 1
