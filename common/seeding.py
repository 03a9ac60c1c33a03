"""Randomness as an argument: an independent stream for each purpose and item."""

import hashlib
from collections.abc import Iterable

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def derived_seed(*key: object) -> int:
    """Return a 64-bit seed that depends on every part of `key` and on nothing else.

    Item 7 of a corpus has the same seed in every process, whether or not item 6 was generated.

    >>> derived_seed(0, "biogen", 7) == derived_seed(0, "biogen", 7)
    True
    >>> derived_seed(0, "biogen", 7) == derived_seed(0, "biogen", 8)
    False
    """
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def stream(*key: object) -> np.random.Generator:
    """Return a random generator for what `key` names, such as (seed, "copies", doc_id, copy)."""
    return np.random.default_rng(derived_seed(*key))


def hash_names(names: Iterable[str]) -> np.ndarray:
    """Hash names to 64-bit integers, each independently of the others.  # (name,)."""
    digests = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(digests, "<u8")


def hashed(key: int | np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return one 64-bit random number per item, a function of `key` and the item alone.

    This is the output function of SplitMix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom
    Number Generators, 2014) at index `item` of the sequence that starts at `key`.

    Args:
        key: of the purpose, such as `derived_seed(seed, "major")`; or one key per item.
        items: integers of any shape.
    """
    with np.errstate(over="ignore"):
        mixed = np.asarray(key, np.uint64) + (items.astype(np.uint64) + np.uint64(1)) * _GOLDEN
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    return mixed ^ (mixed >> np.uint64(31))


def draw_integers(size: int | np.ndarray, key: int | np.ndarray, items: np.ndarray) -> np.ndarray:
    """Draw one integer in [0, size) per item, all equally likely to within size / 2**32.

    >>> draw_integers(6, derived_seed("dice"), np.arange(8))
    array([5, 2, 1, 5, 4, 3, 0, 3])
    """
    high = hashed(key, items) >> np.uint64(32)
    return ((high * np.asarray(size, np.uint64)) >> np.uint64(32)).astype(np.int64)


FEISTEL_ROUNDS = 4


def permute_items(items: np.ndarray, size: int, key: int | np.ndarray) -> np.ndarray:
    """Map each item through a keyed permutation of range(size).

    The permutation is a Feistel network over an even number of bits. A result of `size` or more is
    mapped again until it falls below (cycle walking: Black and Rogaway, Ciphers with Arbitrary
    Finite Domains, 2002).

    Args:
        items: integers in [0, size), of any shape.
        size: of the domain, below 2**62.
        key: of the permutation; or one key per item.

    >>> sorted(permute_items(np.arange(10), 10, key=7).tolist()) == list(range(10))
    True
    """
    half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
    round_keys = [hashed(key, np.array(number)) for number in range(FEISTEL_ROUNDS)]
    mapped = _apply_feistel(items.astype(np.uint64), half, round_keys)
    outside = mapped >= size
    while outside.any():
        outside_keys = [keys[outside] if keys.ndim else keys for keys in round_keys]
        mapped[outside] = _apply_feistel(mapped[outside], half, outside_keys)
        outside = mapped >= size
    return mapped.astype(np.int64)


def _apply_feistel(
    numbers: np.ndarray, half: np.uint64, round_keys: list[np.ndarray]
) -> np.ndarray:
    """Pass numbers of twice `half` bits through the network once."""
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = numbers >> half, numbers & mask
    for key in round_keys:
        left, right = right, left ^ (hashed(key, right) & mask)
    return (left << half) | right
