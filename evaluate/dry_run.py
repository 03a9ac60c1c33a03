"""Estimate what a plan would run and cost, before anything is made."""

import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, median
from time import perf_counter

import torch
from transformers import PreTrainedTokenizerBase

from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.biogen.questions import generate_questions, generate_shots
from elusive.common.dataset.folder import TRAIN, load_dataset_folder
from elusive.common.dataset.records import Document, Question
from elusive.common.errors import InputError
from elusive.common.large.sizes import build_empty_model, load_tokenizer_alone
from elusive.common.lm.loading import choose_model_dtype
from elusive.common.lm.packing import build_text_sequence
from elusive.evaluate.cells.cell import count_steps, select_asked
from elusive.evaluate.cells.cell_folder import CellResult, list_sound_cells
from elusive.evaluate.checks.plan import check_arms, check_questions, check_run_folder
from elusive.evaluate.compare.power import count_questions, render_design
from elusive.evaluate.jobs import Job, count_trials, list_jobs
from elusive.evaluate.model_memory import (
    TOKENS_PER_QUESTION,
    estimate_least_memory_gib,
    estimate_training,
    render_memory,
)
from elusive.evaluate.plans import Plan, Source
from elusive.evaluate.status import format_seconds
from elusive.evaluate.sweep_config import SWEEP_FOLDER, SweepConfig

SAMPLED_TEXTS, LONGEST_TEXTS = 50, 16
"""Numbers of texts that are tokenized to estimate their mean length, and that of a long batch."""
CHARACTERS_PER_TOKEN = 4
"""Of English under usual tokenizers, where a model's own cannot be had."""
EFFICIENCY = 0.25
"""Speed of training as a share of the speed of matrix products, roughly."""


@dataclass(frozen=True)
class Size:
    """Size of a dataset in the tokens of a model."""

    texts: int
    tokens_per_text: float
    longest: float
    """Mean tokens of the longest texts, which may meet in a batch."""
    questions: int


@dataclass(frozen=True)
class Speed:
    """Seconds of training and answering with a model."""

    per_token: float
    per_question: float
    source: str
    """How the seconds are known."""


@dataclass
class Estimate:
    """What the cells of a model would cost."""

    source: str
    """How its speed is known."""
    memory_gib: float
    longest: float
    """As in `Size`, of the dataset with the longest texts."""
    lines: list[str] = field(default_factory=list)
    """One for each cell."""
    seconds_left: float = 0.0
    num_missing: int = 0
    trial_seconds: float = 0.0
    """Of one trial of each arm on each dataset."""


Content = tuple[list[Document], list[Question]]
"""Documents to train on, and questions to ask."""


def render_estimate(
    plan: Plan, out: Path, check: Callable[[Plan, Path], None] = lambda plan, out: None
) -> str:
    """Render the cells of a plan, which of them are finished, and what the others would cost.

    Args:
        plan: what would run.
        out: folder of the run.
        check: raises InputError if what would make the cells lacks what the plan needs.

    Raises:
        InputError: the plan cannot run: a dataset, a model, a setting or the folder is wrong.
    """
    check(plan, out)
    check_run_folder(plan, out)
    check_arms(plan)
    finished = list_sound_cells(out)
    contents = {name: load_content(plan, name, source) for name, source in plan.sources.items()}
    estimates = [_estimate_model(plan, model, contents, finished) for model in plan.trained]
    lines = [*itertools.chain.from_iterable(estimate.lines for estimate in estimates)]
    time_left = format_seconds(sum(estimate.seconds_left for estimate in estimates))
    lines.append(
        f"{len(lines)} cells, {sum(estimate.num_missing for estimate in estimates)} to run: about "
        f"{time_left}, one after another ({estimates[-1].source})"
    )
    if plan.sweep:
        arms = {(job.label, job.dataset, job.model) for job in list_jobs(plan) if job.arm}
        made = [_get_arm(cell) for cell in list_sound_cells(out / SWEEP_FOLDER)]
        seconds = sum(estimate.trial_seconds for estimate in estimates)
        lines.append(_render_sweep(plan, plan.sweep, seconds, sum(arm in arms for arm in made)))
    memory = max(estimate.memory_gib for estimate in estimates)
    lines.append(f"memory: about {memory:.1f} GiB per process")
    lines += render_memory(plan, max(estimate.longest for estimate in estimates))
    lines += [_render_design(plan, name, questions) for name, (_, questions) in contents.items()]
    return "\n".join(lines) + "\n"


def _estimate_model(
    plan: Plan, model: str, contents: dict[str, Content], all_finished: list[CellResult]
) -> Estimate:
    """Measure the datasets in a model's tokens, and its speed; add up its cells."""
    finished = [cell for cell in all_finished if cell.parameters["model"] == model]
    sizes = {name: measure_size(model, *content) for name, content in contents.items()}
    speed = _estimate_speed(plan, model, finished)
    memory = max(_estimate_memory_gib(plan, model, size, finished) for size in sizes.values())
    longest = max(size.longest for size in sizes.values())
    estimate = Estimate(speed.source, memory, longest)
    for job in (take_longest(job, plan) for job in list_jobs(plan) if job.model == model):
        tokens, steps = count_work(job, sizes[job.dataset])
        answering = sizes[job.dataset].questions * speed.per_question
        seconds = tokens * speed.per_token + answering
        state = "finished"
        if not job.find_among(finished, is_swept=bool(plan.sweep and job.arm)):
            state = f"about {format_seconds(seconds)}"
            estimate.seconds_left += seconds
            estimate.num_missing += 1
        if job.arm and job.seed == plan.seeds[0]:
            estimate.trial_seconds += seconds
        estimate.lines.append(f"{job.name}: {steps} steps, up to {tokens:,.0f} tokens, {state}")
    return estimate


def _get_arm(cell: CellResult) -> tuple[str, str, str]:
    return tuple(cell.parameters[name] for name in ("label", "dataset_name", "model"))


def _render_sweep(plan: Plan, sweep: SweepConfig, seconds: float, finished: int) -> str:
    """Say what trials a sweep makes first, given the seconds of one of each arm."""
    total = count_trials(plan)
    # Trials of settings that the plan no longer tries may be among the finished ones.
    missing = max(0.0, 1 - finished / total) if total else 0.0
    left = format_seconds(missing * seconds * sweep.num_trials * len(sweep.seeds))
    state = f"{finished} of {total} are finished, the others " if finished else ""
    return (
        f"before them, {sweep.num_trials} trials x {len(sweep.seeds)} seeds for each arm: "
        f"{state}up to about {left}"
    )


def count_work(job: Job, size: Size) -> tuple[float, int]:
    """Count the tokens and the optimizer steps of a cell's training."""
    if job.arm is None:
        return 0.0, 0
    texts = size.texts * (1 + job.arm.copies)
    training = job.settings.training
    return texts * training.epochs * size.tokens_per_text, count_steps(texts, training)


def take_longest(job: Job, plan: Plan) -> Job:
    """Return a cell with the largest number of epochs that the plan's sweep may choose for it."""
    if job.arm is None or plan.sweep is None or not plan.sweep.epochs:
        return job
    training = job.settings.training.model_copy(update={"epochs": max(plan.sweep.epochs)})
    return replace(job, settings=job.settings.model_copy(update={"training": training}))


def _render_design(plan: Plan, name: str, questions: list[Question]) -> str:
    counts = count_questions(question.entity for question in questions)
    arms = len(plan.arms) + len(plan.list_controls())
    source = plan.sources[name]
    is_generated = isinstance(source, BiogenConfig)
    entities = "people" if is_generated else load_dataset_folder(source).entities
    line = render_design(counts, arms, len(plan.seeds), entities)
    return f"design: {line}" if len(plan.sources) == 1 else f"design, {name}: {line}"


def load_content(plan: Plan, name: str, source: Source) -> Content:
    """Load or generate the documents to train on and the questions to ask."""
    if isinstance(source, BiogenConfig):
        documents, questions = list(generate_biographies(source)), list(generate_questions(source))
        shots = list(generate_shots(source))
    else:
        folder = load_dataset_folder(source)
        documents, questions, shots = folder.documents, folder.questions, folder.shots
    check_questions(plan, name, questions, shots)
    trained_on = [document for document in documents if document.split == TRAIN]
    if not trained_on:
        raise InputError("the dataset has no documents of the split train to train on")
    return trained_on, select_asked(questions, plan.answering)


def measure_size(model: str, documents: list[Document], questions: list[Question]) -> Size:
    """Measure a dataset in a model's tokens, from texts throughout and from the longest ones."""
    tokenizer = load_tokenizer_alone(model)
    texts = [document.text for document in documents]
    sampled = texts[:: math.ceil(len(texts) / SAMPLED_TEXTS)]
    longest = heapq.nlargest(LONGEST_TEXTS, texts, len)
    means = (_measure_length(group, tokenizer) for group in (sampled, longest))
    return Size(len(texts), *means, questions=len(questions))


def _measure_length(texts: list[str], tokenizer: PreTrainedTokenizerBase | None) -> float:
    """Measure the mean tokens of texts."""
    if tokenizer is None:
        return fmean(len(text) / CHARACTERS_PER_TOKEN for text in texts)
    return fmean(len(build_text_sequence(text, tokenizer).input_ids) for text in texts)


def _estimate_speed(plan: Plan, model: str, finished: list[CellResult]) -> Speed:
    """Take the speed from finished cells, or else from the model's size and this machine."""
    costs = [cell.costs for cell in finished if cell.log]
    if costs:
        return Speed(
            median(cost["seconds"]["training"] / cost["training_tokens"] for cost in costs),
            median(cost["seconds"]["answering"] / cost["questions"] for cost in costs),
            f"from {len(costs)} finished cells",
        )
    parameters = build_empty_model(model).model.num_parameters()
    flops = EFFICIENCY * _measure_flops(choose_model_dtype(model))
    per_token = 2 * parameters / flops
    # Forward, and backward through the activations; if all weights are trained, to them as well.
    passes = 3 if plan.training.tuning == "full" else 2
    source = f"from {parameters / 1e6:,.1f} million parameters and this machine's speed; rough"
    return Speed(passes * per_token, TOKENS_PER_QUESTION * per_token, source)


def _measure_flops(dtype: torch.dtype) -> float:
    size, rounds = 1024, 8
    matrix = torch.randn(size, size).to(dtype)
    _ = matrix @ matrix
    start = perf_counter()
    for _ in range(rounds):
        _ = matrix @ matrix
    return rounds * 2 * size**3 / (perf_counter() - start)


def _estimate_memory_gib(plan: Plan, model: str, size: Size, finished: list[CellResult]) -> float:
    """Take the peak memory from finished cells, or else add weights, activations, libraries."""
    measured = [max(cell.costs["peak_memory_mib"].values()) for cell in finished if cell.log]
    if measured:
        return max(measured) / 1024
    need = estimate_training(model, plan.training, plan.answering, size.longest)
    return estimate_least_memory_gib(plan, model) + need.activations
