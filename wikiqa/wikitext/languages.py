"""What differs from language to language: sections that list sources, and numbers."""

import re
from functools import cache

from elusive.wikiqa.wikitext.tables import load_table, split_names

SUPERSCRIPTS = str.maketrans(
    "0123456789+-−=()abcdefghijklmnoprstuvwxyzABDEGHIJKLMNOPRTUVWαβγδθφχ",
    "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵀᵁⱽᵂᵅᵝᵞᵟᶿᵠᵡ",
)
SUBSCRIPTS = str.maketrans(
    "0123456789+-−=()aehijklmnoprstuvxβγρφχ", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ"
)
RAISED = re.compile(r"[⁰¹²³⁴-⁹]")
ORDINALS = frozenset(("st", "nd", "rd", "th", "e", "er", "re", "ère", "ème", "o", "a", "os", "as"))
"""Letters that are raised after a number, and as well written on the line."""
NUMBER = re.compile(r"([-−+]?)(0|[1-9]\d*)(\.\d+)?")


def raise_text(text: str, before: str = "") -> str | None:
    """Return text as superscript, or None if Unicode lacks one of its characters.

    >>> raise_text("-11"), raise_text("th", before="9"), raise_text("?")
    ('⁻¹¹', 'th', None)
    """
    text = text.strip()
    if before[-1:].isdigit() and not RAISED.match(before[-1:]) and text.casefold() in ORDINALS:
        return text
    return _translate(text, SUPERSCRIPTS)


def lower_text(text: str) -> str | None:
    """Return text as subscript, or None if Unicode lacks one of its characters."""
    return _translate(text.strip(), SUBSCRIPTS)


def _translate(text: str, table: dict[int, int]) -> str | None:
    return text.translate(table) if all(ord(character) in table for character in text) else None


@cache
def find_separators(language: str) -> tuple[str, str]:
    """Return what a language writes between groups of three digits and before a fraction.

    >>> find_separators("en"), find_separators("de"), find_separators("fr")
    ((',', '.'), ('.', ','), (' ', ','))
    """
    for separators, languages in load_table("languages")["numbers"].items():
        if language.split("-")[0] in languages.split():
            return separators[0], separators[1]
    return ",", "."


def format_number(text: str, language: str) -> str:
    """Return a plain number with the separators of a language; anything else as it is.

    >>> format_number("1048576.5", "en"), format_number("1048576.5", "de"), format_number("x", "en")
    ('1,048,576.5', '1.048.576,5', 'x')
    """
    match = NUMBER.fullmatch(text.strip())
    if not match:
        return text
    group, point = find_separators(language)
    sign, digits, fraction = match.groups("")
    return f"{sign}{int(digits):,}".replace(",", group) + fraction.replace(".", point)


def find_left_out_heading(path: list[str], language: str) -> str | None:
    """Return the heading, in small letters, of sources, links or works above a section, if any.

    Args:
        path: headings above the section.
        language: of the wiki.

    >>> find_left_out_heading(["Literature", "Prose"], "en")
    'literature'
    >>> find_left_out_heading(["Culture", "Literature"], "en")
    """
    names = [name.casefold() for name in path]
    if names and names[0] in _list_sections(language, "works"):
        return names[0]
    apparatus = _list_sections(language, "apparatus")
    return next((name for name in names if name in apparatus), None)


@cache
def _list_sections(language: str, kind: str) -> frozenset[str]:
    table = load_table("languages")[kind]
    return frozenset(split_names(table["en"]) + split_names(table.get(language, "")))
