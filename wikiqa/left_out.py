"""The sentences that are left out for what they contain, most frequent reason first."""

from collections.abc import Mapping

LEFT_OUT = "sentence left out: "
"""Begins the reasons that count sentences; the rest names the template, tag or list."""
SENTENCES_READ, SENTENCES_LEFT_OUT = "sentences read", "sentences left out"


def list_left_out(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return for what sentences are left out, and how many, most frequent first.

    A sentence with two unknown templates counts for both.

    >>> list_left_out({"sentence left out: {{age}}": 1, "sentence left out: <math>": 2, "list": 5})
    [('<math>', 2), ('{{age}}', 1)]
    """
    left_out = [
        (reason.removeprefix(LEFT_OUT), count)
        for reason, count in counts.items()
        if reason.startswith(LEFT_OUT)
    ]
    return sorted(left_out, key=lambda pair: (-pair[1], pair[0]))


def render_left_out(counts: Mapping[str, int], most: int = 10) -> str | None:
    """Return a line about the sentences that are left out, or None if none were read.

    >>> render_left_out({"sentences read": 50, "sentences left out": 1, "sentence left out: x": 1})
    '1 of 50 sentences left out (2.0%): x 1'
    """
    num_read, num_left_out = counts.get(SENTENCES_READ, 0), counts.get(SENTENCES_LEFT_OUT, 0)
    if not num_read:
        return None
    reasons = list_left_out(counts)
    names = ", ".join(f"{name} {count:,}" for name, count in reasons[:most])
    others = f", {len(reasons) - most} others" if len(reasons) > most else ""
    share = f"{num_left_out:,} of {num_read:,} sentences left out ({num_left_out / num_read:.1%})"
    return f"{share}: {names}{others}" if names else share
