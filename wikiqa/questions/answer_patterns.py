"""Patterns of dates, quantities and numbers, which are the answers of cloze questions, by language.

Months, and the names of units in all their plural forms, come from Unicode's CLDR through Babel;
what CLDR lacks is in this module. English has fixed lists, whose order decides what is found.
"""

import re
from collections.abc import Iterator
from functools import cache

import regex
from babel import Locale, UnknownLocaleError
from babel.numbers import format_compact_decimal
from babel.units import UnknownUnitError, format_unit

from elusive.common.text.languages import ENGLISH, WORD_END, WORD_START, get_base_code
from elusive.wikiqa.wikitext.languages import find_separators

MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
UNITS = (
    "%|percent|million|billion|trillion|km²|km|kilometres|kilometers|metres|meters|miles|feet|acres|"
    "hectares|kg|tonnes|tons|years|inhabitants|people"
)
POWER = "(?:×10⁻?[⁰¹²³⁴-⁹]+)?"
SYMBOLS = ("%", "‰", "km²", "m²", "km", "kg")
MEASURED = (
    ("length-kilometer", "length-meter", "length-centimeter", "length-millimeter", "length-mile"),
    ("length-foot", "area-square-kilometer", "area-square-meter", "area-hectare", "area-acre"),
    ("mass-kilogram", "mass-gram", "mass-tonne"),
)
"""CLDR's names of units whose long and short forms are looked for."""
COUNTED = ("duration-year", "duration-month", "duration-day", "duration-hour", "concentr-percent")
"""Those of which only the long forms are: the short ones are letters such as `a`."""
LARGE = (1_000, 1_000_000, 1_000_000_000, 1_000_000_000_000)
PLURALS = (0, 1, 2, 3, 5, 11, 21, 100, 1.5)
"""Numbers among which every plural form of a language occurs."""
PEOPLE = {
    "ar": "نسمة|شخصًا|شخص",
    "cs": "obyvatel|osob|lidí",
    "da": "indbyggere|mennesker|personer",
    "de": "Einwohner|Menschen|Personen",
    "es": "habitantes|personas",
    "fa": "نفر",
    "fi": "asukasta|ihmistä",
    "fr": "habitants|personnes",
    "he": "תושבים|אנשים|נפש",
    "it": "abitanti|persone",
    "ja": "人",
    "ko": "명",
    "nl": "inwoners|mensen|personen",
    "no": "innbyggere|mennesker|personer",
    "pl": "mieszkańców|osób",
    "pt": "habitantes|pessoas",
    "ru": "жителей|человека|человек",
    "sv": "invånare|människor|personer",
    "tr": "kişi",
    "uk": "жителів|мешканців|осіб",
    "zh": "人",
}
"""Words for inhabitants and people after a number, by language."""
ZEROS = (
    "0\u0660\u06f0\u0966\u09e6\u0a66\u0ae6\u0b66\u0be6\u0c66\u0ce6\u0d66\u0e50\u0ed0\u1040\u17e0"
)
"""The digit 0 in the scripts of languages that may have their own, such as Arabic and Hindi."""
ONES, TWOS = ("".join(chr(ord(zero) + value) for zero in ZEROS) for value in (1, 2))
YEAR = rf"[{ONES}]\d{{3}}|[{TWOS}][{ZEROS}]\d{{2}}"
NUMBERED = re.compile(r"[\d.,\s]*\d[\s\u00a0\u202f]*(\D+)")
FIELD = re.compile(r"'([^']*)'|([dMLy]+)|([^dMLy']+)")


@cache
def build_patterns(language: str) -> dict[str, regex.Pattern[str]]:
    """Build the patterns of answers besides links, in the order in which they are searched for.

    Numbers have the separators of the language: 1,048,576.5 in English is 1.048.576,5 in German.
    Of a language that CLDR lacks, years, symbols and numbers are found.

    >>> build_patterns("de")["date"].search("am 3. Oktober 1990 in Bonn")[0]
    '3. Oktober 1990'
    >>> build_patterns("ru")["quantity"].search("около 12 миллионов жителей")[0]
    '12 миллионов'
    """
    group, point = (re.escape(separator) for separator in find_separators(language))
    is_blank = group == r"\ "
    group = "[ \u00a0\u202f]" if is_blank else group
    grouped = rf"\d{{1,3}}(?:{group}\d{{3}})+(?:{point}\d+)?"
    before = rf"(?<![\d.,$€£±-]){WORD_START}" + r"(?<!\d[ \u00a0\u202f])" * is_blank
    after = rf"(?![.,]\d|[×±]){WORD_END}"
    dates = "".join(f"{date}|" for date in _list_dates(language))
    return {
        "date": regex.compile(rf"{WORD_START}(?:{dates}(?!)){WORD_END}|{before}(?:{YEAR}){after}"),
        "quantity": regex.compile(
            rf"(?<![\d.,±])(?:(?:{WORD_START}(?:US|CA|AU|A|NZ|HK))?[$€£]|{WORD_START})"
            rf"(?:{grouped}|\d+(?:{point}\d+)?){POWER}\s?(?:{_list_units(language)}){WORD_END}"
        ),
        "number": regex.compile(rf"{before}(?:{grouped}|\d+{point}\d+){POWER}{after}"),
    }


def _list_dates(language: str) -> list[str]:
    """List the patterns of days with and without a year, and of months with a year."""
    if get_base_code(language) == ENGLISH:
        day = rf"\d{{1,2}} (?:{MONTHS})(?: \d{{4}})?|(?:{MONTHS}) \d{{1,2}}(?:, \d{{4}})?"
        return [day, rf"(?:{MONTHS}) \d{{4}}"]
    locale = _find_locale(language)
    if locale is None:
        return []
    formats = [locale.date_formats["long"]]
    formats += [
        locale.datetime_skeletons[name]
        for name in ("MMMMd", "yMMMM")
        if name in locale.datetime_skeletons
    ]
    # Not months["stand-alone"]: Babel 2.18 gives those of the language that was loaded before.
    months = [name for name in locale.months["format"]["wide"].values() if not name.isdecimal()]
    names = "|".join(map(re.escape, sorted(months, key=len, reverse=True)))
    return [_build_date(date.pattern, names) for date in formats]


def _build_date(pattern: str, months: str) -> str:
    """Build the pattern of a date of CLDR, such as "d 'de' MMMM 'de' y", up to its last field."""
    last = max(pattern.rfind(letter) for letter in "dMLy") + 1
    ends_as_written = pattern[last:].strip(" '.") in ("日", "月")
    parts = []
    for literal, field, other in FIELD.findall(pattern if ends_as_written else pattern[:last]):
        if field:
            is_number = field[0] == "d" or len(field) < 3
            digits = r"\d{4}" if field[0] == "y" else r"\d{1,2}(?:er|º)?"
            parts.append(digits if is_number else f"(?:{months})")
        else:
            parts.append(re.escape(literal or other).replace(r"\ ", "[ \u00a0]"))
    return "".join(parts)


def _list_units(language: str) -> str:
    """List units and words for large numbers as alternatives of a pattern, longer ones first."""
    base = get_base_code(language)
    if base == ENGLISH:
        return UNITS
    locale = _find_locale(language)
    words = {*SYMBOLS, *filter(None, PEOPLE.get(base, "").split("|"))}
    if locale:
        words |= {
            match[1].strip()
            for text in _format_quantities(locale)
            if (match := NUMBERED.fullmatch(text.replace("\u200f", ""))) and "-" not in match[1]
        }
    if base == "de":  # the dative, as in "auf 5 Kilometern"
        words |= {f"{word}n" for word in words if word.endswith("er")}
    return "|".join(map(re.escape, sorted(words, key=lambda word: (-len(word), word))))


def _format_quantities(locale: Locale) -> Iterator[str]:
    """Yield numbers with each unit in each of its forms."""
    lengths = [(unit, ("long", "short")) for units in MEASURED for unit in units]
    lengths += [(unit, ("long",)) for unit in COUNTED]
    for unit, forms in lengths:
        for form in forms:
            for number in PLURALS:
                try:
                    yield format_unit(number, unit, form, locale=locale)  # type: ignore[arg-type]
                except UnknownUnitError:
                    break
    form = "long" if "long" in locale.compact_decimal_formats else "short"
    for size in LARGE:
        for number in PLURALS[1:]:
            yield format_compact_decimal(number * size, format_type=form, locale=locale)


def _find_locale(language: str) -> Locale | None:
    for code in (language.replace("-", "_"), get_base_code(language)):
        try:
            return Locale.parse(code)
        except (UnknownLocaleError, ValueError):
            continue
    return None
