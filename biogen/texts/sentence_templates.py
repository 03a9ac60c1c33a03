"""Templates of all fields in use, compiled: constant text as piece numbers, by form."""

from dataclasses import dataclass

import numpy as np

from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.fields import FactField
from elusive.biogen.texts.fillers import NUM_VARIANTS, build_passages, read_lead_parts
from elusive.biogen.texts.pieces import EMPTY, Pieces
from elusive.biogen.texts.templates import PRONOUNS, render_form
from elusive.common.errors import InputError

PRONOUN_ORDER = tuple(PRONOUNS)
"""Pronouns by number: she, he and they."""

FORMS_PER_TEMPLATE = 2 * len(PRONOUN_ORDER)
"""Each template is rendered for every pronoun, without and with the name."""


@dataclass(frozen=True)
class Wordings:
    """The pieces that sentences consist of, by form: a template with one kind of mention.

    The text of a sentence is the pieces `first`, name or value, `between`, the other of the two,
    `last`. Without a name, the value stands before `last`.
    """

    first_form: np.ndarray  # (field,) number of the field's first form
    num_train: np.ndarray  # (field,) templates of training documents; held-out ones follow
    template_ids: np.ndarray  # (form,) piece of the template's identifier
    first: np.ndarray  # (form,)
    between: np.ndarray  # (form,)
    last: np.ndarray  # (2, form) at the end of the text, and with a space behind it
    value_first: np.ndarray  # (form,) bool
    words_before: np.ndarray  # (form,) words of the sentence before the value, without a name
    leads: np.ndarray  # (lead, 2) pieces before and after the name
    fillers: np.ndarray  # (words, variant) pieces

    def compute_forms(
        self, field: np.ndarray, template: np.ndarray, pronouns: np.ndarray, is_named: np.ndarray
    ) -> np.ndarray:
        """Return the number of the form of each sentence, from arrays of one shape.

        The forms of a field are ordered by template, then by pronoun; the one without the name
        stands before the one with it.
        """
        return self.first_form[field] + template * FORMS_PER_TEMPLATE + pronouns * 2 + is_named


def add_wordings(pieces: Pieces, config: BiogenConfig, fields: tuple[FactField, ...]) -> Wordings:
    """Add the text of all templates in use to the pieces.

    Raises:
        InputError: more templates are held out than a field has, a value in lower case would begin
            a sentence, or a distance is too short for a sentence.
    """
    used = [_find_used_templates(config, field) for field in fields]
    templates = [
        (field, number) for field, numbers in zip(fields, used, strict=True) for number in numbers
    ]
    forms = [
        render_form(field.templates[number], pronouns, named)
        for field, number in templates
        for pronouns in PRONOUN_ORDER
        for named in (False, True)
    ]
    template_ids = pieces.add_all([f"{field.name}-{number}" for field, number in templates])
    num_used = np.array([len(numbers) for numbers in used])
    last = [form.parts[2] for form in forms]
    words_before = np.array([form.parts[0].count(" ") for form in forms])
    leads = [
        [pieces.add(before), pieces.add(after, sentence_ends=1)]
        for before, after in read_lead_parts()
    ]
    return Wordings(
        first_form=FORMS_PER_TEMPLATE * (np.cumsum(num_used) - num_used),
        num_train=num_used - config.held_out_wordings,
        template_ids=np.repeat(template_ids, FORMS_PER_TEMPLATE),
        first=pieces.add_all(form.parts[0] for form in forms),
        between=pieces.add_all(form.parts[1] for form in forms),
        last=np.array([pieces.add_all(last), pieces.add_all([f"{text} " for text in last], 1)]),
        value_first=np.array([form.value_first for form in forms]),
        words_before=words_before,
        leads=np.array(leads),
        fillers=_add_fillers(
            pieces,
            config.distance,
            words_before[::2],  # every other form is without the name
            [field.name for field, _ in templates for _ in PRONOUN_ORDER],
        ),
    )


def _find_used_templates(config: BiogenConfig, field: FactField) -> list[int]:
    """Return the numbers of the templates of training documents, then of those held out."""
    if config.held_out_wordings >= len(field.templates):
        raise InputError(
            f"held_out_wordings {config.held_out_wordings} leaves none of the "
            f"{len(field.templates)} templates of field {field.name!r} to train on: "
            f"ask for at most {len(field.templates) - 1}"
        )
    first_held_out = len(field.templates) - config.held_out_wordings
    num_train = min(config.wordings, first_held_out)
    used = [*range(num_train), *range(first_held_out, len(field.templates))]
    values = field.list_values()
    lower_case = next((value for value in values if value[0].islower()), None)
    for template in (field.templates[number] for number in used):
        if lower_case and template.startswith("{value}"):
            raise InputError(
                f"template {template!r} of field {field.name!r} begins with the value, and "
                f"{lower_case!r} has no capital letter: reword the template"
            )
    return used


def _add_fillers(
    pieces: Pieces, distances: tuple[int, ...], words_before: np.ndarray, owners: list[str]
) -> np.ndarray:
    """Add fillers of every length that a distance needs, and return their pieces.

    A distance includes the words of the sentence before the value.

    Args:
        pieces: what to add to.
        distances: from the name to the value, in words.
        words_before: words before the value in each form without a name.
        owners: name of the field of each of these forms.
    """
    nearest = int(words_before.max()) + 1
    if distances and min(distances) < nearest:
        raise InputError(
            f"distance {min(distances)} is less than the {nearest} words that a sentence of field "
            f"{owners[int(words_before.argmax())]!r} needs up to its value: ask for at least "
            f"{nearest}, or choose other fields or wordings"
        )
    fillers = np.full((max(distances, default=0) + 1, NUM_VARIANTS), EMPTY)
    lengths = {distance - 1 - int(before) for distance in distances for before in words_before}
    for num_words in sorted(lengths - {0}):
        for variant, (text, num_sentences) in enumerate(build_passages(num_words)):
            fillers[num_words, variant] = pieces.add(text, num_sentences)
    return fillers
