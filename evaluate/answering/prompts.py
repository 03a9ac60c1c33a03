"""Few-shot prompts: which solved questions they show, and how they are written."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elusive.common.dataset.records import Question, Shot
from elusive.common.errors import InputError
from elusive.common.seeding import stream

if TYPE_CHECKING:  # transformers takes seconds to import, and exports need only the functions
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class PromptFormat:
    """How questions are written: as lines, or as turns of the tokenizer's chat template."""

    tokenizer: "PreTrainedTokenizerBase"
    chat: bool = False

    def __post_init__(self) -> None:
        if self.chat and not self.tokenizer.chat_template:
            raise InputError(
                "chat_template: the model's tokenizer has none: leave out the option or choose a "
                "chat model"
            )

    def render_prefix(self, shots: list[Shot], topic: tuple[str, str]) -> str:
        """Render the solved questions of a topic in a fixed order; empty if there are none.

        Also empty if the chat template writes them differently when a question follows.
        """
        if not self.chat:
            return render_few_shot_prefix(shots, topic)
        turns = _build_turns(_select_topic(shots, topic))
        prefix = self._render_turns(turns, False)
        prompt = self._render_turns([*turns, _build_question_turn("?")], True)
        return prefix if prompt.startswith(prefix) else ""

    def encode_prefix(self, prefix: str) -> list[int]:
        """Encode a prefix, with a start token unless the chat template writes it."""
        return self.tokenizer(prefix, add_special_tokens=not self.chat)["input_ids"]

    def render_question(self, shots: list[Shot], question: Question) -> str:
        """Render what follows the prefix, up to the point where the answer begins."""
        if not self.chat:
            return render_question(question.question)
        topic = get_topic(question)
        turns = _build_turns(_select_topic(shots, topic))
        prompt = self._render_turns([*turns, _build_question_turn(question.question)], True)
        return prompt.removeprefix(self.render_prefix(shots, topic))

    def render_answer(self, answer: str) -> str:
        """Render an answer as the model should continue the prompt with it."""
        return answer if self.chat else f" {answer}"

    def render_solved(self, shot: Shot) -> tuple[str, str]:
        """Render question and answer of a shot for format replay, including the answer's end.

        Raises:
            InputError: the chat template does not render the question first.
        """
        if not self.chat:
            return render_solved_question(shot)
        whole = self._render_turns(_build_turns([shot]), False)
        # Some templates ask in a way that a finished turn does not repeat, as with "<think>".
        for asks in (True, False):
            question = self._render_turns([_build_question_turn(shot.question)], asks)
            if whole.startswith(question):
                return question, whole.removeprefix(question)
        raise InputError(
            "chat_template: a solved question does not begin with the question in this model's "
            "template, so its answer cannot be told apart: leave out chat_template"
        )

    def _render_turns(self, turns: list[dict[str, str]], asks: bool) -> str:
        if not turns:
            return ""
        return self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=asks)  # type: ignore[return-value]


def _build_question_turn(question: str) -> dict[str, str]:
    return {"role": "user", "content": question}


def _build_turns(shots: list[Shot]) -> list[dict[str, str]]:
    return [
        turn
        for shot in shots
        for turn in (
            _build_question_turn(shot.question),
            {"role": "assistant", "content": shot.answer},
        )
    ]


def _select_topic(shots: list[Shot], topic: tuple[str, str]) -> list[Shot]:
    return [shot for shot in shots if get_topic(shot) == topic]


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


def render_few_shot_prefix(shots: list[Shot], topic: tuple[str, str]) -> str:
    """Render the solved questions of a topic in a fixed order; empty if there are none."""
    return "".join("".join(render_solved_question(shot)) for shot in _select_topic(shots, topic))


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
