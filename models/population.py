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
from elusive.common.lm.encoding import list_start_tokens
from elusive.common.lm.packing import IGNORED, Sequence, build_text_sequence
from elusive.common.seeding import stream
from elusive.evaluate.answering.prompt_format import PromptFormat
from elusive.evaluate.answering.prompts import get_topic, render_solved_question, solve_question
from elusive.models.config import PretrainPlan

TOKENIZER_PEOPLE = 4000


@dataclass(frozen=True)
class Population:
    """Texts and questions about all people whom a family reads about."""

    texts: list[str]
    questions: list[Question]
    shots: list[Shot]


def build_population(plan: PretrainPlan) -> Population:
    """Generate all texts and questions of a plan's population."""
    return Population(
        texts=[document.text for document in generate_biographies(plan.population)],
        questions=list(generate_questions(plan.population)),
        shots=list(generate_shots(plan.population)),
    )


def generate_tokenizer_texts(plan: PretrainPlan) -> Iterator[str]:
    """Generate texts and questions about people who are not in the population.

    A tokenizer that is trained on the population would spell its names in fewer tokens than new
    names.
    """
    config = plan.population
    start = config.start + config.people
    others = config.model_copy(update={"start": start, "people": TOKENIZER_PEOPLE, "multi": 1})
    for document in generate_biographies(others):
        yield document.text
    for question in generate_questions(others):
        solved = solve_question(question, question.answers[0])
        yield "".join(render_solved_question(solved))


class Rows:
    """Training rows by number; a row does not depend on whether other rows were built."""

    def __init__(
        self, population: Population, tokenizer: PreTrainedTokenizerFast, plan: PretrainPlan
    ) -> None:
        self._plan = plan
        self._texts = [build_text_sequence(text, tokenizer) for text in population.texts]
        # Token ids of solved questions by topic, each as its question part and its answer part.
        self._topics: dict[tuple[str, str], list[tuple[list[int], list[int]]]] = defaultdict(list)
        self._start = list_start_tokens(tokenizer)
        prompts = PromptFormat(tokenizer)
        for question in population.questions:
            solved = prompts.encode_solved(solve_question(question, question.answers[0]))
            parts = solved.prompt.input_ids[len(self._start) :], solved.written
            self._topics[get_topic(question)].append(parts)

    def compute_joined_rate(self, number: int) -> float:
        """Compute the share of the people who have joined when row `number` is read."""
        plan = self._plan
        first = (plan.first_people or plan.population.people) / plan.population.people
        progress = number * plan.row_tokens / (plan.joining * plan.tokens)
        return min(1.0, first + (1 - first) * progress)

    def build_row(self, number: int) -> list[Sequence]:
        """Build sequences that together have about `plan.row_tokens` tokens."""
        rng = stream(self._plan.seed, "row", number)
        joined_rate = self.compute_joined_rate(number)
        question_share = self._plan.question_share
        sequences: list[Sequence] = []
        block_tokens = total = 0
        while total < self._plan.row_tokens:
            # Add a block or a text, at random, such that blocks keep to their share of the tokens.
            if block_tokens + rng.random() * 100 < question_share * (total + 100):
                sequences.append(self._build_block(rng, joined_rate))
                block_tokens += len(sequences[-1].input_ids)
            else:
                num_texts = math.ceil(joined_rate * len(self._texts))
                sequences.append(self._texts[rng.integers(num_texts)])
            total += len(sequences[-1].input_ids)
        return sequences

    def _build_block(self, rng: np.random.Generator, joined_rate: float) -> Sequence:
        """Build a block of solved questions of one topic, of which only answers are predicted."""
        topics = list(self._topics.values())
        solved = topics[rng.integers(len(topics))]
        num_questions = math.ceil(joined_rate * len(solved))
        input_ids, labels = list(self._start), [IGNORED]
        for index in rng.choice(num_questions, self._plan.block_questions, replace=False):
            question_ids, answer_ids = solved[index]
            input_ids += question_ids + answer_ids
            labels += [IGNORED] * len(question_ids) + answer_ids
        return Sequence(input_ids, labels)
