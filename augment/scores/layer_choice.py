"""Which layers or heads are read, written as text."""

from elusive.common.errors import InputError


def choose_indices(spec: str, count: int, kind: str) -> list[int]:
    """Indices that a text names: `all`, `3`, `0-7`, `0,2,5-8`, or shares of the depth `0.25-0.5`.

    A share with a decimal point counts from 0.0, before the first index, to 1.0, behind the last; a
    range of shares holds at least one index.

    Args:
        spec: the text.
        count: how many there are.
        kind: their name, for errors.

    Raises:
        InputError: the text names no index, or one that the model does not have.

    >>> choose_indices("0.25-0.5", 8, "layers")
    [2, 3]
    >>> choose_indices("0,5-6", 8, "layers")
    [0, 5, 6]
    """
    if spec == "all":
        return list(range(count))
    indices: list[int] = []
    for part in spec.split(","):
        first, dash, last = part.strip().partition("-")
        try:
            if "." in part:
                start = round(float(first) * count) if dash else 0
                end = round(float(last if dash else first) * count)
                indices += range(start, max(end, start + 1))
            else:
                indices += range(int(first), int(last if dash else first) + 1)
        except ValueError:
            raise InputError(
                f"{kind} {spec!r}: write all, numbers and ranges (0,5-7), or shares of the depth "
                "(0.25-0.5)"
            ) from None
    if not indices or min(indices) < 0 or max(indices) >= count:
        raise InputError(f"{kind} {spec!r}: the model has {kind} 0 to {count - 1}")
    return sorted(set(indices))


def choose_first_layers(depth: float, count: int) -> list[int]:
    """Indices of the first layers, a share `depth` of all of them and at least one.

    >>> choose_first_layers(0.5, 5)
    [0, 1]
    """
    return list(range(max(1, round(depth * count))))
