"""Few-shot prompts: which solved questions are shown, and how they are written."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elusive.common.dataset.records import Question, Shot
from elusive.common.errors import InputError
from elusive.common.seeding import stream

if TYPE_CHECKING:  # transformers takes seconds to import, and tables need these functions
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class PromptFormat:
    """How questions are written: as lines, or as turns of the tokenizer's chat template."""

    tokenizer: "PreTrainedTokenizerBase"
    chat: bool = False

    def __post_init__(self) -> None:
        if self.chat and not self.tokenizer.chat_template:
            raise InputError(
                "chat_template: the model's tokenizer has none: leave the option out or choose a "
                "chat model"
            )

    def render_prefix(self, shots: list[Shot], wanted: tuple[str, str]) -> str:
        """The solved questions of one topic, in one fixed order; empty if there are none."""
        if self.chat:
            shared = self._render(_turns(_of_topic(shots, wanted)), False)
            asked = [*_turns(_of_topic(shots, wanted)), {"role": "user", "content": "?"}]
            return shared if self._render(asked, True).startswith(shared) else ""
        return render_few_shot_prefix(shots, wanted)

    def encode_prefix(self, prefix: str) -> list[int]:
        """Tokens of a prefix, with the start token if the format has it apart from the text."""
        return self.tokenizer(prefix, add_special_tokens=not self.chat)["input_ids"]

    def render_question(self, shots: list[Shot], asked: Question) -> str:
        """What follows the prefix, up to the point where the answer begins."""
        if self.chat:
            turns = [*_turns(_of_topic(shots, get_topic(asked))), _user(asked.question)]
            return self._render(turns, True).removeprefix(
                self.render_prefix(shots, get_topic(asked))
            )
        return render_question(asked.question)

    def render_answer(self, answer: str) -> str:
        """An answer as the model should go on with it."""
        return answer if self.chat else f" {answer}"

    def render_solved(self, shot: Shot) -> tuple[str, str]:
        """Question and answer of a shot for format replay, the answer's end included."""
        if not self.chat:
            return render_solved_question(shot)
        question = self._render([_user(shot.question)], True)
        return question, self._render(_turns([shot]), False).removeprefix(question)

    def _render(self, turns: list[dict[str, str]], asks: bool) -> str:
        """Turns as the chat template writes them; empty if there are none."""
        if not turns:
            return ""
        return self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=asks)  # type: ignore[return-value]


def _user(question: str) -> dict[str, str]:
    """A question as a turn."""
    return {"role": "user", "content": question}


def _turns(shots: list[Shot]) -> list[dict[str, str]]:
    """Solved questions as turns."""
    return [
        turn
        for shot in shots
        for turn in (_user(shot.question), {"role": "assistant", "content": shot.answer})
    ]


def _of_topic(shots: list[Shot], wanted: tuple[str, str]) -> list[Shot]:
    """The shots of one topic."""
    return [shot for shot in shots if get_topic(shot) == wanted]


def render_question(question: str) -> str:
    """A question up to the point where its answer begins; the answer starts with a space."""
    return f"Question: {question}\nAnswer:"


def render_solved_question(shot: Shot) -> tuple[str, str]:
    """Question and answer of a shot as they stand in prompts, the line's end included."""
    return render_question(shot.question), f" {shot.answer}\n"


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
            turns[get_topic(shot)].append((seen[shot.entity, get_topic(shot)], index))
            seen[shot.entity, get_topic(shot)] += 1
    taken = sorted(
        index for of_topic in turns.values() for _, index in sorted(of_topic)[:num_shots]
    )
    return [shots[index] for index in taken], [shot for shot in shots if shot.entity not in shown]


def get_topic(asked: Question | Shot) -> tuple[str, str]:
    """What prompts hold examples of: kind and field."""
    return asked.kind, asked.field


def render_few_shot_prefix(shots: list[Shot], wanted: tuple[str, str]) -> str:
    """The solved questions of one topic, in one fixed order; empty if there are none."""
    return "".join("".join(render_solved_question(shot)) for shot in _of_topic(shots, wanted))


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
