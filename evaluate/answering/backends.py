"""Who answers: a model in this process, or one behind an OpenAI-compatible server."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from elusive.common.dataset.records import Fact, Prediction, Question, Shot
from elusive.common.lm.loading import LoadedModel
from elusive.evaluate.answering.endpoint import Endpoint, ask_endpoint, compute_endpoint_perplexity
from elusive.evaluate.answering.local import Model, answer_questions
from elusive.evaluate.answering.perplexity import compute_perplexity
from elusive.evaluate.config import AnsweringConfig


@dataclass(frozen=True)
class Backend:
    """Something that can be asked."""

    ask: Callable[[list[Question], list[Shot], dict[str, Fact]], list[Prediction]]
    """Answers to questions, in order, after the shots of their topics."""
    perplexity: Callable[[list[str]], float]
    """Of some texts."""


def build_local_backend(model: Model, loaded: LoadedModel, answering: AnsweringConfig) -> Backend:
    """A model in this process, with or without an adapter."""

    def ask(
        questions: list[Question], shots: list[Shot], facts: dict[str, Fact]
    ) -> list[Prediction]:
        return answer_questions(
            model,
            loaded.tokenizer,
            questions,
            shots,
            answering.answer_batch_size,
            chat=answering.chat_template,
            facts=facts,
        )

    return Backend(ask, partial(compute_perplexity, model, loaded.tokenizer))


def find_endpoint(answering: AnsweringConfig, model: str) -> Endpoint | None:
    """The served model that is to answer; None if a local one is."""
    if answering.endpoint is None:
        return None
    return Endpoint(answering.endpoint, answering.served or model, answering.answer_batch_size)


def build_endpoint_backend(endpoint: Endpoint) -> Backend:
    """A model behind a server."""
    return Backend(partial(ask_endpoint, endpoint), partial(compute_endpoint_perplexity, endpoint))
