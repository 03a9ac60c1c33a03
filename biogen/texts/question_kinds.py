"""What is asked of each person, and its gold answers, by kind of question."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.draw import People, distractor_numbers, people_ranges
from elusive.biogen.people.values import PARTNER_BITS, draw_value
from elusive.biogen.texts.phrasings import Asking
from elusive.biogen.texts.pieces import EMPTY, Strings, concatenated
from elusive.biogen.texts.sentence_order import is_left_out
from elusive.biogen.world import World, build_world

STRANGER_BITS = PARTNER_BITS["sibling"] | PARTNER_BITS["colleague"]
"""Turned in a person's number, they give someone who is neither sibling nor colleague."""


@dataclass(frozen=True)
class Reply:
    """One kind of question about each of some people, with its gold answers."""

    asked: np.ndarray  # (person,) bool: whether it is asked at all
    slots: tuple[np.ndarray, np.ndarray]  # (person,) pieces of the name and of a value, or empty
    first: np.ndarray  # (person,) piece of the first gold answer
    count: np.ndarray  # (person,) gold answers, which stand one after the other
    hops: np.ndarray  # (person,) facts that have to be joined


def reply_strings(world: World, people: People) -> Strings:
    """What the pieces of replies refer to: the people's strings, then a stranger for each."""
    return concatenated([people.strings, world.names.names_of(people.numbers ^ STRANGER_BITS)])


def reply(world: World, people: People, asking: Asking, in_corpus: bool) -> Reply:
    """Ask one kind of question about each person, who belongs to the corpus or to the shots."""
    return REPLIES[asking.kind](world, people, asking, in_corpus)


def _direct(world: World, people: People, asking: Asking, in_corpus: bool) -> Reply:
    """The value, which other texts may have to tell."""
    values = people.values[:, asking.field]
    left_out = is_left_out(world, people.numbers, asking.field)
    asked = ~left_out
    if left_out.any():
        asked |= _is_told(world, people.numbers, asking.field)
    first, count = _gold(world, values, people.value_pieces[:, asking.field], asking.field)
    return Reply(asked, (people.names, _full(people, EMPTY)), first, count, 1 + left_out)


def _yes_no(world: World, people: People, asking: Asking, in_corpus: bool) -> Reply:
    """Yes to the value, no to another one, with equal chances."""
    is_right = world.chosen(0.5, people.numbers, "yes-no", asking.name)
    right = people.value_pieces[:, asking.field]
    if world.fields[asking.field].relation:
        wrong = len(people.strings) + np.arange(len(people))
    else:
        size = int(world.values.count[asking.field])
        shift = 1 + world.integers(size - 1, people.numbers, "wrong", asking.name)
        wrong = (people.values[:, asking.field] + shift) % size + world.values.base[asking.field]
    return Reply(
        asked=~is_left_out(world, people.numbers, asking.field),
        slots=(people.names, np.where(is_right, right, wrong)),
        first=np.where(is_right, world.phrasings.yes, world.phrasings.no),
        count=_full(people, 1),
        hops=_full(people, 1),
    )


def _reverse(world: World, people: People, asking: Asking, in_corpus: bool) -> Reply:
    """The name, where nobody else has the value."""
    owners = num_owners(world.config, asking.field)[people.values[:, asking.field]]
    is_only = owners == (1 if in_corpus else 0)
    return Reply(
        asked=is_only & ~is_left_out(world, people.numbers, asking.field),
        slots=(_full(people, EMPTY), people.value_pieces[:, asking.field]),
        first=people.names,
        count=_full(people, 1),
        hops=_full(people, 1),
    )


def _multi_hop(world: World, people: People, asking: Asking, in_corpus: bool) -> Reply:
    """The value of the person whom a relation names, if texts of the corpus tell it."""
    assert asking.relation is not None
    partners = people.values[:, asking.relation]
    asked = ~is_left_out(world, partners, asking.field)
    if in_corpus:
        asked &= _is_in_corpus(world.config, partners)
    values = draw_value(world.config, world.fields[asking.field], partners)
    first, count = _gold(world, values, values, asking.field)
    return Reply(asked, (people.names, _full(people, EMPTY)), first, count, _full(people, 2))


REPLIES = {
    "direct": _direct,
    "yes-no": _yes_no,
    "reverse": _reverse,
    "multi-hop": _multi_hop,
}


def _full(people: People, number: int) -> np.ndarray:
    """The same number for each person."""
    return np.full(len(people), number)


def _gold(
    world: World, values: np.ndarray, pieces: np.ndarray, field: int
) -> tuple[np.ndarray, np.ndarray]:
    """First gold answer and number of gold answers, (person,) each; a relation's is the piece."""
    if world.fields[field].relation:
        return pieces, np.ones(len(pieces), np.int64)
    begins = world.values.answers[field]
    return begins[values], begins[values + 1] - begins[values]


def _is_told(world: World, numbers: np.ndarray, field: int) -> np.ndarray:
    """Whether some text of the corpus tells what a field is that people's own texts leave out."""
    column = world.config.fields.index(world.fields[field].depends_on or "")
    parents = draw_value(world.config, world.fields[column], numbers)
    return _told_parents(world.config, field, column)[parents]


@lru_cache(maxsize=8)
def _told_parents(config: BiogenConfig, field: int, column: int) -> np.ndarray:
    """Values of the field `column` on which `field` is stated in some text, (value,) bool."""
    world = build_world(config)
    told = np.zeros(int(world.values.count[column]), bool)
    for numbers in people_ranges(config.start, config.people):
        stated = numbers[~is_left_out(world, numbers, field)]
        told[draw_value(config, world.fields[column], stated)] = True
    return told


@lru_cache(maxsize=16)
def num_owners(config: BiogenConfig, field: int) -> np.ndarray:
    """How many people of the corpus, distractors included, have each value of a field, (value,)."""
    world = build_world(config)
    owners = np.zeros(int(world.values.count[field]), np.int64)
    for numbers in people_ranges(config.start, config.people, size=1 << 16):
        everyone = np.concatenate([numbers, distractor_numbers(world, numbers).ravel()])
        values = draw_value(config, world.fields[field], everyone)
        owners += np.bincount(values, minlength=len(owners))
    return owners


def _is_in_corpus(config: BiogenConfig, numbers: np.ndarray) -> np.ndarray:
    """Which people belong to the corpus."""
    return (numbers >= config.start) & (numbers < config.start + config.people)
