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
HIDES_INPUT = frozenset(("out", "output only", "output number only", "number", "unit", "table"))
"""Values of `disp` that print something else than the quantity; `table` prints two cells."""
EXPONENT = re.compile(r"([-−]?[\d.,]+)e([-−+]?\d+)")


def render_convert(call: Call) -> str | None:
    """Return the quantity, or None if its numbers or its unit are not known.

    Departures from Wikipedia's Module:Convert: the conversion in brackets is left out, so that a
    text holds no number that its author has not written; numbers are not spelled out.
    """
    words = call.positional
    if len(words) < 2 or call.get("disp").casefold() in HIDES_INPUT:
        return None
    amount, count = _read_amount(words, call.language)
    if amount is None or count >= len(words):
        return None
    rest = words[count + 1 :]
    follows = len(rest) > 1 and rest[1] in PAIRS.get(words[count], ())
    is_short = _is_short(call)
    text = _join_unit(amount, words[count], is_short, call, is_one=words[:count] in (["1"], ["−1"], ["-1"]))
    if not follows or text is None:
        return text
    number = read_number(rest[0], call.language)
    second = number and _join_unit(number, rest[1], is_short, call, is_one=rest[0] == "1")
    if not second:
        return None
    return text + ("-" if _is_adjective(call) and not is_short else " ") + second


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


def _is_short(call: Call) -> bool:
    default = "on" if call.name == "cvt" else "out"
    return call.get("abbr").casefold() in ("on", "in", "y", "yes", "values") or (
        not call.get("abbr") and default == "on"
    )


def _is_adjective(call: Call) -> bool:
    return call.get("adj").casefold() in ("on", "mid", "1")


def _join_unit(amount: str, code: str, is_short: bool, call: Call, is_one: bool) -> str | None:
    """Return a number with its unit, or None if the unit is not known."""
    power = next((word for prefix, word in POWERS.items() if re.match(rf"{prefix}(?!\d)", code)), "")
    code = re.sub(r"^e(3|6|9|12)(?!\d)", "", code)
    unit = split_names(load_table("units").get(code, ""))
    if not unit:
        return None
    symbol, name, plural = unit if len(unit) == 3 else (unit[0], "", "")
    if power:
        amount = f"{amount} {power}"
    if is_short or not name:
        return f"{amount}{'' if symbol.startswith('/') else ' '}{symbol}"
    is_adjective = _is_adjective(call)
    word = name if is_adjective or (is_one and not power) or call.get("sing") else plural
    if call.get("sp") == "us":
        word = word.replace("metre", "meter").replace("litre", "liter")
    text = f"{amount.replace(' ', '-') if is_adjective and power else amount}"
    middle = call.get("mid") or (words_after_adjective(call) if is_adjective else "")
    return f"{text}{'-' if is_adjective else ' '}{word.replace(' ', '-') if is_adjective else word}{middle}"


def words_after_adjective(call: Call) -> str:
    """Return the words that |adj=mid puts after the unit, which stand last in the call."""
    last = call.positional[-1]
    is_word = call.get("adj") == "mid" and last[:1] in "- " and not read_number(last)
    return last if is_word else ""


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
