"""Few-shot prompts: which solved questions they show, and how they are written."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from elusive.common.dataset.records import Question, Shot
from elusive.common.errors import InputError
from elusive.common.seeding import stream


def solve_question(question: Question, answer: str) -> Shot:
    """Return a question with one of its gold answers."""
    return Shot(question.entity, question.field, question.question, answer, question.kind)


def render_question(question: str) -> str:
    """Render a question up to the point where its answer begins; answers start with a space."""
    return f"Question: {question}\nAnswer:"


def render_solved_question(shot: Shot) -> tuple[str, str]:
    """Render question and answer of a shot as in prompts, including the newline."""
    return render_question(shot.question), f" {shot.answer}\n"


def split_shots(shots: list[Shot], num_shots: int, seed: int) -> tuple[list[Shot], list[Shot]]:
    """Split shots into those for prompts and those for format replay, about different people.

    An article, which takes the place of a person, may have several shots of a topic. Prompts then
    show one shot of as many articles as possible, and the articles' other shots are not used.

    Args:
        shots: all shots of a dataset.
        num_shots: number of people, and of questions per topic, that prompts show.
        seed: of the choice of people.

    Raises:
        InputError: there are not more people than `num_shots`.
    """
    people = sorted({shot.entity for shot in shots})
    if num_shots and len(people) <= num_shots:
        raise InputError(
            f"num_shots {num_shots} needs more than {num_shots} people in the dataset's shots (got "
            f"{len(people)}): lower num_shots or make the dataset with more shot people"
        )
    # 1) Choose whom prompts show.
    order = stream(seed, "shots").permutation(len(people))
    shown = {people[index] for index in order[:num_shots]}
    # 2) Number each person's shots of a topic, and take everybody's first ones first.
    counts: Counter[tuple[str, tuple[str, str]]] = Counter()
    ranked: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for index, shot in enumerate(shots):
        if shot.entity in shown:
            topic = get_topic(shot)
            ranked[topic].append((counts[shot.entity, topic], index))
            counts[shot.entity, topic] += 1
    taken = sorted(index for pairs in ranked.values() for _, index in sorted(pairs)[:num_shots])
    return [shots[index] for index in taken], [shot for shot in shots if shot.entity not in shown]


def get_topic(question: Question | Shot) -> tuple[str, str]:
    """Return a question's kind and field; prompts show examples with the same."""
    return question.kind, question.field


def select_topic(shots: Sequence[Shot], topic: tuple[str, str]) -> list[Shot]:
    """Select the shots of a topic, in order."""
    return [shot for shot in shots if get_topic(shot) == topic]


def render_few_shot_prefix(shots: Sequence[Shot], topic: tuple[str, str]) -> str:
    """Render the solved questions of a topic in a fixed order; empty if there are none."""
    return "".join("".join(render_solved_question(shot)) for shot in select_topic(shots, topic))


def sample_replay(shots: list[Shot], count: int, seed: int) -> list[Shot]:
    """Sample shots for format replay.

    Raises:
        InputError: there are fewer than `count`.
    """
    if count > len(shots):
        raise InputError(
            f"format_replay {count} exceeds the {len(shots)} solved questions that prompts do not "
            "show: lower it or make the dataset with more shot people"
        )
    order = stream(seed, "replay").permutation(len(shots))
    return [shots[index] for index in order[:count]]
