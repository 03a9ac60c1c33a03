"""The call of a template, as the functions see it that compute what it prints."""

from dataclasses import dataclass

from elusive.wikiqa.wikitext.languages import format_number
from elusive.wikiqa.wikitext.marks import MARKS


@dataclass(frozen=True)
class Call:
    """A template with its rendered arguments."""

    name: str
    """In small letters."""
    arguments: dict[str, str]
    """By name; those without a name by number, from 1."""
    language: str = "en"

    def get(self, *names: object) -> str:
        """Return the first of these arguments that is not empty, without blanks around it."""
        for name in names:
            if text := self.arguments.get(str(name), "").strip():
                return text
        return ""

    @property
    def positional(self) -> list[str]:
        """The arguments without a name, up to the first number that is missing."""
        texts = []
        while str(len(texts) + 1) in self.arguments:
            texts.append(self.arguments[str(len(texts) + 1)].strip())
        return texts

    def is_on(self, name: str) -> bool:
        """Return whether an argument is switched on."""
        return self.get(name).casefold() in ("on", "y", "yes", "1", "true")


def read_number(text: str, language: str = "en") -> str | None:
    """Return how a number that an argument states is printed, or None if it states none.

    >>> read_number("12000"), read_number("-40"), read_number("1+1/2"), read_number("x")
    ('12,000', '−40', '1 1⁄2', None)
    """
    text = MARKS.sub("", text).strip().replace(",", "") if "," in text else text.strip()
    sign, body = ("−", text[1:]) if text[:1] in "-−" and text[1:] else ("", text)
    whole, _, fraction = body.rpartition("+") if "+" in body[1:] else ("", "", body)
    if "/" in fraction:
        top, _, bottom = fraction.replace("//", "/").replace("⁄", "/").partition("/")
        if not (top.isdecimal() and bottom.isdecimal() and (not whole or whole.isdecimal())):
            return None
        return f"{sign}{whole}{' ' if whole else ''}{top}⁄{bottom}"
    if not body.replace(".", "", 1).isdecimal() or not body.isascii():
        return None
    printed = format_number(body.removesuffix("."), language)
    return sign + (f"0{printed}" if printed.startswith(".") else printed)
