"""Find how a model reads questions together, so that each is answered as it is alone."""

from dataclasses import replace
from functools import partial

import torch

from elusive.common.dataset.records import Question, Shot
from elusive.common.errors import InputError
from elusive.common.lm.loaded_model import LoadedModel
from elusive.common.probe.finding import Finding, Way, choose_tolerance, find_way, keep_finding
from elusive.common.probe.texts import choose_probe_length, find_untested_window, read_logits
from elusive.evaluate.answering.batches import (
    ALONE,
    EQUAL_LENGTHS,
    SHARED_PREFIX,
    UNCACHED,
    WHOLE_PROMPTS,
    Batching,
    Prefix,
    PromptedModel,
    PromptedQuestion,
    build_batches,
)
from elusive.evaluate.answering.decoding import answer_and_score
from elusive.evaluate.answering.prompt_format import PromptFormat

WAYS = (SHARED_PREFIX, EQUAL_LENGTHS, WHOLE_PROMPTS, ALONE, UNCACHED)
SHOT_TOKENS = 10
"""Fewest tokens of a shot."""
FIRST_NAMES = ("Ada", "Grace", "Edsger", "Barbara", "Donald", "Frances", "John", "Radia")
QUESTIONS = (
    ("Where was Nadia Ferrell born?", "Porto"),
    ("Where, as far as is known, was the accountant Tomas Albrecht Weiss born?", "Hill-Irwin Ltd."),
    ("And Li?", "New South Wales"),
)


def find_batching(loaded: LoadedModel) -> Batching:
    """Find how a model reads questions together.

    Raises:
        InputError: the model generates other tokens than it predicts, however it is asked.
    """
    finding = keep_finding(loaded, "batching", lambda: probe_batching(loaded))
    if finding.way is None:
        raise InputError(
            f"model {loaded.source.reference!r} (architecture {loaded.model.config.model_type!r}) "
            f"cannot answer questions ({finding.describe_failures()}): choose another model"
        )
    batching = next(way for way in WAYS if way.name == finding.way)
    return replace(batching, longest=find_untested_window(loaded.model))


def probe_batching(loaded: LoadedModel) -> Finding:
    """Probe which ways to read questions together give the answers that each gets alone."""
    ways = [Way(way.name, partial(measure_batching, loaded, way)) for way in WAYS]
    return find_way(ways, choose_tolerance(loaded))


def measure_batching(loaded: LoadedModel, batching: Batching) -> float:
    """Measure how far answers and gold answers' log-probabilities are from plain reading.

    Returns:
        The larger of two differences, in standard deviations of the logits: between mean
        log-probabilities, and between the logit of an answer's token and the highest at its place.
    """
    num_shots = 2 + choose_probe_length(loaded.model) // SHOT_TOKENS
    shots = [
        Shot(f"{name} {number}", "birthplace", f"Where was {name} {number} born?", "Oslo")
        for number in range(num_shots)
        for name in [FIRST_NAMES[number % len(FIRST_NAMES)]]
    ]
    questions = [
        Question(str(number), "", "", "birthplace", question, [answer], "test")
        for number, (question, answer) in enumerate(QUESTIONS)
    ]
    prompted = PromptedModel(loaded.model, loaded.tokenizer, PromptFormat(loaded.tokenizer), shots)
    return max(
        _compare_with_plain(prompted, question, prefix, answer, log_probability)
        for batch, prefix in build_batches(prompted, questions, len(questions), batching)
        for question, answer, log_probability in zip(
            batch, *answer_and_score(prompted, batch, prefix), strict=True
        )
    )


def _compare_with_plain(
    prompted: PromptedModel,
    question: PromptedQuestion,
    prefix: Prefix,
    answer: list[int],
    log_probability: float,
) -> float:
    """Compare one answer and the log-probability of its gold answer with plain reading."""
    prompt = prefix.input_ids[0].tolist() + question.input_ids
    logits = _read_continuation(prompted, prompt, question.gold)
    chosen = logits.log_softmax(-1).gather(-1, torch.tensor(question.gold)[:, None])
    spread = float(logits.std(-1).mean())
    answer = prompted.cut_after_end(answer)
    predicted = _read_continuation(prompted, prompt, answer)
    taken = predicted.gather(-1, torch.tensor(answer)[:, None])[:, 0]
    gap = float((predicted.max(-1).values - taken).max())
    return max(abs(float(chosen.mean()) - log_probability), gap) / spread


def _read_continuation(
    prompted: PromptedModel, prompt: list[int], continuation: list[int]
) -> torch.Tensor:
    """Read plainly what is predicted at each token of a continuation.  # (token, vocabulary)."""
    ids = [*prompt, *continuation]
    return read_logits(prompted.model, ids)[len(prompt) - 1 : -1].cpu()
