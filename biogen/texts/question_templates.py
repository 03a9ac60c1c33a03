"""Questions of all fields in use, compiled: constant text as piece numbers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

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
    """Whether the first slot holds the value, and the second the name, if any."""
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
    askings = [
        _build_asking(pieces, kind, number, source)
        for number in range(len(fields))
        for kind in config.questions
        for source in _list_sources(config, fields, number, kind)
    ]
    if not askings:
        raise InputError(
            f"questions {', '.join(config.questions)} ask nothing about fields "
            f"{', '.join(config.fields)}: add --questions direct; multi-hop needs both a relation, "
            "such as --fields sibling, and a field that is not a relation"
        )
    yes, no, dev, test = (pieces.add(text) for text in ("yes", "no", "dev", "test"))
    return Phrasings(askings, yes, no, dev, test)


class _QuestionSource(NamedTuple):
    """The texts of one kind of question about one field."""

    texts: tuple[str, ...]
    label: str
    suffix: str = ""
    first_phrasing: int = 0
    held_out: bool = False
    relation: int | None = None


def _list_sources(
    config: BiogenConfig, fields: tuple[FactField, ...], number: int, kind: str
) -> Iterator[_QuestionSource]:
    """Yield what one kind of question asks about one field: nothing, or one or several things."""
    field = fields[number]
    if kind == "direct":
        yield _QuestionSource(field.questions[: config.phrasings], field.name)
        if config.held_out_phrasing and field.held_out_question:
            first = len(field.questions)
            yield _QuestionSource((field.held_out_question,), field.name, "/held-out", first, True)
    elif kind == "yes-no" and field.yes_no:
        yield _QuestionSource((field.yes_no,), field.name, "/yes-no")
    elif kind == "reverse" and field.reverse and not field.relation:
        yield _QuestionSource((field.reverse,), field.name, "/reverse")
    elif kind == "multi-hop" and not field.relation:
        for relation, other in enumerate(fields):
            # Colleagues share their company, so nobody has to look up a colleague's.
            is_shared = other.relation == "colleague" and "company" in (
                field.name,
                field.depends_on,
            )
            if other.relation and not is_shared:
                noun = other.noun or other.name.replace("_", " ")
                text = field.questions[0].replace("{name}", f"the {noun} of {{name}}")
                text = text[0].upper() + text[1:]
                yield _QuestionSource((text,), f"{other.name}.{field.name}", relation=relation)


def _build_asking(pieces: Pieces, kind: str, number: int, source: _QuestionSource) -> Asking:
    name = f"{source.label}{source.suffix}"
    return Asking(
        name=name,
        kind=kind,
        field=number,
        relation=source.relation,
        held_out=source.held_out,
        parts=np.array([pieces.add_all(_split_at_slots(text)) for text in source.texts]),
        value_first="{value}" in source.texts[0].partition("{name}")[0],
        first_phrasing=source.first_phrasing,
        suffix=pieces.add(f"/{name}"),
        label=pieces.add(source.label),
        kind_piece=pieces.add(kind),
    )


def _split_at_slots(text: str) -> list[str]:
    """Return the constant text around one or two slots: three parts, the second empty if one."""
    parts = re.split(r"\{(?:name|value)\}", text)
    return parts if len(parts) == 3 else [parts[0], "", parts[1]]
