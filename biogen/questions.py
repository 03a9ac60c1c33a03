"""Closed-book questions about the people of a corpus, and solved ones about others."""

from collections.abc import Iterator

from elusive.biogen.config import BiogenConfig
from elusive.biogen.people import Person, people, shot_people
from elusive.biogen.templates import templates_of
from elusive.common.records import Question, Shot
from elusive.common.seeding import stream


def questions(config: BiogenConfig) -> Iterator[Question]:
    """One question per field and person, in order; dev and test are split by person."""
    dev = dev_people(config)
    for person in people(config):
        for template in templates_of(config.fields):
            yield Question(
                question_id=f"{person.doc_id}/{template.field}",
                doc_id=person.doc_id,
                entity=person.name,
                field=template.field,
                question=template.question.format(name=person.name),
                answers=[person.values[template.field]],
                split="dev" if person.index in dev else "test",
            )


def dev_people(config: BiogenConfig) -> frozenset[int]:
    """Indices of the people whose questions are for development: one at least of several."""
    count = round(config.dev_rate * config.people)
    if config.dev_rate > 0 and config.people > 1:
        count = max(1, count)
    order = stream(config.seed, "dev_people").permutation(config.people)
    return frozenset(int(index) for index in order[: min(count, config.people - 1)])


def shots(config: BiogenConfig) -> Iterator[Shot]:
    """Solved questions of every field about people outside the corpus."""
    for person in shot_people(config):
        yield from _solved(config, person)


def _solved(config: BiogenConfig, person: Person) -> Iterator[Shot]:
    """All solved questions about one person."""
    for template in templates_of(config.fields):
        yield Shot(
            entity=person.name,
            field=template.field,
            question=template.question.format(name=person.name),
            answer=person.values[template.field],
        )
