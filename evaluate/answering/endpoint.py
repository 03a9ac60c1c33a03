"""Closed-book answering by an OpenAI-compatible server, through its completions API."""

import math
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from elusive.common.dataset.records import Fact, Prediction, Question, Shot
from elusive.common.endpoints import build_endpoint_client, shorten_errors
from elusive.common.errors import InputError
from elusive.common.lm.references import hash_adapter
from elusive.evaluate.answering.predictions import (
    Answer,
    build_predictions,
    check_shots_apart,
    count_answer_tokens,
    cut_first_line,
    group_by_topic,
)
from elusive.evaluate.answering.prompts import get_topic, render_few_shot_prefix, render_question

TEXTS_PER_REQUEST = 64
"""Short texts whose tokens are counted in one request."""
NOISE = 1e-6
"""Difference in nats below which log-probabilities are the same."""


@dataclass(frozen=True)
class Scored:
    """Tokens of a prompt as the server has them, and their log-probabilities."""

    tokens: list[str]
    log_probabilities: list[float | None]
    """None for the first, which nothing predicts."""


@dataclass(frozen=True)
class Endpoint:
    """A model of a server."""

    url: str
    model: str
    at_once: int
    """Requests under way at a time."""

    def generate(self, prompt: str, max_tokens: int) -> str:
        """The greedy answer up to the end of its line."""
        reply = self._complete(prompt, max_tokens=max_tokens, stop=["\n"])
        return cut_first_line(reply.choices[0].text)

    def score(self, texts: list[str]) -> list[Scored]:
        """Tokens of some texts, with their log-probabilities.

        Raises:
            InputError: the server does not give them.
        """
        # One token is generated, because some servers refuse to generate none.
        reply = self._complete(texts, max_tokens=1, echo=True, logprobs=1)
        choices = sorted(reply.choices, key=lambda choice: choice.index)
        return [self._scored(text, choice) for text, choice in zip(texts, choices, strict=True)]

    def _scored(self, text: str, choice: Any) -> Scored:
        """What was echoed of a text, without the token generated after it."""
        found = choice.logprobs
        if not found or not found.tokens or not choice.text.startswith(text):
            raise InputError(
                f"{self.url} gives no log-probabilities of a prompt (completions with echo and "
                "logprobs), which the gold answers' are taken from: vLLM's server gives them"
            )
        return Scored(found.tokens[:-1], found.token_logprobs[:-1])

    def _complete(self, prompt: str | list[str], **settings: Any) -> Any:
        """A reply of the completions API."""
        hint = "look at its log; prompts may be longer than its context"
        with shorten_errors(self.url, self.model, hint):
            return _client(self.url).completions.create(
                model=self.model, prompt=prompt, temperature=0, **settings
            )


@cache
def _client(url: str) -> Any:
    """The client of a server."""
    return build_endpoint_client(url)


@cache
def find_served_model(url: str, name: str) -> dict[str, str | None]:
    """What a server says of a model: the name it goes by, and what it was loaded from.

    Raises:
        InputError: the server does not answer, or has no such model.
    """
    with shorten_errors(url, name, "is this the address of an OpenAI-compatible server (/v1)?"):
        models = list(_client(url).models.list())
    for model in models:
        if model.id == name:
            return {"name": name, "root": getattr(model, "root", None)}
    names = ", ".join(model.id for model in models) or "none"
    raise InputError(f"{url} serves no model {name!r}: it has {names} (--served names one)")


@contextmanager
def open_adapter(endpoint: Endpoint, adapter: Path) -> Iterator[Endpoint]:
    """The endpoint with an adapter, loaded into vLLM for the time of the block.

    The server has to see the adapter's folder, so it runs on this machine or shares its disks.

    Raises:
        InputError: the server cannot load it.
    """
    name = f"elusive-{hash_adapter(adapter)[:12]}-{uuid.uuid4().hex[:8]}"
    hint = (
        "start it as VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve MODEL --enable-lora, with "
        f"--max-lora-rank no less than the adapter's, where {adapter.resolve()} can be read"
    )
    body = {"lora_name": name, "lora_path": str(adapter.resolve())}
    with shorten_errors(endpoint.url, endpoint.model, hint):
        _client(endpoint.url).post("/load_lora_adapter", body=body, cast_to=str)
    try:
        yield replace(endpoint, model=name)
    finally:
        with suppress(InputError), shorten_errors(endpoint.url, name):
            _client(endpoint.url).post(
                "/unload_lora_adapter", body={"lora_name": name}, cast_to=str
            )


def check_adapter_acts(base: Endpoint, adapted: Endpoint, probe: str) -> None:
    """Compare log-probabilities of a probe with those of the base.

    They have to differ by more than those of the base do when it is asked twice: servers do not
    compute alike whatever else they are at.

    Raises:
        InputError: they do not, so scoring would measure the base.
    """
    first, again, found = (
        [number for number in each.score([probe])[0].log_probabilities if number is not None]
        for each in (base, base, adapted)
    )
    if _distance(first, found) <= 2 * _distance(first, again) + NOISE:
        raise InputError(
            f"{base.url} took the adapter and does not use it: log-probabilities of a probe are "
            f"those of {base.model!r}; was it trained, and does the server serve its base?"
        )


def _distance(first: list[float], second: list[float]) -> float:
    """Largest difference of numbers in order."""
    return max((abs(a - b) for a, b in zip(first, second, strict=True)), default=0.0)


def ask_endpoint(
    endpoint: Endpoint,
    questions: list[Question],
    shots: list[Shot],
    facts: dict[str, Fact] | None = None,
) -> list[Prediction]:
    """Answer every question after the shots of its topic, as `answer_questions` does.

    Args:
        endpoint: the model that is asked.
        questions: in any order; predictions come back in the same order.
        shots: solved questions to show, of other people than any question's.
        facts: what is asked for, by question.

    Raises:
        InputError: a question's person stands in the shots; the server fails, or gives no
            log-probabilities of prompts.
    """
    check_shots_apart(questions, shots)
    lengths = _answer_lengths(endpoint, questions)
    limits = {
        name: count_answer_tokens(members, lengths.__getitem__)
        for name, members in group_by_topic(questions).items()
    }

    def ask(question: Question) -> Answer:
        prompt = render_few_shot_prefix(shots, get_topic(question)) + render_question(
            question.question
        )
        found = _gold_log_probability(endpoint, prompt, f" {question.answers[0]}")
        return Answer(endpoint.generate(prompt, limits[get_topic(question)]), found)

    with ThreadPoolExecutor(endpoint.at_once) as pool:
        answers = list(pool.map(ask, questions))
    return build_predictions(questions, answers, facts)


def _answer_lengths(endpoint: Endpoint, questions: list[Question]) -> dict[str, int]:
    """Tokens of every gold answer with its line's end."""
    golds = sorted({answer for question in questions for answer in question.answers})
    lengths: dict[str, int] = {}
    for start in range(0, len(golds), TEXTS_PER_REQUEST):
        part = golds[start : start + TEXTS_PER_REQUEST]
        texts = [f" {answer}\n" for answer in part]
        scored = endpoint.score(texts)
        for answer, text, each in zip(part, texts, scored, strict=True):
            lengths[answer] = count_last_tokens(each.tokens, text)
    return lengths


def count_last_tokens(tokens: list[str], end: str) -> int:
    """How many tokens the end of a text takes, counted from behind by their lengths.

    Whether a start token stands before the text, as with some servers, has no say in that. A token
    that reaches back beyond the end counts.

    >>> num_last_tokens(["<s>", "In", " Ro", "me"], " Rome")
    2
    """
    length = 0
    for number, token in enumerate(reversed(tokens), start=1):
        length += len(token)
        if length >= len(end):
            return number
    return len(tokens)


def _gold_log_probability(endpoint: Endpoint, prompt: str, gold: str) -> float:
    """Mean log-probability per token of what follows a prompt, in nats.

    Where the server does not write tokens as they stand in the text (characters of several tokens,
    tokenizers that drop spaces), those of the prompt alone are counted.
    """
    scored = endpoint.score([prompt + gold])[0]
    number = count_last_tokens(scored.tokens, gold)
    if not "".join(scored.tokens[-number:]).endswith(gold):
        number = len(scored.tokens) - len(endpoint.score([prompt])[0].tokens)
    found = [each for each in scored.log_probabilities[-number:] if each is not None]
    return sum(found) / len(found)


def compute_endpoint_perplexity(endpoint: Endpoint, texts: list[str]) -> float:
    """Exponential of the mean loss in nats per token of some texts, the first token left out.

    Other than `perplexity` it leaves out the end token, which no text can name on every server.
    """
    with ThreadPoolExecutor(endpoint.at_once) as pool:
        scored = list(pool.map(lambda text: endpoint.score([text])[0], texts))
    found = [number for each in scored for number in each.log_probabilities if number is not None]
    return math.exp(-sum(found) / len(found))
