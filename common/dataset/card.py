"""The size of a dataset in the header that the Hub reads from a card."""

SIZE_CATEGORIES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
)
"""Upper limits, and the Hub's names of what is below them."""


def find_size_category(num_documents: int) -> str:
    """Return the Hub's name for a dataset's size.

    >>> find_size_category(5000)
    '1K<n<10K'
    """
    return next(name for limit, name in SIZE_CATEGORIES if num_documents < limit)
