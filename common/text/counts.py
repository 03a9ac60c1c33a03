"""Numbers of things in words."""

IRREGULAR = {"person": "people"}


def format_count(number: int, noun: str) -> str:
    """Format a number with its noun.

    >>> format_count(1, "person"), format_count(2, "person"), format_count(1200, "entry")
    ('1 person', '2 people', '1,200 entries')
    """
    return f"{number:,} {noun if number == 1 else make_plural(noun)}"


def make_plural(noun: str) -> str:
    """Return the plural of a noun.

    >>> [make_plural(noun) for noun in ("seed", "person", "biography")]
    ['seeds', 'people', 'biographies']
    """
    regular = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return IRREGULAR.get(noun, regular)
