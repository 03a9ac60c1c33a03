"""The functions of MediaWiki's parser that a text can be printed with.

Departure from MediaWiki: the blanks around the branches of #if and #ifeq stay.
"""

from collections.abc import Callable

from elusive.wikiqa.wikitext.languages import format_number
from elusive.wikiqa.wikitext.marks import HOLE

Function = Callable[[str, list[str], str], str | None]


def is_parser_function(name: str) -> bool:
    """Return whether what stands first in double braces calls a function.

    >>> is_parser_function("formatnum:12"), is_parser_function("As of")
    (True, False)
    """
    return name.lstrip().startswith("#") or (
        ":" in name and name.partition(":")[0].strip().casefold() in FUNCTIONS
    )


def compute_parser_function(name: str, values: list[str], language: str) -> str | None:
    """Return what a function prints, or None if it is not known.

    Args:
        name: of the function, with its first argument: `formatnum:12000`.
        values: its other arguments.
        language: of the wiki.
    """
    function, _, first = name.partition(":")
    call = FUNCTIONS.get(function.strip().casefold())
    return call(first.strip(), values, language) if call else None


def _choose(condition: str, values: list[str], language: str) -> str | None:
    return [*values, "", ""][0 if condition else 1]


def _compare(left: str, values: list[str], language: str) -> str | None:
    right, equal, different = [*values, "", "", ""][:3]
    return equal if left == right.strip() else different


def _format(number: str, values: list[str], language: str) -> str | None:
    if any(value.strip() == "R" for value in values):
        return None
    return number if HOLE.search(number) else format_number(number, language)


FUNCTIONS: dict[str, Function] = {
    "#if": _choose,
    "#ifeq": _compare,
    "formatnum": _format,
    "lc": lambda text, values, language: text.lower(),
    "uc": lambda text, values, language: text.upper(),
    "lcfirst": lambda text, values, language: text[:1].lower() + text[1:],
    "ucfirst": lambda text, values, language: text[:1].upper() + text[1:],
    "#tag": lambda text, values, language: "" if text == "ref" else None,
    "defaultsort": lambda text, values, language: "",
    "displaytitle": lambda text, values, language: "",
}
