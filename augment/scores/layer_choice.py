"""The choice of layers or heads to read, as a user writes it."""

from elusive.common.errors import InputError


def choose_indices(spec: str, count: int, kind: str) -> list[int]:
    """Return the indices that a spec names: `all`, `3`, `0-7`, `0,2,5-8`, or `0.25-0.5`.

    Numbers with a decimal point are shares of the depth, from 0.0, before the first index, to 1.0,
    after the last. A single share means all indices up to it. A range of shares holds at least one
    index.

    Args:
        spec: what the user wrote.
        count: number of layers or heads that the model has.
        kind: `layers` or `heads`, for errors.

    Raises:
        InputError: the spec names no index, or one that the model does not have.

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
                f"{kind} {spec!r} cannot be read: write all, indices and ranges such as 0,5-7, or "
                "shares of the depth such as 0.25-0.5"
            ) from None
    if not indices or min(indices) < 0 or max(indices) >= count:
        raise InputError(f"{kind} {spec!r}: the model has {kind} 0 to {count - 1}")
    return sorted(set(indices))


def choose_first_layers(depth: float, count: int) -> list[int]:
    """Return the indices of the first layers: a share `depth` of all layers, but at least one.

    >>> choose_first_layers(0.5, 5)
    [0, 1]
    """
    return list(range(max(1, round(depth * count))))
