"""{{convert}}: a quantity as its author states it, without the conversion in brackets."""

import re

from elusive.wikiqa.wikitext.calls import Call, read_number
from elusive.wikiqa.wikitext.languages import raise_text
from elusive.wikiqa.wikitext.tables import load_table, split_names

RANGES = {
    **{word: f" {word} " for word in ("to", "and", "or")},
    **dict.fromkeys(("-", "–", "&ndash;", "to(-)", "to-", "–to"), "–"),
    **dict.fromkeys(("by", "xx"), " by "),
    **dict.fromkeys(("x", "×", "*", "by(x)", "x(by)"), " × "),
    **dict.fromkeys(("and(-)", "and-"), " and "),
    **dict.fromkeys(("+/-", "±", "+-", "&plusmn;"), " ± "),
    ",": ", ",
}
"""Words that join two numbers, as they are printed."""
PAIRS = {"ft": ("in",), "yd": ("ft", "in"), "mi": ("yd", "ft"), "lb": ("oz",), "st": ("lb",)}
"""Units that a smaller one may follow: 6 feet 2 inches."""
POWERS = {"e3": "thousand", "e6": "million", "e9": "billion", "e12": "trillion"}
POWER = re.compile(r"e(?:3|6|9|12)(?!\d)")
HIDES_INPUT = frozenset(("out", "output only", "output number only", "number", "unit", "table"))
"""Values of `disp` that print something else than the quantity; `table` prints two cells."""
EXPONENT = re.compile(r"([-−]?[\d.,]+)e([-−+]?\d+)")


def render_convert(call: Call) -> str | None:
    """Return the quantity, or None if its numbers or its unit are not known.

    Departures from Wikipedia's Module:Convert: the conversion in brackets is left out, so that a
    text holds no number that its author has not written; numbers are not spelled out.

    >>> render_convert(Call("convert", {"1": "5", "2": "to", "3": "10", "4": "km"}))
    '5 to 10 kilometres'
    """
    words = call.positional
    is_odd = call.get("adj").casefold() not in ("", "on", "off", "no")  # words in between
    if len(words) < 2 or is_odd or call.get("disp").casefold() in HIDES_INPUT:
        return None
    amount, count = _read_amount(words, call.language)
    if amount is None or count >= len(words):
        return None
    code, rest = words[count], words[count + 1 :]
    text = _join_unit(call, amount, code)
    if text is None or len(rest) < 2 or rest[1] not in PAIRS.get(code, ()):
        return text
    number = read_number(rest[0], call.language)
    second = number and _join_unit(call, number, rest[1])
    return second and f"{text}{'-' if _is_adjective(call) else ' '}{second}"


def _read_amount(words: list[str], language: str) -> tuple[str | None, int]:
    """Return the number or range of numbers that begins a call, and how many words it takes."""
    amount = _read_number(words[0], language)
    count = 1
    while amount is not None and count + 1 < len(words) and words[count] in RANGES:
        number = _read_number(words[count + 1], language)
        amount = amount + RANGES[words[count]] + number if number else None
        count += 2
    return amount, count


def _read_number(text: str, language: str) -> str | None:
    if exponent := EXPONENT.fullmatch(text):
        number, power = read_number(exponent[1], language), raise_text(exponent[2].lstrip("+"))
        return f"{number}×10{power}" if number and power else None
    return read_number(text, language)


def _join_unit(call: Call, amount: str, code: str) -> str | None:
    """Return a number with its unit, or None if the unit is not known."""
    power = POWER.match(code)
    unit = split_names(load_table("units").get(code[power.end() if power else 0 :], ""))
    if not unit:
        return None
    is_one = amount in ("1", "−1") and not power
    amount = f"{amount} {POWERS[power[0]]}" if power else amount
    is_short = call.name == "cvt" or call.get("abbr").casefold() in ("on", "in", "y", "yes")
    if len(unit) == 1 or (is_short and call.get("abbr") != "off"):
        return f"{amount}{'' if unit[0].startswith('/') else ' '}{unit[0]}"
    _, name, plural = unit
    word = name if is_one or _is_adjective(call) or call.get("sing") else plural
    if call.get("sp") == "us":
        word = word.replace("metre", "meter").replace("litre", "liter")
    return f"{amount} {word}".replace(" ", "-") if _is_adjective(call) else f"{amount} {word}"


def _is_adjective(call: Call) -> bool:
    return call.get("adj").casefold() == "on"


def render_height(call: Call) -> str | None:
    """Return a height in metres, or in feet and inches.

    >>> render_height(Call("height", {"ft": "6", "in": "2"}))
    '6 ft 2 in'
    """
    if metres := call.get("m", "meters", "metres"):
        return f"{metres} m"
    if centimetres := call.get("cm"):
        return f"{centimetres} cm"
    feet, inches = call.get("ft", "feet", "foot"), call.get("in", "inch", "inches")
    if not feet:
        return None
    return f"{feet} ft{f' {inches} in' if inches else ''}"
