"""The sentences and questions that are left out, most frequent reason first."""

from collections.abc import Mapping

LEFT_OUT = "sentence left out: "
"""Begins the reasons that count sentences; the rest names the template, tag or list."""
LEFT_OUT_QUESTION = "question left out: "
"""Begins the reasons that count questions."""
SENTENCES_READ, SENTENCES_LEFT_OUT = "sentences read", "sentences left out"


def list_left_out(counts: Mapping[str, int], what: str = LEFT_OUT) -> list[tuple[str, int]]:
    """Return for what sentences are left out, and how many, most frequent first.

    A sentence with two unknown templates counts for both.

    Args:
        counts: by reason.
        what: begins the reasons that count.

    >>> list_left_out({"sentence left out: {{age}}": 1, "sentence left out: <math>": 2, "list": 5})
    [('<math>', 2), ('{{age}}', 1)]
    """
    left_out = [
        (reason.removeprefix(what), count)
        for reason, count in counts.items()
        if reason.startswith(what) and count
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
    names = _join_reasons(reasons[:most])
    others = f", {len(reasons) - most} others" if len(reasons) > most else ""
    share = f"{num_left_out:,} of {num_read:,} sentences left out ({num_left_out / num_read:.1%})"
    return f"{share}: {names}{others}" if names else share


def render_left_out_questions(counts: Mapping[str, int]) -> str | None:
    """Return a line about the questions of a source that are left out, or None if none are.

    >>> render_left_out_questions({"questions read": 5, "question left out: it is empty": 1})
    '1 of 5 questions left out: it is empty 1'
    """
    reasons = list_left_out(counts, LEFT_OUT_QUESTION)
    if not reasons:
        return None
    read, left_out = counts.get("questions read"), sum(count for _, count in reasons)
    of_all = f" of {read:,}" if read else ""
    return f"{left_out:,}{of_all} questions left out: {_join_reasons(reasons)}"


def _join_reasons(reasons: list[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in reasons)
