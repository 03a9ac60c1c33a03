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

    The text of a question is [first part, slot, part between, slot or nothing, last part].
    """

    name: str
    """Field and kind in words, the key of random draws."""
    kind: str
    field: int
    """Number of the field whose value the question asks for, states or guesses."""
    relation: int | None
    """Number of the relation that names the person whom a multi-hop question is about."""
    held_out: bool
    parts: np.ndarray  # (phrasing, 3) pieces
    value_first: bool
    """Whether the value stands in the first slot, and the name, if any, in the second."""
    first_phrasing: int
    """Number of the first of these phrasings among those of the field."""
    suffix: int
    """Piece that follows the document's identifier in the question's."""
    label: int
    """Piece of the column `field`."""
    kind_piece: int


@dataclass(frozen=True)
class Phrasings:
    """All kinds of questions about a person, in order, and the pieces that questions share."""

    askings: list[Asking]
    yes: int
    no: int
    dev: int
    test: int


def add_phrasings(pieces: Pieces, config: BiogenConfig, fields: tuple[FactField, ...]) -> Phrasings:
    """Add the text of all questions to the pieces.

    Raises:
        InputError: the kinds of questions do not fit the fields, so there is nothing to ask.
    """
    builders = {
        "direct": _build_direct,
        "yes-no": _build_yes_no,
        "reverse": _build_reverse,
        "multi-hop": _build_multi_hop,
    }
    askings = [
        asking
        for number in range(len(fields))
        for kind in config.questions
        for asking in builders[kind](pieces, config, fields, number)
    ]
    if not askings:
        raise InputError(
            f"questions {', '.join(config.questions)} ask nothing about fields "
            f"{', '.join(config.fields)}: add --questions direct; multi-hop needs both a relation, "
            "such as --fields sibling, and a field that is not a relation"
        )
    yes, no, dev, test = (pieces.add(text) for text in ("yes", "no", "dev", "test"))
    return Phrasings(askings, yes, no, dev, test)


def _build_direct(
    pieces: Pieces, config: BiogenConfig, fields: tuple[FactField, ...], number: int
) -> list[Asking]:
    """What is the value?"""
    field = fields[number]
    texts = field.questions[: config.phrasings]
    askings = [_build_asking(pieces, "direct", number, field.name, texts)]
    if config.held_out_phrasing and field.held_out_question:
        held_out = _build_asking(
            pieces,
            "direct",
            number,
            field.name,
            (field.held_out_question,),
            suffix="/held-out",
            first_phrasing=len(field.questions),
            held_out=True,
        )
        askings.append(held_out)
    return askings


def _build_yes_no(
    pieces: Pieces, config: BiogenConfig, fields: tuple[FactField, ...], number: int
) -> list[Asking]:
    """Is this the value?"""
    field = fields[number]
    if not field.yes_no:
        return []
    return [_build_asking(pieces, "yes-no", number, field.name, (field.yes_no,), suffix="/yes-no")]


def _build_reverse(
    pieces: Pieces, config: BiogenConfig, fields: tuple[FactField, ...], number: int
) -> list[Asking]:
    """Whose value is this?"""
    field = fields[number]
    if not field.reverse or field.relation:
        return []
    texts = (field.reverse,)
    return [_build_asking(pieces, "reverse", number, field.name, texts, suffix="/reverse")]


def _build_multi_hop(
    pieces: Pieces, config: BiogenConfig, fields: tuple[FactField, ...], number: int
) -> list[Asking]:
    """What is the value of the sibling, or of the colleague?

    Colleagues share their company by definition, so there is no question about a colleague's
    company or a field that depends on it.
    """
    field = fields[number]
    askings = []
    for relation, other in enumerate(fields):
        is_shared = other.relation == "colleague" and "company" in (field.name, field.depends_on)
        if not other.relation or field.relation or is_shared:
            continue
        label = f"{other.name}.{field.name}"
        noun = other.noun or other.name.replace("_", " ")
        text = field.questions[0].replace("{name}", f"the {noun} of {{name}}")
        text = text[0].upper() + text[1:]
        askings.append(
            _build_asking(pieces, "multi-hop", number, label, (text,), relation=relation)
        )
    return askings


def _build_asking(
    pieces: Pieces,
    kind: str,
    number: int,
    label: str,
    texts: tuple[str, ...],
    *,
    suffix: str = "",
    first_phrasing: int = 0,
    held_out: bool = False,
    relation: int | None = None,
) -> Asking:
    """Compile one kind of question about one field."""
    return Asking(
        name=f"{label}{suffix}",
        kind=kind,
        field=number,
        relation=relation,
        held_out=held_out,
        parts=np.array([pieces.add_all(_split_at_slots(text)) for text in texts]),
        value_first="{value}" in texts[0].partition("{name}")[0],
        first_phrasing=first_phrasing,
        suffix=pieces.add(f"/{label}{suffix}"),
        label=pieces.add(label),
        kind_piece=pieces.add(kind),
    )


def _split_at_slots(text: str) -> list[str]:
    """Return the constant text around one or two slots: three parts, the second empty if one."""
    parts = re.split(r"\{(?:name|value)\}", text)
    return parts if len(parts) == 3 else [parts[0], "", parts[1]]
