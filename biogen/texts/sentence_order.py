"""Which sentences each document has: their order, their templates, and whom they name."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from elusive.biogen.compiled_config import CompiledConfig
from elusive.biogen.people.draw import THEY, People, compute_distractor_numbers, draw_people
from elusive.biogen.texts.pieces import Strings, concatenate
from elusive.common.seeding import hashed, permute_items

LEFT_OUT = 1e9
"""Sorts after every sentence that is shown."""


@dataclass(frozen=True)
class Rows:
    """Which person each row is about, and which of the person's documents it is."""

    person: np.ndarray  # (row,) index of the person in the batch
    document: np.ndarray  # (row,) 0 to multi - 1; multi is the dev document
    item: np.ndarray  # (row,) key of random draws, unique over all rows of the corpus
    is_dev: np.ndarray  # (row,) bool

    def __len__(self) -> int:
        return len(self.person)


@dataclass(frozen=True)
class Sentences:
    """The sentences of each row in order; those that are not shown come last."""

    field: np.ndarray  # (row, sentence) number of the field
    template: np.ndarray  # (row, sentence) number among the field's templates in use
    value: np.ndarray  # (row, sentence) piece of the value
    name: np.ndarray  # (row, sentence) piece of the name of the person that it is about
    pronouns: np.ndarray  # (row, sentence) 0, 1 or 2 for she, he or they
    is_head: np.ndarray  # (row, sentence) bool: about the person, not about a distractor
    is_shown: np.ndarray  # (row, sentence) bool
    order: np.ndarray  # (row, sentence) sorts the sentences of a row

    def combine(self, function: Callable[..., np.ndarray], *others: "Sentences") -> "Sentences":
        """Return sentences whose arrays are `function` of the same arrays of these and others."""
        names = [field.name for field in fields(self)]
        parts = (self, *others)
        return Sentences(
            **{name: function(*(getattr(part, name) for part in parts)) for name in names}
        )


def build_rows(compiled: CompiledConfig, people: People) -> Rows:
    """Return all documents of the people, person by person."""
    per_person = compiled.config.documents_per_person
    person = np.repeat(np.arange(len(people)), per_person)
    document = np.tile(np.arange(per_person), len(people))
    return Rows(
        person=person,
        document=document,
        item=people.numbers[person] + (document << 40),  # people's numbers have 24 bits
        is_dev=document == compiled.config.multi,
    )


def build_sentences(
    compiled: CompiledConfig, people: People, rows: Rows
) -> tuple[Strings, Sentences]:
    """Return the sentences of each row in order, and the strings that their pieces refer to."""
    strings, sentences = people.strings, _build_about_heads(compiled, people, rows)
    if compiled.config.distractors:
        strings, others = _build_about_distractors(compiled, people, rows)
        sentences = sentences.combine(lambda *arrays: np.concatenate(arrays, axis=1), others)
    if (np.diff(sentences.order, axis=1) < 0).any():
        order = np.argsort(sentences.order, axis=1, kind="stable")
        sentences = sentences.combine(lambda array: np.take_along_axis(array, order, axis=1))
    return strings, sentences


def _build_about_heads(compiled: CompiledConfig, people: People, rows: Rows) -> Sentences:
    """Return one sentence per field about the person of each row."""
    shape = (len(rows), len(compiled.fields))
    left_out = [is_left_out(compiled, people.numbers, field) for field in range(shape[1])]
    is_shown = ~np.stack(left_out, axis=1)[rows.person]
    order = np.broadcast_to(np.arange(shape[1], dtype=float), shape)
    if compiled.config.permute:
        keys = [
            hashed(compiled.derive_seed("order", field.name), rows.item)
            for field in compiled.fields
        ]
        order = np.argsort(np.argsort(np.stack(keys, axis=1), axis=1), axis=1).astype(float)
    return Sentences(
        field=np.broadcast_to(np.arange(shape[1]), shape),
        template=_choose_templates(compiled, people, rows),
        value=people.value_pieces[rows.person],
        name=np.broadcast_to(people.names[rows.person][:, None], shape),
        pronouns=np.broadcast_to(people.pronouns[rows.person][:, None], shape),
        is_head=np.ones(shape, bool),
        is_shown=is_shown,
        order=np.where(is_shown, order, LEFT_OUT),
    )


def is_left_out(compiled: CompiledConfig, numbers: np.ndarray, field: int) -> np.ndarray:
    """Return whose texts leave a field out, (person,); only a field that depends on another is."""
    dependent = compiled.fields[field]
    if not dependent.depends_on or not compiled.config.two_hop_rate:
        return np.zeros(len(numbers), bool)
    return compiled.draw_mask(compiled.config.two_hop_rate, numbers, "left_out", dependent.name)


def _choose_templates(compiled: CompiledConfig, people: People, rows: Rows) -> np.ndarray:
    """Return the template of every field, (row, field); it differs between a person's documents."""
    num_held_out = compiled.config.held_out_wordings
    columns = []
    for field, num_train in zip(compiled.fields, compiled.wordings.num_train.tolist(), strict=True):
        if num_train == 1 and not num_held_out:
            columns.append(np.zeros(len(rows), np.int64))
            continue
        keys = hashed(compiled.derive_seed("wording", field.name), people.numbers[rows.person])
        template = permute_items(rows.document % num_train, num_train, keys)
        if num_held_out:
            held_out = compiled.draw_integers(
                num_held_out, rows.item, "held_out_wording", field.name
            )
            template = np.where(rows.is_dev, num_train + held_out, template)
        columns.append(template)
    return np.stack(columns, axis=1)


def _build_about_distractors(
    compiled: CompiledConfig, people: People, rows: Rows
) -> tuple[Strings, Sentences]:
    """Return a sentence about each distractor of each row, after a random one about the person."""
    count = compiled.config.distractors
    others = draw_people(compiled, compute_distractor_numbers(compiled, people.numbers).ravel())
    shape = (len(rows), count)
    items = rows.item[:, None] * count + np.arange(count)
    stated = np.array([n for n, field in enumerate(compiled.fields) if not field.relation])
    field = stated[compiled.draw_integers(len(stated), items, "distractor_field")]
    # Dev documents state distractors, too, in held-out templates.
    is_dev = rows.is_dev[:, None]
    num_train = compiled.wordings.num_train[field]
    num_templates = np.where(is_dev, compiled.config.held_out_wordings, num_train)
    template = compiled.draw_integers(num_templates, items, "distractor_wording")
    strings, (_, names) = concatenate([people.strings, others.strings.select(others.names)])
    other = rows.person[:, None] * count + np.arange(count)  # index among the others
    return strings, Sentences(
        field=field,
        template=np.where(is_dev, num_train + template, template),
        value=others.value_pieces[other, field],
        name=names[other],
        pronouns=others.pronouns[other],
        is_head=np.zeros(shape, bool),
        is_shown=np.ones(shape, bool),
        order=compiled.draw_integers(len(compiled.fields), items, "distractor_place") + 0.5,
    )


def is_named(compiled: CompiledConfig, rows: Rows, sentences: Sentences) -> np.ndarray:
    """Return which sentences have the name rather than a pronoun, (row, sentence).

    After a sentence that names another person, the name is repeated, because a pronoun would mean
    that person, or might; `repeat_name` decides which. With `distance`, a sentence of its own gives
    the name before each sentence.
    """
    config = compiled.config
    about_head = sentences.is_head & sentences.is_shown
    if config.distance:
        return sentences.is_shown & ~sentences.is_head
    if config.fullname:
        return sentences.is_shown
    # 1) One sentence about the person has the name.
    count = about_head.sum(1)
    if config.name_position == "any":
        position = compiled.draw_integers(count, rows.item, "name_position")
    else:
        position = count - 1 if config.name_position == "last" else np.zeros_like(count)
    named = about_head & (np.cumsum(about_head, axis=1) - 1 == position[:, None])
    # 2) So has every sentence about a distractor, and those after one with another name.
    relations = np.array([field.relation is not None for field in compiled.fields])
    if relations.any():
        names_relative = about_head & relations[sentences.field]
        named[:, 1:] |= about_head[:, 1:] & names_relative[:, :-1]
    if config.distractors:
        others = sentences.is_shown & ~sentences.is_head
        follow = _follow_others(sentences, others, config.repeat_name == "always")
        named |= others | about_head & follow
    return named


def _follow_others(sentences: Sentences, others: np.ndarray, always: bool) -> np.ndarray:
    """Return which sentences follow one about a distractor, with none about the head between.

    Args:
        sentences: of the rows.
        others: which are about distractors.  # (row, sentence)
        always: whether any distractor counts, or only those whom the head's pronoun could mean;
            they can be anyone.
    """
    head = sentences.pronouns[sentences.is_head].reshape(len(others), -1)[:, :1]
    could_mean = always | (sentences.pronouns == head) | (sentences.pronouns == THEY)
    could_mean |= head == THEY
    counted = others & could_mean
    # The last sentence about the head before each sentence, and the last counted distractor's.
    place = np.arange(others.shape[1])
    last_head = np.maximum.accumulate(np.where(sentences.is_head, place, -1), axis=1)
    last_other = np.maximum.accumulate(np.where(counted, place, -1), axis=1)
    follows = np.zeros_like(others)
    follows[:, 1:] = last_other[:, :-1] > last_head[:, :-1]
    return follows
