"""Templates whose text depends on their arguments by more than a pattern can say."""

import re
from collections.abc import Callable

from elusive.wikiqa.wikitext.calls import Call, read_number
from elusive.wikiqa.wikitext.convert import render_convert, render_height
from elusive.wikiqa.wikitext.dates import render_as_of, render_date, render_old_style_date
from elusive.wikiqa.wikitext.languages import lower_text, raise_text
from elusive.wikiqa.wikitext.marks import APOSTROPHE, MARKS
from elusive.wikiqa.wikitext.namespaces import list_languages
from elusive.wikiqa.wikitext.tables import load_table

CHARGE = re.compile(r"\d*[-+−–]")
CHEMICAL = re.compile(r"[A-Za-z0-9()\[\]'*·.]+")
PLACE = re.compile(r"([A-Za-z)\]])(\d+)")
SHIPS = ("hms", "uss", "ss", "rms", "mv", "ms", "hmas", "hmcs", "hmnzs", "sms", "usns", "uscgc")
ACCIDENTALS = {"flat": "♭", "sharp": "♯", "natural": "♮", "b": "♭", "#": "♯"}


def render_value(call: Call) -> str | None:
    """Return a number with its uncertainty, power of ten and unit, as {{val}} prints it.

    >>> render_value(Call("val", {"1": "1.2", "2": "0.3", "e": "6", "u": "kg"}))
    '(1.2±0.3)×10⁶ kg'
    """
    words = call.positional
    known = {"1", "2", "e", "u", "ul", "up", "fmt"}
    if not words or set(call.arguments) - known or len(words) > 2:
        return None
    text = _plain_number(words[0])
    if text and len(words) > 1 and words[1]:
        error = words[1] if re.fullmatch(r"\(\d+\)", words[1]) else _plain_number(words[1])
        is_short = words[1].startswith("(")
        text = error and (f"{text}{error}" if is_short else f"{text}±{error}")
        text = f"({text})" if text and not is_short and call.get("e", "u", "ul") else text
    power = raise_text(call.get("e").lstrip("+")) if call.get("e") else ""
    unit = MARKS.sub("", call.get("u", "ul", "up"))
    if not text or power is None or not re.fullmatch(r"[\w°/%μ .·⋅⁻²³¹⁰-⁹]*", unit):
        return None
    symbol = load_table("units").get(unit, unit).split(" / ")[0] if unit in ("C", "F") else unit
    return f"{text}{f'×10{power}' if power else ''}{f' {symbol}' if symbol else ''}"


def _plain_number(text: str) -> str | None:
    """Return a number without separators, as {{val}} prints it, or None if it is none."""
    number = read_number(text)
    return number and number.replace(",", "")


def render_fraction(call: Call) -> str | None:
    """Return a fraction: {{frac|3}} is 1⁄3, {{frac|1|2}} is 1⁄2 and {{frac|3|1|2}} is 3 1⁄2."""
    words = [word for word in call.positional if word]
    if not words or len(words) > 3 or not all(word.isdecimal() for word in words):
        return None
    whole = f"{words[0]} " if len(words) == 3 else ""
    top, bottom = ("1", words[0]) if len(words) == 1 else words[-2:]
    return f"{whole}{top}⁄{bottom}"


def render_chemical(call: Call) -> str | None:
    """Return the formula of {{chem|SO|4|2-}}: numbers lowered, charges raised."""
    pieces = []
    for index, word in enumerate(call.positional):
        plain = MARKS.sub("", word).replace("''", "")
        if index and CHARGE.fullmatch(plain):
            piece = raise_text(plain.replace("–", "-"))
        elif index and (plain[:1].isdecimal() or "''" in word):
            piece = lower_text(plain)
        else:
            piece = plain if re.fullmatch(r"[A-Za-z()\[\]·]*", plain) else None
        if piece is None:
            return None
        pieces.append(piece)
    return "".join(pieces) or None


def render_chemical_line(call: Call) -> str | None:
    """Return the formula of {{chem2|SO4(2-)}}, which is written on one line."""
    text = MARKS.sub("", "".join(call.positional[:1]))
    charge = re.search(r"(?:\((\d+[-+−])\)|([-+−]))$", text)
    body = text[: charge.start()] if charge else text
    if not body or not CHEMICAL.fullmatch(body) or re.match(r"\d", body):
        return None
    raised = raise_text(charge[1] or charge[2]) if charge else ""
    return PLACE.sub(lambda match: f"{match[1]}{lower_text(match[2])}", body) + (raised or "")


def render_ship(call: Call) -> str | None:
    """Return the name of a ship; what its fourth argument prints is known for some values."""
    words = call.positional if call.name == "ship" else [call.name.upper(), *call.positional]
    prefix, name, mark, style = [*words, "", "", "", ""][:4]
    if not name:
        return None
    full = f"{prefix} ''{name}''".strip()
    texts = {"": f"{full} ({mark})" if mark else full, "2": f"''{name}''", "6": full}
    return texts.get(style)


def render_language(call: Call) -> str | None:
    """Return "Italian: Roma" for {{lang-it|Roma}} and {{langx|it|Roma}}."""
    words = call.positional
    if call.name == "langx":
        code, words = (words[0] if words else ""), words[1:]
    else:
        code = {"lang-rus": "lang-ru"}.get(call.name, call.name).removeprefix("lang-")
    label = call.get("label") or load_table("templates")["names"].get(code)
    if not words or not words[0] or not label:
        return None
    written = call.get("translit", "r") or (words[1] if len(words) > 1 else "")
    meaning = call.get("lit", "t") or (words[2] if len(words) > 2 else "")
    text = words[0] if label == "none" else f"{label}: {words[0]}"
    text += f", romanized: {written}" if written else ""
    return text + (f", lit. {APOSTROPHE}{meaning}{APOSTROPHE}" if meaning else "")


def render_japanese(call: Call) -> str | None:
    """Return {{nihongo|English|kanji|romanized|more|after}} as "English (kanji, romanized)"."""
    english, kanji, written, more, after = [*call.positional, *[""] * 5][:5]
    more, after = more or call.get("extra"), after or call.get("extra2")
    if not english:
        english, written = written or kanji, ""
        kanji = "" if english == kanji else kanji
    aside = ", ".join(text for text in (kanji, written, more) if text)
    text = f"{english} ({aside})" if aside else english
    return f"{text} {after}".strip() or None


def render_chinese(call: Call) -> str | None:
    """Return the writings of a Chinese name with their labels."""
    labels = {
        **{"c": "Chinese", "s": "simplified Chinese", "t": "traditional Chinese", "p": "pinyin"},
        **{"tp": "Tongyong Pinyin", "w": "Wade–Giles", "j": "Jyutping", "poj": "Pe̍h-ōe-jī"},
    }
    texts = [
        text if call.get("labels") == "no" else f"{label}: {text}"
        for name, label in labels.items()
        if (text := call.get(name))
    ]
    if meaning := call.get("l"):
        texts.append(f"lit. {APOSTROPHE}{meaning}{APOSTROPHE}")
    return "; ".join(texts) or None


def render_foreign_link(call: Call) -> str | None:
    """Return the words of {{ill|Title|de|Titel|lt=words}}; its old order is {{ill|de|Title}}."""
    words = call.positional
    if len(words) > 1 and words[0] in list_languages():
        return [*words, "", ""][3] or words[1]
    return call.get("lt", "1") or None


def render_joined(call: Call) -> str | None:
    """Return the arguments one after the other."""
    return "".join(call.positional) or None


def render_keys(call: Call) -> str | None:
    """Return keys that are pressed together."""
    return "+".join(call.positional) or None


def render_music(call: Call) -> str | None:
    """Return a sign of musical notation."""
    return ACCIDENTALS.get(call.get("1").casefold()) if len(call.positional) == 1 else None


def render_gauge(call: Call) -> str | None:
    """Return a track gauge that is stated in millimetres."""
    match = re.fullmatch(r"(\d+)\s*mm", call.get("1"))
    return f"{read_number(match[1], call.language)} mm" if match else None


def render_coordinates(call: Call) -> str | None:
    """Return nothing for coordinates that are printed in the title alone."""
    return "" if call.get("display") in ("title", "t") else None


def render_ship_class(call: Call) -> str | None:
    """Return "Nimitz-class aircraft carrier" for {{sclass|Nimitz|aircraft carrier}}."""
    words = call.positional
    return f"''{words[0]}''-class {words[1]}" if len(words) == 2 and all(words) else None


COMPUTED: dict[str, Callable[[Call], str | None]] = {
    **dict.fromkeys(("convert", "cvt"), render_convert),
    **dict.fromkeys(("as of", "asof"), render_as_of),
    **dict.fromkeys(("start date", "birth date", "death date", "end date", "dob"), render_date),
    **dict.fromkeys(("oldstyledate", "oldstyledatedy"), render_old_style_date),
    **dict.fromkeys(("frac", "fraction", "sfrac"), render_fraction),
    **dict.fromkeys(("ill", "interlanguage link", "illm", "red link"), render_foreign_link),
    **dict.fromkeys(("gaps", "linktext", "not a typo", "typo"), render_joined),
    **dict.fromkeys(("key press", "keypress", "kbd press", "button"), render_keys),
    **dict.fromkeys(("railgauge", "track gauge"), render_gauge),
    **dict.fromkeys(("sclass", "sclass-"), render_ship_class),
    **dict.fromkeys((*SHIPS, "ship"), render_ship),
    "chem": render_chemical,
    "chem2": render_chemical_line,
    "coord": render_coordinates,
    "height": render_height,
    "lang-": render_language,
    "langx": render_language,
    "music": render_music,
    "nihongo": render_japanese,
    "val": render_value,
    "zh": render_chinese,
}
"""By name in small letters, or by its beginning."""
