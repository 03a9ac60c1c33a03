"""Templates of all fields in use, compiled: constant text as piece numbers, by form."""

from dataclasses import dataclass

import numpy as np

from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.fields import FactField
from elusive.biogen.texts.fillers import NUM_VARIANTS, lead_parts, passages
from elusive.biogen.texts.pieces import Pieces
from elusive.biogen.texts.templates import PRONOUNS, render_form
from elusive.common.errors import InputError

PRONOUN_ORDER = tuple(PRONOUNS)
"""Numbers of she, he and they."""


@dataclass(frozen=True)
class Wordings:
    """What sentences are made of.

    The form of a sentence is `base[field] + (template * 3 + pronouns) * 2 + named`. Its text is
    the piece `first`, name or value, `between`, the other one, `last`; without a name, the value
    stands before `last`.
    """

    base: np.ndarray  # (field,)
    num_train: np.ndarray  # (field,) templates of training documents; held-out ones follow
    num_held_out: np.ndarray  # (field,)
    template_ids: np.ndarray  # (field,) piece of the first template's identifier
    first: np.ndarray  # (form,)
    between: np.ndarray  # (form,)
    last: np.ndarray  # (form,); the next piece is the same with a space behind
    value_first: np.ndarray  # (form,) bool
    words_before: np.ndarray  # (form,) words of the sentence before the value, without a name
    leads: np.ndarray  # (lead, 2) pieces before and after the name
    fillers: np.ndarray  # (words, variant) pieces


def add_wordings(pieces: Pieces, config: BiogenConfig, fields: tuple[FactField, ...]) -> Wordings:
    """Put the text of all templates in use among the pieces.

    Raises:
        InputError: more templates are held out than a field has, a value in lower case would open
            a sentence, or a distance is too short for a sentence.
    """
    used = [_used_templates(config, field) for field in fields]
    forms = [
        render_form(template, pronouns, named)
        for templates in used
        for template in templates
        for pronouns in PRONOUN_ORDER
        for named in (False, True)
    ]
    sizes = [6 * len(templates) for templates in used]
    tails = [_add_tail(pieces, form.parts[2]) for form in forms]
    words_before = np.array([form.parts[0].count(" ") for form in forms])
    owners = [field.name for field, size in zip(fields, sizes, strict=True) for _ in range(size)]
    held_out = np.array([_num_held_out(config, field) for field in fields])
    return Wordings(
        base=np.cumsum([0, *sizes[:-1]]),
        num_train=np.array([len(templates) for templates in used]) - held_out,
        num_held_out=held_out,
        template_ids=np.array(
            [pieces.add([f"{f.name}-{n}" for n in range(len(f.templates))]) for f in fields]
        ),
        first=np.array([pieces.add([form.parts[0]]) for form in forms]),
        between=np.array([pieces.add([form.parts[1]]) for form in forms]),
        last=np.array(tails),
        value_first=np.array([form.value_first for form in forms]),
        words_before=words_before,
        leads=np.array([_add_lead(pieces, parts) for parts in lead_parts()]),
        fillers=_add_fillers(pieces, config.distance, words_before, owners),
    )


def _num_held_out(config: BiogenConfig, field: FactField) -> int:
    """Templates of a field that only dev documents use."""
    if config.held_out_wordings >= len(field.templates):
        raise InputError(
            f"held_out_wordings {config.held_out_wordings} leaves none of the "
            f"{len(field.templates)} templates of field {field.name!r} to train on: "
            f"ask for at most {len(field.templates) - 1}"
        )
    return config.held_out_wordings


def _used_templates(config: BiogenConfig, field: FactField) -> tuple[str, ...]:
    """Templates of training documents, then those held out: the last ones of the field."""
    held_out = _num_held_out(config, field)
    split = len(field.templates) - held_out
    used = field.templates[: min(config.wordings, split)] + field.templates[split:]
    small = next((value for value in field.pool_values() if value[0].islower()), None)
    for template in used:
        if small and template.startswith("{value}"):
            raise InputError(
                f"template {template!r} of field {field.name!r} begins with the value, and "
                f"{small!r} has no capital letter: reword it"
            )
    return used


def _add_tail(pieces: Pieces, text: str) -> int:
    """The end of a sentence, then the same with a space behind."""
    tail = pieces.add([text])
    pieces.add([f"{text} "], sentences=1)
    return tail


def _add_lead(pieces: Pieces, parts: tuple[str, str]) -> tuple[int, int]:
    """Pieces of a sentence that states nothing but the name."""
    return pieces.add([parts[0]]), pieces.add([parts[1]], sentences=1)


def _add_fillers(
    pieces: Pieces, distances: tuple[int, ...], words_before: np.ndarray, owners: list[str]
) -> np.ndarray:
    """Fillers of every length that a distance needs: it counts the words of the sentence, too."""
    without_name = {int(words) for words in words_before[::2]}
    nearest = max(without_name) + 1
    if distances and min(distances) < nearest:
        raise InputError(
            f"distance {min(distances)} is less than the {nearest} words that a sentence of field "
            f"{owners[2 * int(words_before[::2].argmax())]!r} needs up to its value: ask for at "
            f"least {nearest}, or for other fields or wordings"
        )
    fillers = np.zeros((max(distances, default=0) + 1, NUM_VARIANTS), np.int64)
    needed = {distance - 1 - before for distance in distances for before in without_name}
    for num_words in sorted(needed - {0}):
        for variant, (text, sentences) in enumerate(passages(num_words)):
            fillers[num_words, variant] = pieces.add([text], sentences)
    return fillers
