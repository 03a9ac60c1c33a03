"""Few-shot prompts: which solved questions are shown, and how they are written."""

from collections import Counter, defaultdict

from elusive.common.errors import InputError
from elusive.common.records import Question, Shot
from elusive.common.seeding import stream


def question_text(question: str) -> str:
    """A question up to the point where its answer begins; the answer starts with a space."""
    return f"Question: {question}\nAnswer:"


def solved_question(shot: Shot) -> tuple[str, str]:
    """Question and answer of a shot as they stand in prompts, the line's end included."""
    return question_text(shot.question), f" {shot.answer}\n"


def split_shots(shots: list[Shot], num_shots: int, seed: int) -> tuple[list[Shot], list[Shot]]:
    """Shots for prompts and shots for format replay, from different people or articles.

    Of people who are asked about a topic several times, as articles are, as few shots as possible
    are shown; their other ones are used for nothing.

    Args:
        shots: all shots of a dataset.
        num_shots: people, and questions per topic, that prompts show.
        seed: decides which people.

    Raises:
        InputError: there are not more people than `num_shots`.
    """
    people = sorted({shot.entity for shot in shots})
    if num_shots and len(people) <= num_shots:
        raise InputError(
            f"num_shots {num_shots} needs more than {num_shots} people in the dataset's shots "
            f"(it has {len(people)}): lower num_shots or make the dataset with more shot people"
        )
    order = stream(seed, "shots").permutation(len(people))
    shown = {people[index] for index in order[:num_shots]}
    seen: Counter[tuple[str, tuple[str, str]]] = Counter()
    turns: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for index, shot in enumerate(shots):
        if shot.entity in shown:
            turns[topic(shot)].append((seen[shot.entity, topic(shot)], index))
            seen[shot.entity, topic(shot)] += 1
    taken = sorted(
        index for of_topic in turns.values() for _, index in sorted(of_topic)[:num_shots]
    )
    return [shots[index] for index in taken], [shot for shot in shots if shot.entity not in shown]


def topic(asked: Question | Shot) -> tuple[str, str]:
    """What prompts hold examples of: kind and field."""
    return asked.kind, asked.field


def few_shot_prefix(shots: list[Shot], wanted: tuple[str, str]) -> str:
    """The solved questions of one topic, in one fixed order; empty if there are none."""
    return "".join("".join(solved_question(shot)) for shot in shots if topic(shot) == wanted)


def sample_replay(shots: list[Shot], count: int, seed: int) -> list[Shot]:
    """`count` of the shots left for replay.

    Raises:
        InputError: there are fewer.
    """
    if count > len(shots):
        raise InputError(
            f"format_replay {count} is more than the {len(shots)} solved questions left beside the "
            "prompts: lower it or make the dataset with more shot people"
        )
    order = stream(seed, "replay").permutation(len(shots))
    return [shots[index] for index in order[:count]]
