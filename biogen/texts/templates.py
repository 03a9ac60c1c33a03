"""Template sentences: their slots, and how they read with a name or a pronoun."""

import re
from dataclasses import dataclass
from functools import lru_cache

from elusive.common.errors import InputError

PRONOUNS: dict[str, dict[str, str]] = {
    "she": {"they": "she", "them": "her", "their": "her", "themself": "herself"},
    "he": {"they": "he", "them": "him", "their": "his", "themself": "himself"},
    "they": {"they": "they", "them": "them", "their": "their", "themself": "themself"},
}
"""Inflected forms of each pronoun, under their names in templates."""

HEAD_SLOTS = ("name/they", "name/them", "name's/their")
"""Slots of the head mention: the name, or the pronoun after the slash."""

SLOT = re.compile(r"\{([^{}]*)\}")
VERB = re.compile(r"[a-z]+/(?!they$|them$|their$)[a-z]+")
NAME, VALUE = "\0name\0", "\0value\0"  # marks that no template contains


@dataclass(frozen=True)
class Form:
    """A template as it reads for one kind of mention: the constant text around name and value.

    The text is `parts[0]`, name or value, `parts[1]`, the other of the two, `parts[2]`. With a
    pronoun there is no name: `parts[1]` is empty, and the value stands before `parts[2]`.
    """

    parts: tuple[str, str, str]
    value_first: bool


def check_template(template: str) -> None:
    """Check that a template has the slots and the punctuation that it needs.

    Raises:
        InputError: the template has an unknown slot, does not have exactly one head slot and one
            value, or is not one clean sentence.
    """
    slots = SLOT.findall(template)
    allowed = {"value", *HEAD_SLOTS, *PRONOUNS["she"]}
    for slot in slots:
        if slot not in allowed and not VERB.fullmatch(slot):
            raise InputError(
                f"template {template!r} has an unknown slot {{{slot}}}: allowed are verbs such as "
                f"{{was/were}} and {', '.join(f'{{{name}}}' for name in sorted(allowed))}"
            )
    num_heads = sum(slot in HEAD_SLOTS for slot in slots)
    if num_heads != 1 or slots.count("value") != 1:
        raise InputError(
            f"template {template!r} should have {{value}} once and exactly one of "
            f"{', '.join(f'{{{slot}}}' for slot in HEAD_SLOTS)}"
        )
    if not template.endswith(".") or "  " in template or template != template.strip():
        raise InputError(f"template {template!r} should end in a full stop and have single spaces")
    if not (template[0].isupper() or template.startswith("{")):
        raise InputError(f"template {template!r} should begin with a capital letter or a slot")


@lru_cache(maxsize=1 << 14)
def render_form(template: str, pronouns: str, named: bool) -> Form:
    """Fill the head slot of a template with the name or a pronoun, and inflect the other slots.

    >>> render_form("{name/they} {was/were} born on {value}.", "they", named=False).parts
    ('They were born on ', '', '.')
    >>> render_form("On {value}, {name's/their} life began.", "she", named=True).parts
    ('On ', ', ', "'s life began.")
    """
    forms = PRONOUNS[pronouns]
    is_plural = False  # verbs agree with the last subject: a name is singular, "they" is plural
    text = ""
    for part in re.split(r"(\{[^{}]*\})", template):
        slot = part[1:-1] if part.startswith("{") else None
        if slot is None:
            text += part
        elif slot == "value":
            text += VALUE
        elif slot in HEAD_SLOTS:
            suffix = "'s" if slot.startswith("name's") else ""
            text += NAME + suffix if named else forms[slot.split("/")[1]]
            is_plural = pronouns == "they" and not named
        elif slot in forms:
            text += forms[slot]
            is_plural = is_plural or (pronouns == "they" and slot == "they")
        else:
            text += slot.split("/")[is_plural]
    text = text[0].upper() + text[1:]
    value_first = NAME in text and text.index(VALUE) < text.index(NAME)
    parts = re.split(f"{NAME}|{VALUE}", text)
    first, between, last = parts if len(parts) == 3 else (parts[0], "", parts[1])
    return Form((first, between, last), value_first)
