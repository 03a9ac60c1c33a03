"""What answers: a model in this process, or one on an OpenAI-compatible server."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from elusive.common.dataset.records import Document, Fact, Prediction, Question, Shot
from elusive.common.lm.loading import LoadedModel
from elusive.evaluate.answering.batches import Model
from elusive.evaluate.answering.batching_probe import find_batching
from elusive.evaluate.answering.endpoint import Endpoint, ask_endpoint, compute_endpoint_perplexity
from elusive.evaluate.answering.local import answer_questions
from elusive.evaluate.answering.perplexity import compute_perplexity
from elusive.evaluate.config import AnsweringConfig


@dataclass(frozen=True)
class Backend:
    """A model that answers questions and computes perplexity."""

    ask: Callable[
        [list[Question], list[Shot], dict[str, Fact], dict[str, list[str]]], list[Prediction]
    ]
    """Answer questions, in order, after the shots of their topics; with facts and distractors."""
    perplexity: Callable[[list[str]], float]
    """Compute the perplexity of texts."""


def build_local_backend(model: Model, loaded: LoadedModel, answering: AnsweringConfig) -> Backend:
    """Build the backend of a model in this process, with or without an adapter."""
    batching = find_batching(loaded)

    def ask(
        questions: list[Question],
        shots: list[Shot],
        facts: dict[str, Fact],
        distractors: dict[str, list[str]],
    ) -> list[Prediction]:
        return answer_questions(
            model,
            loaded.tokenizer,
            questions,
            shots,
            answering.answer_batch_size,
            batching,
            chat=answering.chat_template,
            facts=facts,
            distractors=distractors,
        )

    return Backend(ask, partial(compute_perplexity, model, loaded.tokenizer))


def find_endpoint(answering: AnsweringConfig, model: str) -> Endpoint | None:
    """Find the served model that the settings name; None if a local model answers."""
    if answering.endpoint is None:
        return None
    return Endpoint(answering.endpoint, answering.served or model, answering.answer_batch_size)


def build_endpoint_backend(endpoint: Endpoint) -> Backend:
    """Build the backend of a served model."""
    return Backend(partial(ask_endpoint, endpoint), partial(compute_endpoint_perplexity, endpoint))


def ask_open_book(
    backend: Backend,
    questions: list[Question],
    shots: list[Shot],
    facts: dict[str, Fact],
    distractors: dict[str, list[str]],
    documents: list[Document],
) -> list[Prediction]:
    """Ask with the document's text in front of each question; the answers keep the question."""
    texts = {document.doc_id: document.text for document in documents}
    asked = [replace(q, question=f"{texts[q.doc_id]} {q.question}") for q in questions]
    predictions = backend.ask(asked, shots, facts, distractors)
    pairs = zip(predictions, questions, strict=True)
    return [replace(prediction, question=q.question) for prediction, q in pairs]
