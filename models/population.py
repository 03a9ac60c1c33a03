"""What a family reads: biographies of its population, and blocks of solved questions about it."""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerFast

from elusive.biogen.biographies import generate_biographies
from elusive.biogen.questions import generate_questions, generate_shots
from elusive.common.dataset.records import Question, Shot
from elusive.common.lm.packing import IGNORED, Sequence, build_text_sequence
from elusive.common.seeding import stream
from elusive.evaluate.answering.prompts import render_solved_question, get_topic
from elusive.models.config import PretrainPlan

TOKENIZER_PEOPLE = 4000


@dataclass(frozen=True)
class Population:
    """Texts and questions about everybody."""

    texts: list[str]
    questions: list[Question]
    shots: list[Shot]


def build_population(plan: PretrainPlan) -> Population:
    """All texts and questions of a plan's population."""
    return Population(
        texts=[document.text for document in generate_biographies(plan.population)],
        questions=list(generate_questions(plan.population)),
        shots=list(generate_shots(plan.population)),
    )


def tokenizer_texts(plan: PretrainPlan) -> Iterator[str]:
    """Texts and questions about other people than the population.

    A tokenizer trained on the population would spell its names in fewer tokens than new ones.
    """
    config = plan.population
    start = config.start + config.people
    others = config.model_copy(update={"start": start, "people": TOKENIZER_PEOPLE, "multi": 1})
    for document in generate_biographies(others):
        yield document.text
    for question in generate_questions(others):
        yield "".join(render_solved_question(_solved(question)))


def _solved(question: Question) -> Shot:
    """A question with its first answer."""
    return Shot(question.entity, question.field, question.question, question.answers[0])


class Rows:
    """Training rows by number: row 7 is the same whether or not row 6 was made."""

    def __init__(
        self, population: Population, tokenizer: PreTrainedTokenizerFast, plan: PretrainPlan
    ) -> None:
        self._plan = plan
        self._texts = [build_text_sequence(text, tokenizer) for text in population.texts]
        self._topics: dict[tuple[str, str], list[tuple[list[int], list[int]]]] = defaultdict(list)
        for question in population.questions:
            asked, answered = render_solved_question(_solved(question))
            ids = [
                tokenizer(part, add_special_tokens=False)["input_ids"] for part in (asked, answered)
            ]
            self._topics[get_topic(question)].append((ids[0], ids[1]))
        self._start: list[int] = [tokenizer.bos_token_id]  # type: ignore[list-item]

    def known_rate(self, number: int) -> float:
        """Share of the people who have joined when row `number` is read."""
        plan = self._plan
        first = (plan.first_people or plan.population.people) / plan.population.people
        progress = number * plan.row_tokens / (plan.joining * plan.tokens)
        return min(1.0, first + (1 - first) * progress)

    def row(self, number: int) -> list[Sequence]:
        """Sequences that together have about `plan.row_tokens` tokens."""
        rng = stream(self._plan.seed, "row", number)
        known = self.known_rate(number)
        sequences: list[Sequence] = []
        in_blocks = total = 0
        while total < self._plan.row_tokens:
            share = self._plan.question_share
            if in_blocks + rng.random() * 100 < share * (total + 100):
                sequences.append(self._block(rng, known))
                in_blocks += len(sequences[-1].input_ids)
            else:
                sequences.append(self._texts[rng.integers(math.ceil(known * len(self._texts)))])
            total += len(sequences[-1].input_ids)
        return sequences

    def _block(self, rng: np.random.Generator, known: float) -> Sequence:
        """Solved questions of one topic, of which the answers are predicted."""
        topics = list(self._topics.values())
        solved = topics[rng.integers(len(topics))]
        input_ids, labels = list(self._start), [IGNORED]
        for index in rng.choice(
            math.ceil(known * len(solved)), self._plan.block_questions, replace=False
        ):
            asked, answered = solved[index]
            input_ids += asked + answered
            labels += [IGNORED] * len(asked) + answered
        return Sequence(input_ids, labels)
