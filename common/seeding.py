"""Randomness as an argument: one independent stream per purpose and item."""

import hashlib

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def derived_seed(*key: object) -> int:
    """A 64-bit seed that depends on every part of `key` and on nothing else.

    Item 7 of a corpus has the same seed whether or not item 6 was made, in whatever process.

    >>> derived_seed(0, "biogen", 7) == derived_seed(0, "biogen", 7)
    True
    >>> derived_seed(0, "biogen", 7) == derived_seed(0, "biogen", 8)
    False
    """
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def stream(*key: object) -> np.random.Generator:
    """A generator for what `key` names, such as (seed, "copies", doc_id, copy)."""
    return np.random.default_rng(derived_seed(*key))


def hashed(key: int | np.ndarray, items: np.ndarray) -> np.ndarray:
    """One 64-bit random number per item, each a function of `key` and the item alone.

    The output function of SplitMix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom Number
    Generators, 2014) at place `item` of the sequence that starts at `key`.

    Args:
        key: of the purpose, such as `derived_seed(seed, "major")`; or one key per item.
        items: integers of any shape.
    """
    with np.errstate(over="ignore"):
        mixed = np.asarray(key, np.uint64) + (items.astype(np.uint64) + np.uint64(1)) * _GOLDEN
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    return mixed ^ (mixed >> np.uint64(31))


def integers_below(size: int | np.ndarray, key: int | np.ndarray, items: np.ndarray) -> np.ndarray:
    """One integer in [0, size) per item, all equally likely to within size / 2**32.

    >>> integers_below(6, derived_seed("dice"), np.arange(8))
    array([5, 2, 1, 5, 4, 3, 0, 3])
    """
    high = hashed(key, items) >> np.uint64(32)
    return ((high * np.asarray(size, np.uint64)) >> np.uint64(32)).astype(np.int64)


FEISTEL_ROUNDS = 4


def permuted(items: np.ndarray, size: int, key: int | np.ndarray) -> np.ndarray:
    """Where a keyed permutation of range(size) sends each item.

    A Feistel network over an even number of bits; results beyond `size` are sent on until they
    fall inside (cycle walking: Black and Rogaway, Ciphers with Arbitrary Finite Domains, 2002).

    Args:
        items: integers in [0, size), of any shape.
        size: of the domain, below 2**62.
        key: of the permutation; or one key per item.

    >>> sorted(permuted(np.arange(10), 10, key=7).tolist()) == list(range(10))
    True
    """
    half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
    keys = [hashed(key, np.array(turn)) for turn in range(FEISTEL_ROUNDS)]
    places = _feistel(items.astype(np.uint64), half, keys)
    outside = places >= size
    while outside.any():
        turned = [each[outside] if each.ndim else each for each in keys]
        places[outside] = _feistel(places[outside], half, turned)
        outside = places >= size
    return places.astype(np.int64)


def _feistel(places: np.ndarray, half: np.uint64, keys: list[np.ndarray]) -> np.ndarray:
    """One pass of the network over numbers of twice `half` bits."""
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = places >> half, places & mask
    for key in keys:
        left, right = right, left ^ (hashed(key, right) & mask)
    return (left << half) | right
