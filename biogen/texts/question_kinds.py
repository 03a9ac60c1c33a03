"""What each kind of question asks about each person, and its gold answers."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from elusive.biogen.compiled_config import CompiledConfig, compile_config
from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.draw import People, compute_distractor_numbers, iterate_numbers
from elusive.biogen.people.values import PARTNER_BITS, draw_value
from elusive.biogen.texts.pieces import EMPTY, Strings, concatenate
from elusive.biogen.texts.question_templates import Asking
from elusive.biogen.texts.sentence_order import is_left_out

STRANGER_BITS = PARTNER_BITS["sibling"] | PARTNER_BITS["colleague"]
"""Flipping these bits of a person's number gives someone who is neither sibling nor colleague."""


@dataclass(frozen=True)
class Reply:
    """One kind of question about each of some people, with its gold answers.

    Arrays are (person,); a number stands for an array that has it for everybody.
    """

    is_asked: np.ndarray  # bool
    name: np.ndarray | int  # piece of the name in the question, or EMPTY
    value: np.ndarray | int  # piece of the value in the question, or EMPTY
    first_answer: np.ndarray  # piece of the first gold answer; the others follow it
    num_answers: np.ndarray | int = 1
    hops: np.ndarray | int = 1  # facts that have to be joined


def build_replies(
    compiled: CompiledConfig, people: People, askings: list[Asking], in_corpus: bool
) -> tuple[Strings, list[Reply]]:
    """Ask several kinds of questions about people of the corpus or, if not, of the shots.

    Returns:
        The strings that pieces refer to, and the reply to each kind of question.
    """
    names = compiled.names.build_names(people.numbers ^ STRANGER_BITS)
    strings, (_, strangers) = concatenate([people.strings, names])
    return strings, [
        _BUILDERS[asking.kind](compiled, people, strangers, asking, in_corpus) for asking in askings
    ]


def _build_direct(
    compiled: CompiledConfig, people: People, strangers: np.ndarray, asking: Asking, in_corpus: bool
) -> Reply:
    """Ask for the value, if a text of the corpus states it or what it follows from."""
    values = people.values[:, asking.field]
    left_out = is_left_out(compiled, people.numbers, asking.field)
    is_asked = ~left_out
    if left_out.any():
        is_asked |= _is_stated_elsewhere(compiled, people.numbers, asking.field)
    first, count = _find_answers(
        compiled, values, people.value_pieces[:, asking.field], asking.field
    )
    return Reply(is_asked, people.names, EMPTY, first, count, 1 + left_out)


def _build_yes_no(
    compiled: CompiledConfig, people: People, strangers: np.ndarray, asking: Asking, in_corpus: bool
) -> Reply:
    """Ask whether it is the value, or whether it is another one, with equal chances."""
    is_right = compiled.draw_mask(0.5, people.numbers, "yes-no", asking.name)
    right = people.value_pieces[:, asking.field]
    if compiled.fields[asking.field].relation:
        wrong = strangers
    else:
        pieces = compiled.values.pieces[asking.field]
        shift = 1 + compiled.draw_integers(len(pieces) - 1, people.numbers, "wrong", asking.name)
        wrong = pieces[(people.values[:, asking.field] + shift) % len(pieces)]
    return Reply(
        is_asked=~is_left_out(compiled, people.numbers, asking.field),
        name=people.names,
        value=np.where(is_right, right, wrong),
        first_answer=np.where(is_right, compiled.phrasings.yes, compiled.phrasings.no),
    )


def _build_reverse(
    compiled: CompiledConfig, people: People, strangers: np.ndarray, asking: Asking, in_corpus: bool
) -> Reply:
    """Ask for the name, if nobody else has the value."""
    owners = count_owners(compiled.config, asking.field)[people.values[:, asking.field]]
    is_only = owners == (1 if in_corpus else 0)
    return Reply(
        is_asked=is_only & ~is_left_out(compiled, people.numbers, asking.field),
        name=EMPTY,
        value=people.value_pieces[:, asking.field],
        first_answer=people.names,
    )


def _build_multi_hop(
    compiled: CompiledConfig, people: People, strangers: np.ndarray, asking: Asking, in_corpus: bool
) -> Reply:
    """Ask for the value of the person whom a relation names, if a text of the corpus states it."""
    assert asking.relation is not None
    partners = people.values[:, asking.relation]
    is_asked = ~is_left_out(compiled, partners, asking.field)
    if in_corpus:
        start, count = compiled.config.start, compiled.config.people
        is_asked &= (partners >= start) & (partners < start + count)
    values = draw_value(compiled.config, compiled.fields[asking.field], partners)
    first, count = _find_answers(compiled, values, values, asking.field)
    return Reply(is_asked, people.names, EMPTY, first, count, hops=2)


_BUILDERS = {
    "direct": _build_direct,
    "yes-no": _build_yes_no,
    "reverse": _build_reverse,
    "multi-hop": _build_multi_hop,
}


def _find_answers(
    compiled: CompiledConfig, values: np.ndarray, pieces: np.ndarray, field: int
) -> tuple[np.ndarray, np.ndarray | int]:
    """Return the first gold answer and the number of gold answers, (person,) each."""
    if compiled.fields[field].relation:
        return pieces, 1  # only the name of the other person
    return compiled.values.first_answers[field][values], compiled.values.num_answers[field][values]


def _is_stated_elsewhere(compiled: CompiledConfig, numbers: np.ndarray, field: int) -> np.ndarray:
    """Return whether some text of the corpus states the value that people's own texts leave out."""
    parent = compiled.config.fields.index(compiled.fields[field].depends_on or "")
    parent_values = draw_value(compiled.config, compiled.fields[parent], numbers)
    return _find_stated_parents(compiled.config, field, parent)[parent_values]


@lru_cache(maxsize=8)
def _find_stated_parents(config: BiogenConfig, field: int, parent: int) -> np.ndarray:
    """Return the values of the field `parent` for which a text states `field`, (value,) bool."""
    compiled = compile_config(config)
    is_stated = np.zeros(len(compiled.values.pieces[parent]), bool)
    for numbers in iterate_numbers(config.start, config.people):
        stating = numbers[~is_left_out(compiled, numbers, field)]
        is_stated[draw_value(config, compiled.fields[parent], stating)] = True
    return is_stated


@lru_cache(maxsize=16)
def count_owners(config: BiogenConfig, field: int) -> np.ndarray:
    """Count the people of the corpus, distractors included, who have each value, (value,)."""
    compiled = compile_config(config)
    owners = np.zeros(len(compiled.values.pieces[field]), np.int64)
    for numbers in iterate_numbers(config.start, config.people, size=1 << 16):
        distractors = compute_distractor_numbers(compiled, numbers).ravel()
        everyone = np.concatenate([numbers, distractors])
        values = draw_value(config, compiled.fields[field], everyone)
        owners += np.bincount(values, minlength=len(owners))
    return owners
