"""Questions of all fields in use, compiled: constant text as piece numbers."""

import re
from dataclasses import dataclass

import numpy as np

from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.fields import FactField
from elusive.biogen.texts.pieces import Pieces
from elusive.common.errors import InputError


@dataclass(frozen=True)
class Asking:
    """One kind of question about one field, in one or several phrasings.

    A question's text is [first, slot, between, slot or nothing, last], by phrasing.
    """

    name: str
    """Field and kind in words, the key of random draws."""
    kind: str
    field: int
    """Number of the field whose value is asked, told or guessed."""
    relation: int | None
    """Number of the relation that names the person who is asked about."""
    held_out: bool
    parts: np.ndarray  # (phrasing, 3) pieces
    value_first: bool
    """Whether the value stands in the first slot, and the name, if any, in the second."""
    first_phrasing: int
    """Number of the first of them among the field's phrasings."""
    suffix: int
    """Piece behind the document's identifier in the question's."""
    label: int
    """Piece of the column `field`."""
    kind_piece: int


@dataclass(frozen=True)
class Phrasings:
    """Everything that is asked about a person, in order."""

    askings: list[Asking]
    yes: int
    no: int
    dev: int
    test: int


def add_phrasings(pieces: Pieces, config: BiogenConfig, fields: tuple[FactField, ...]) -> Phrasings:
    """Put the text of all questions among the pieces.

    Raises:
        InputError: there is nothing to ask.
    """
    makers = {
        "direct": _direct,
        "yes-no": _yes_no,
        "reverse": _reverse,
        "multi-hop": _multi_hop,
    }
    askings = [
        asking
        for number in range(len(fields))
        for kind in config.questions
        for asking in makers[kind](pieces, config, fields, number)
    ]
    if not askings:
        raise InputError(
            f"questions {', '.join(config.questions)} ask nothing about fields "
            f"{', '.join(config.fields)}: add --questions direct; multi-hop needs a relation, such "
            "as --fields sibling, and a field that is none"
        )
    yes, no, dev, test = (pieces.add([text]) for text in ("yes", "no", "dev", "test"))
    return Phrasings(askings, yes, no, dev, test)


def _direct(
    pieces: Pieces, config: BiogenConfig, fields: tuple[FactField, ...], number: int
) -> list[Asking]:
    """What is the value?"""
    field = fields[number]
    texts = field.questions[: config.phrasings]
    askings = [_asking(pieces, "direct", number, field.name, texts, suffix="")]
    if config.held_out_phrasing and field.held_out_question:
        last = len(field.questions)
        held_out = (field.held_out_question,)
        askings.append(
            _asking(pieces, "direct", number, field.name, held_out, "/held-out", last, True)
        )
    return askings


def _yes_no(
    pieces: Pieces, config: BiogenConfig, fields: tuple[FactField, ...], number: int
) -> list[Asking]:
    """Is this the value?"""
    field = fields[number]
    texts = (field.yes_no,) if field.yes_no else ()
    return [_asking(pieces, "yes-no", number, field.name, texts, "/yes-no")] if texts else []


def _reverse(
    pieces: Pieces, config: BiogenConfig, fields: tuple[FactField, ...], number: int
) -> list[Asking]:
    """Whose value is this?"""
    field = fields[number]
    texts = (field.reverse,) if field.reverse and not field.relation else ()
    return [_asking(pieces, "reverse", number, field.name, texts, "/reverse")] if texts else []


def _multi_hop(
    pieces: Pieces, config: BiogenConfig, fields: tuple[FactField, ...], number: int
) -> list[Asking]:
    """What is the value of the sibling, of the colleague?

    Colleagues share the company by definition, so that, and what depends on it, is not asked.
    """
    field = fields[number]
    askings = []
    for relation, other in enumerate(fields):
        shared = other.relation == "colleague" and "company" in (field.name, field.depends_on)
        if not other.relation or field.relation or shared:
            continue
        label = f"{other.name}.{field.name}"
        whom = other.noun or other.name.replace("_", " ")
        texts = (_capitalised(field.questions[0].replace("{name}", f"the {whom} of {{name}}")),)
        askings.append(_asking(pieces, "multi-hop", number, label, texts, "", relation=relation))
    return askings


def _capitalised(text: str) -> str:
    """A text with its first letter in upper case."""
    return text[0].upper() + text[1:]


def _asking(
    pieces: Pieces,
    kind: str,
    number: int,
    label: str,
    texts: tuple[str, ...],
    suffix: str,
    first_phrasing: int = 0,
    held_out: bool = False,
    relation: int | None = None,
) -> Asking:
    """Compile one kind of question."""
    return Asking(
        name=f"{label}{suffix}",
        kind=kind,
        field=number,
        relation=relation,
        held_out=held_out,
        parts=np.array([[pieces.add([part]) for part in _parts(text)] for text in texts]),
        value_first="{value}" in texts[0].partition("{name}")[0],
        first_phrasing=first_phrasing,
        suffix=pieces.add([f"/{label}{suffix}"]),
        label=pieces.add([label]),
        kind_piece=pieces.add([kind]),
    )


def _parts(text: str) -> list[str]:
    """The constant text around one or two slots: three parts, the second empty if one slot."""
    parts = re.split(r"\{(?:name|value)\}", text)
    return parts if len(parts) == 3 else [parts[0], "", parts[1]]
