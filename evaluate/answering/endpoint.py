"""Closed-book answering by the completions API of an OpenAI-compatible server."""

import math
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

from elusive.common.dataset.records import Fact, Prediction, Question, Shot
from elusive.common.endpoints import build_endpoint_client, shorten_errors
from elusive.common.errors import InputError
from elusive.common.lm.references import hash_adapter
from elusive.evaluate.answering.predictions import (
    Answer,
    build_predictions,
    check_shots_apart,
    compute_forced_choice,
    count_answer_tokens,
    cut_first_line,
    group_by_topic,
)
from elusive.evaluate.answering.prompts import get_topic, render_few_shot_prefix, render_question

TEXTS_PER_REQUEST = 64
"""Number of short texts whose tokens are counted in one request."""
PLAIN = {"repetition_penalty": 1.0}
"""What vLLM and SGLang would otherwise take from the model's generation_config.json, even if they
answer greedily; other servers ignore it."""
NOISE = 1e-6
"""Difference in nats up to which log-probabilities count as equal."""


@dataclass(frozen=True)
class ScoredText:
    """Tokens of a text as the server writes them, and their log-probabilities."""

    tokens: list[str]
    log_probabilities: list[float | None]
    """None for the first token, which nothing predicts."""

    @property
    def known(self) -> list[float]:
        """The log-probabilities of all tokens that have one."""
        return [number for number in self.log_probabilities if number is not None]


@dataclass(frozen=True)
class Endpoint:
    """A model on a server."""

    url: str
    model: str
    at_once: int
    """Number of simultaneous requests."""

    def generate(self, prompt: str, max_tokens: int) -> str:
        """Return the greedy answer up to the end of its line."""
        reply = self._complete(prompt, max_tokens=max_tokens, stop=["\n"])
        return cut_first_line(reply.choices[0].text)

    def score(self, texts: list[str]) -> list[ScoredText]:
        """Return the tokens of texts with their log-probabilities.

        Raises:
            InputError: the server gives no log-probabilities of prompts.
        """
        # Some servers refuse to generate nothing, so one token is generated and then left out.
        reply = self._complete(texts, max_tokens=1, echo=True, logprobs=1)
        choices = sorted(reply.choices, key=lambda choice: choice.index)
        scored = []
        for text, choice in zip(texts, choices, strict=True):
            echoed = choice.logprobs
            if not echoed or not echoed.tokens or not choice.text.startswith(text):
                raise InputError(
                    f"{self.url} gives no log-probabilities of a prompt (completions with echo and "
                    "logprobs), which score the gold answers: use a server that does, such as vLLM"
                )
            scored.append(ScoredText(echoed.tokens[:-1], echoed.token_logprobs[:-1]))
        return scored

    def _complete(self, prompt: str | list[str], **settings: Any) -> Any:
        hint = "look at its log; prompts may exceed its context"
        with shorten_errors(self.url, self.model, hint):
            return _get_client(self.url).completions.create(
                model=self.model, prompt=prompt, temperature=0, extra_body=PLAIN, **settings
            )


@cache
def _get_client(url: str) -> Any:
    return build_endpoint_client(url)


@cache
def find_served_model(url: str, name: str) -> dict[str, str | None]:
    """Return what a server says about a model: its name, and what it was loaded from.

    Raises:
        InputError: the server does not answer, or has no such model.
    """
    with shorten_errors(url, name, "check the address of the OpenAI-compatible server (/v1)"):
        models = list(_get_client(url).models.list())
    for model in models:
        if model.id == name:
            return {"name": name, "root": getattr(model, "root", None)}
    names = ", ".join(model.id for model in models) or "none"
    raise InputError(f"{url} serves no model {name!r}: choose one with --served (it has {names})")


@contextmanager
def open_adapter(endpoint: Endpoint, adapter: Path) -> Iterator[Endpoint]:
    """Load an adapter into vLLM, yield its endpoint, and unload the adapter at the end.

    The server must be able to read the adapter's folder.

    Raises:
        InputError: the server cannot load the adapter.
    """
    name = f"elusive-{hash_adapter(adapter)[:12]}-{uuid.uuid4().hex[:8]}"
    hint = (
        "start it as VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve MODEL --enable-lora, with a "
        f"sufficient --max-lora-rank, on a machine that can read {adapter.resolve()}"
    )
    body = {"lora_name": name, "lora_path": str(adapter.resolve())}
    with shorten_errors(endpoint.url, endpoint.model, hint):
        _get_client(endpoint.url).post("/load_lora_adapter", body=body, cast_to=str)
    try:
        yield replace(endpoint, model=name)
    finally:
        with suppress(InputError), shorten_errors(endpoint.url, name):
            _get_client(endpoint.url).post(
                "/unload_lora_adapter", body={"lora_name": name}, cast_to=str
            )


def check_adapter_acts(base: Endpoint, adapted: Endpoint, probe: str) -> None:
    """Check that an adapter changes the log-probabilities of a probe.

    They must differ from the base's by more than the base's differ when it is asked twice, because
    a server's numbers depend on what it computes at the same time.

    Raises:
        InputError: they do not differ, so scoring would measure the base; or they are not finite.
    """
    first, repeated, changed = (
        endpoint.score([probe])[0].known for endpoint in (base, base, adapted)
    )
    if not all(math.isfinite(number) for number in changed):
        raise InputError(
            f"{base.url} gives log-probabilities that are no finite numbers with the adapter: "
            "train it again with a lower learning rate"
        )
    if _compute_distance(first, changed) <= 2 * _compute_distance(first, repeated) + NOISE:
        raise InputError(
            f"{base.url} took the adapter but does not use it: log-probabilities of a probe are "
            f"those of {base.model!r}: check that the adapter was trained, and on this base"
        )


def _compute_distance(first: list[float], second: list[float]) -> float:
    return max((abs(a - b) for a, b in zip(first, second, strict=True)), default=0.0)


def ask_endpoint(
    endpoint: Endpoint,
    questions: list[Question],
    shots: list[Shot],
    facts: dict[str, Fact] | None = None,
    distractors: dict[str, list[str]] | None = None,
) -> list[Prediction]:
    """Answer every question after the shots of its topic, as `answer_questions` does.

    Args:
        endpoint: the model.
        questions: in any order; predictions are returned in the same order.
        shots: solved questions to show, about other people.
        facts: fact that answers each question, by its id.
        distractors: as `choose_distractors` returns.

    Raises:
        InputError: a question's person is shown in the shots, the server fails, or it gives no
            log-probabilities of prompts.
    """
    check_shots_apart(questions, shots)
    lengths = _measure_answers(endpoint, questions)
    limits = {
        name: count_answer_tokens(members, lengths.__getitem__)
        for name, members in group_by_topic(questions).items()
    }

    def ask(question: Question) -> Answer:
        prompt = render_few_shot_prefix(shots, get_topic(question)) + render_question(
            question.question
        )
        others = (distractors or {}).get(question.question_id, [])
        answers = list(dict.fromkeys([question.answers[0], *others]))
        found = _score_answers(endpoint, prompt, [f" {answer}" for answer in answers])
        scores = dict(zip(answers, found, strict=True))
        gold = scores[question.answers[0]]
        text = endpoint.generate(prompt, limits[get_topic(question)])
        return Answer(text, gold, compute_forced_choice(gold, [scores[other] for other in others]))

    with ThreadPoolExecutor(endpoint.at_once) as pool:
        answers = list(pool.map(ask, questions))
    return build_predictions(questions, answers, facts)


def _measure_answers(endpoint: Endpoint, questions: list[Question]) -> dict[str, int]:
    """Count the tokens of every gold answer with its newline."""
    golds = sorted({answer for question in questions for answer in question.answers})
    lengths: dict[str, int] = {}
    for start in range(0, len(golds), TEXTS_PER_REQUEST):
        answers = golds[start : start + TEXTS_PER_REQUEST]
        texts = [f" {answer}\n" for answer in answers]
        for answer, text, scored in zip(answers, texts, endpoint.score(texts), strict=True):
            lengths[answer] = count_last_tokens(scored.tokens, text)
    return lengths


def count_last_tokens(tokens: list[str], end: str) -> int:
    """Count the tokens at the end of a text, from behind and by their lengths.

    A start token, which some servers put before the text, makes no difference. A token that begins
    before the end counts.

    >>> count_last_tokens(["<s>", "In", " Ro", "me"], " Rome")
    2
    """
    length = 0
    for number, token in enumerate(reversed(tokens), start=1):
        length += len(token)
        if length >= len(end):
            return number
    return len(tokens)


def _score_answers(endpoint: Endpoint, prompt: str, answers: list[str]) -> list[float]:
    """Compute the mean log-probability per token of each answer after a prompt, in nats.

    An answer is read with its newline, which may share a token with its last character; a token
    of the newline alone does not count.
    """
    lines = [f"{answer}\n" for answer in answers]
    scored = endpoint.score([prompt + line for line in lines])
    numbers = [_cut_answer(*pair) for pair in zip(scored, lines, strict=True)]
    if None in numbers:
        # The server does not write tokens as in the text: a character may consist of several
        # tokens, or a tokenizer drop spaces. Subtract the tokens of the prompt instead.
        *scored, alone = endpoint.score([*(prompt + answer for answer in answers), prompt])
        numbers = [text.log_probabilities[len(alone.tokens) :] for text in scored]
    return [
        fmean(number for number in row if number is not None) for row in numbers if row is not None
    ]


def _cut_answer(scored: ScoredText, line: str) -> list[float | None] | None:
    """Cut off what is before the last line; None if the tokens do not spell that line."""
    count = count_last_tokens(scored.tokens, line)
    if not "".join(scored.tokens[-count:]).endswith(line):
        return None
    numbers = scored.log_probabilities[-count:]
    return numbers[:-1] if scored.tokens[-1] == "\n" else numbers


def compute_endpoint_perplexity(endpoint: Endpoint, texts: list[str]) -> float:
    """Compute the exponential of the mean loss in nats per token of texts, without first tokens.

    Unlike `compute_perplexity` it leaves out end tokens, because not every server accepts them in a
    text.
    """
    with ThreadPoolExecutor(endpoint.at_once) as pool:
        scored = list(pool.map(lambda text: endpoint.score([text])[0], texts))
    numbers = [number for text in scored for number in text.known]
    return math.exp(-sum(numbers) / len(numbers))
