"""Closed-book questions about the people of a corpus, and solved ones about others."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from elusive.biogen.biographies import document_ids
from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.draw import People, draw_people, people_ranges, shot_numbers
from elusive.biogen.people.values import PARTNER_BITS
from elusive.biogen.texts.phrasings import Asking
from elusive.biogen.texts.pieces import Strings, booleans, integers
from elusive.biogen.texts.question_kinds import reply, reply_strings
from elusive.biogen.world import World, build_world
from elusive.common.dataset.records import SCHEMAS, Question, Shot, from_table


def questions(config: BiogenConfig) -> Iterator[Question]:
    """The questions about the people of the corpus, in order; dev and test are split by person.

    Raises:
        InputError: what the config asks of names, fields or templates cannot be had.
    """
    world = build_world(config)
    for numbers in people_ranges(config.start, config.people):
        batch = question_batch(world, draw_people(world, numbers))
        yield from from_table(pa.Table.from_batches([batch]), Question)


def shots(config: BiogenConfig) -> Iterator[Shot]:
    """Solved questions of every field and kind about people outside the corpus.

    Raises:
        InputError: as `questions`.
    """
    world = build_world(config)
    batch = shot_batch(world, draw_people(world, shot_numbers(world)))
    yield from from_table(pa.Table.from_batches([batch]), Shot)


def question_batch(world: World, people: People) -> pa.RecordBatch:
    """The questions about some people as rows."""
    asked = _asked(world, people, world.phrasings.askings, in_corpus=True)
    doc_ids = document_ids(world, people.numbers, np.zeros_like(people.numbers))
    is_dev = dev_mask(world, people.numbers)[asked.person]
    columns = {
        "question_id": _question_ids(world, doc_ids, asked),
        "doc_id": doc_ids.take(integers(asked.person)),
        "answers": _answer_lists(asked),
        "split": asked.strings.take(np.where(is_dev, world.phrasings.dev, world.phrasings.test)),
        "phrasing": integers(asked.phrasing),
        "held_out": booleans(asked.of_askings("held_out")),
        "hops": integers(asked.hops),
        **_common_columns(people, asked),
    }
    schema = SCHEMAS[Question]
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def shot_batch(world: World, people: People) -> pa.RecordBatch:
    """Solved questions about people outside the corpus; never in a held-out phrasing."""
    askings = [asking for asking in world.phrasings.askings if not asking.held_out]
    asked = _asked(world, people, askings, in_corpus=False)
    columns = {"answer": asked.strings.take(asked.first), **_common_columns(people, asked)}
    schema = SCHEMAS[Shot]
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


@dataclass(frozen=True)
class _Asked:
    """Questions about some people, person by person."""

    strings: Strings
    """What pieces refer to."""
    askings: list[Asking]
    person: np.ndarray  # (question,) place of the person in the batch
    asking: np.ndarray  # (question,) which of the askings
    text: np.ndarray  # (question, 5) pieces
    phrasing: np.ndarray  # (question,)
    first: np.ndarray  # (question,) piece of the first gold answer
    count: np.ndarray  # (question,) gold answers, which stand one after the other
    hops: np.ndarray  # (question,)

    def of_askings(self, attribute: str) -> np.ndarray:
        """An attribute of the asking of each question, (question,)."""
        return np.array([getattr(asking, attribute) for asking in self.askings])[self.asking]


def _asked(world: World, people: People, askings: list[Asking], in_corpus: bool) -> _Asked:
    """All questions about some people."""
    replies = [reply(world, people, asking, in_corpus) for asking in askings]
    texts = [
        _text(world, people, asking, reply.slots)
        for asking, reply in zip(askings, replies, strict=True)
    ]
    mask = np.stack([reply.asked for reply in replies], axis=1)  # (person, asking)
    person, asking = np.nonzero(mask)
    return _Asked(
        strings=reply_strings(world, people),
        askings=askings,
        person=person,
        asking=asking,
        text=np.stack([pieces for pieces, _ in texts], axis=1)[mask],
        phrasing=np.stack([phrasing for _, phrasing in texts], axis=1)[mask],
        first=np.stack([reply.first for reply in replies], axis=1)[mask],
        count=np.stack([reply.count for reply in replies], axis=1)[mask],
        hops=np.stack([reply.hops for reply in replies], axis=1)[mask],
    )


def _text(
    world: World, people: People, asking: Asking, slots: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Pieces (person, 5) and number (person,) of the phrasing that is drawn for each person."""
    drawn = world.integers(len(asking.parts), people.numbers, "phrasing", asking.name)
    parts = asking.parts[drawn]
    one, other = reversed(slots) if asking.value_first else slots
    pieces = np.stack([parts[:, 0], one, parts[:, 1], other, parts[:, 2]], axis=1)
    return pieces, asking.first_phrasing + drawn


def _common_columns(people: People, asked: _Asked) -> dict[str, pa.Array]:
    """The columns that questions and shots share."""
    return {
        "entity": asked.strings.take(people.names[asked.person]),
        "field": asked.strings.take(asked.of_askings("label")),
        "question": asked.strings.join_text(asked.text),
        "kind": asked.strings.take(asked.of_askings("kind_piece")),
    }


def _question_ids(world: World, doc_ids: pa.StringArray, asked: _Asked) -> pa.StringArray:
    """Identifiers such as bio-0000007/major."""
    suffixes = world.strings.take(np.array([asking.suffix for asking in asked.askings]))
    strings = Strings(pa.concat_arrays([suffixes, doc_ids]), np.zeros(0))
    return strings.join_text(np.stack([len(suffixes) + asked.person, asked.asking], axis=1))


def _answer_lists(asked: _Asked) -> pa.ListArray:
    """The gold answers of every question."""
    ends = np.cumsum(np.concatenate([[0], asked.count]))
    numbers = np.repeat(asked.first - ends[:-1], asked.count) + np.arange(ends[-1])
    return pa.ListArray.from_arrays(integers(ends), asked.strings.take(numbers))


def dev_mask(world: World, numbers: np.ndarray) -> np.ndarray:
    """Whose questions are for development, (person,) bool; relatives go together.

    Spread evenly over the numbers, so that any part of a corpus has its share, and nobody's split
    depends on how many people there are. The first person is never one of them, the next one is.
    """
    unit = numbers // _people_together(world)
    before, upto = (
        np.ceil(np.round((unit - shift) * world.config.dev_rate, 9)) for shift in (1, 0)
    )
    return (upto > before) & (unit > 0)


def _people_together(world: World) -> int:
    """How many people in a row are related to each other."""
    bits = [PARTNER_BITS[field.relation] for field in world.fields if field.relation]
    return 2 * max(bits) if bits else 1
