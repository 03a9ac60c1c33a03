"""Biographies whose names and values are located while they are written."""

from collections.abc import Iterator
from functools import partial

from elusive.biogen.config import BiogenConfig
from elusive.biogen.people import Person, people
from elusive.biogen.templates import POSSESSIVES, SUBJECTS, templates_of
from elusive.common.records import Document, Fact, Span
from elusive.common.seeding import stream


def biographies(config: BiogenConfig) -> Iterator[Document]:
    """One biography per person, in order; documents whose spans are exact by construction.

    Raises:
        InputError: more people than unique names.
    """
    yield from map(partial(biography, config), people(config))


def biography(config: BiogenConfig, person: Person) -> Document:
    """The biography of one person: a sentence per field, the name in one of them."""
    templates = templates_of(config.fields)
    named = _named_sentence(config, person)
    text = ""
    heads: list[Span] = []
    facts: list[Fact] = []
    for position, template in enumerate(templates):
        text += " " if text else ""
        if position == named:
            heads.append((len(text), len(text) + len(person.name)))
        text += person.name if position == named else SUBJECTS[person.gender]
        text += template.before.format(possessive=POSSESSIVES[person.gender])
        value = person.values[template.field]
        start, end = len(text), len(text) + len(value)
        text += value + template.after
        distance = words_from_head(text, heads, start)
        facts.append(Fact(template.field, value, start, end, distance, position))
    return Document(
        doc_id=person.doc_id,
        entity=person.name,
        text=text,
        heads=heads,
        facts=facts,
        split="train",
        templates=[template.template_id for template in templates],
        variant="single",
    )


def _named_sentence(config: BiogenConfig, person: Person) -> int:
    """Index of the sentence that has the name."""
    if config.name_position == "first":
        return 0
    return int(stream(config.seed, "name_position", person.index).integers(len(config.fields)))


def words_from_head(text: str, heads: list[Span], start: int) -> int | None:
    """Words from the last head mention before `start` to the word there; 1 is the next word.

    >>> words_from_head("Ada Byron was born in London.", [(0, 9)], 22)
    4
    """
    ends = [end for _, end in heads if end <= start]
    return len(text[max(ends) : start].split()) + 1 if ends else None
