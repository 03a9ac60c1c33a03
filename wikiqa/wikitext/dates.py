"""Templates that print dates."""

from elusive.wikiqa.wikitext.calls import Call

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)


def render_as_of(call: Call) -> str | None:
    """Return "As of" with its date.

    >>> render_as_of(Call("as of", {"1": "2015", "2": "7", "lc": "y"}))
    'as of July 2015'
    """
    if text := call.get("alt"):
        return text
    date = _print_date(call.positional, call.get("df").casefold() != "us")
    if date is None:
        return None
    words = "Since" if call.get("since") else "As of"
    words = words.lower() if call.get("lc") else words
    return f"{date if call.get('bare') else f'{words} {date}'}{call.get('post')}"


def render_date(call: Call) -> str | None:
    """Return the date of a template such as {{start date|2001|1|9}}."""
    return _print_date(call.positional[:3], bool(call.get("df")))


def render_old_style_date(call: Call) -> str | None:
    """Return a date with its Julian one, as {{OldStyleDate|26 July|1712|15 July}} prints it."""
    new, year, old = [*call.positional, "", "", ""][:3]
    return f"{new} [O.S. {old}] {year}".strip() if new and old else None


def _print_date(words: list[str], is_day_first: bool) -> str | None:
    """Print year, month and day, of which the last ones may be missing."""
    words = [word for word in words if word]
    if not words or len(words) > 3 or not words[0].isdecimal():
        return None
    if len(words) == 1:
        return words[0]
    month = _name_month(words[1])
    if month is None:
        return None
    if len(words) == 2:
        return f"{month} {words[0]}"
    if not words[2].isdecimal() or not 1 <= int(words[2]) <= 31:
        return None
    day = int(words[2])
    return f"{day} {month} {words[0]}" if is_day_first else f"{month} {day}, {words[0]}"


def _name_month(word: str) -> str | None:
    if word.isdecimal():
        return MONTHS[int(word) - 1] if 1 <= int(word) <= 12 else None
    return next((month for month in MONTHS if month[:3] == word[:3].capitalize()), None)
