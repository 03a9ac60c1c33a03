"""What a plan would run, and about what it would cost, before anything is made."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from accelerate import init_empty_weights
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.biogen.questions import generate_questions
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.dataset.records import Document, Question
from elusive.common.errors import InputError
from elusive.common.lm.loading import choose_model_dtype, load_model_tokenizer
from elusive.common.lm.references import find_model
from elusive.evaluate.cells.cell import count_steps
from elusive.evaluate.cells.cell_folder import CellResult, find_cells
from elusive.evaluate.compare.power import render_design
from elusive.evaluate.jobs import Job, list_jobs
from elusive.evaluate.plans import Plan, Source

SAMPLED_TEXTS = 50
TOKENS_PER_QUESTION = 40
"""Prompt and answer, after the shots' cache."""
EFFICIENCY = 0.25
"""Share of a matrix product's speed that training reaches, roughly."""
ACTIVATIONS = 40
"""Bytes kept per token, layer and unit of width in training, roughly."""


@dataclass(frozen=True)
class Size:
    """A plan in numbers."""

    texts: int
    tokens_per_text: float
    questions: int


def render_estimate(plan: Plan, out: Path) -> str:
    """The cells of a plan, what is finished of them, and what the others would cost.

    Raises:
        InputError: a dataset or a model is wrong.
    """
    finished = _finished(out)
    contents = {name: _content(plan, source) for name, source in plan.sources.items()}
    lines, left, missing, once = [], 0.0, 0, 0.0
    memory: list[float] = []
    for model in plan.trained:
        of_model = [cell for cell in finished if cell.parameters["model"] == model]
        sizes = {name: _size(plan, model, *content) for name, content in contents.items()}
        training, answering, source = _rates(plan, model, of_model)
        memory += [_memory_gib(plan, model, size, of_model) for size in sizes.values()]
        for job in (job for job in list_jobs(plan) if job.model == model):
            tokens, steps = _work(job, sizes[job.dataset])
            seconds = tokens * training + sizes[job.dataset].questions * answering
            done = _is_there(job, of_model)
            left, missing = left + (0 if done else seconds), missing + (not done)
            once += seconds if job.arm and job.seed == plan.seeds[0] else 0
            state = "there" if done else f"about {_duration(seconds)}"
            lines.append(f"{job.name}: {steps} steps, up to {tokens:,.0f} tokens, {state}")
    lines.append(f"{len(lines)} cells, {missing} to run: about {_duration(left)} ({source})")
    if plan.sweep:
        trials = plan.sweep.trials
        lines.append(
            f"before them, up to {trials} trials for each arm: about {_duration(trials * once)}, "
            "if their settings take as long as the plan's"
        )
    lines.append(f"memory: about {max(memory):.1f} GiB a process")
    lines += [_design(plan, name, *content) for name, content in contents.items()]
    return "\n".join(lines) + "\n"


def _work(job: Job, size: Size) -> tuple[float, int]:
    """Tokens that a cell trains on, and its optimizer steps."""
    if job.arm is None:
        return 0.0, 0
    texts = size.texts * (1 + job.arm.copies)
    training = job.settings.training
    return texts * training.epochs * size.tokens_per_text, count_steps(texts, training)


def _is_there(job: Job, finished: list[CellResult]) -> bool:
    """Whether a cell of this name, seed and dataset is finished."""
    wanted = (job.label, job.seed, job.dataset)
    names = ("label", "seed", "dataset_name")
    return any(tuple(cell.parameters.get(n) for n in names) == wanted for cell in finished)


def _design(plan: Plan, name: str, documents: list[Document], asked: list[Question]) -> str:
    """What the design can show on one dataset."""
    people = len({question.entity for question in asked})
    arms = len(plan.arms) + plan.untrained
    line = render_design(people, max(1, round(len(asked) / people)), arms, len(plan.seeds))
    return f"design: {line}" if len(plan.sources) == 1 else f"design, {name}: {line}"


def _content(plan: Plan, source: Source) -> tuple[list[Document], list[Question]]:
    """Documents to train on and questions to ask."""
    if isinstance(source, BiogenConfig):
        documents, found = list(generate_biographies(source)), list(generate_questions(source))
    else:
        folder = load_dataset_folder(source)
        documents, found = folder.documents, folder.questions
    split = plan.answering.split
    asked = [each for each in found if split in ("all", each.split)][: plan.answering.limit]
    if not asked:
        raise InputError(f"the dataset has no {split} questions: choose --split all or add people")
    return [each for each in documents if each.split == "train"], asked


def _size(plan: Plan, model: str, documents: list[Document], asked: list[Question]) -> Size:
    """How much there is to read and to answer."""
    tokenizer = load_model_tokenizer(model)
    sample = documents[:SAMPLED_TEXTS]
    lengths = [len(tokenizer(document.text)["input_ids"]) + 1 for document in sample]
    return Size(len(documents), sum(lengths) / max(1, len(lengths)), len(asked))


def _finished(out: Path) -> list[CellResult]:
    """The finished cells of a run."""
    try:
        return find_cells(out)
    except InputError:
        return []


def _rates(plan: Plan, model: str, finished: list[CellResult]) -> tuple[float, float, str]:
    """Seconds per trained token and per answered question, and how that is known."""
    trained = [cell for cell in finished if cell.log]
    if trained:
        training = median(
            c.costs["seconds"]["training"] / c.costs["training_tokens"] for c in trained
        )
        answering = median(c.costs["seconds"]["answering"] / c.costs["questions"] for c in trained)
        return training, answering, f"from {len(trained)} finished cells"
    parameters = _empty_model(model).num_parameters()
    flops = EFFICIENCY * _matrix_product_flops(choose_model_dtype(model))
    per_token = 2 * parameters / flops
    # Forward, and backward by the activations alone where the base is frozen.
    passes = 3 if plan.training.tuning == "full" else 2
    source = f"from {parameters / 1e6:,.1f} million parameters and this machine's speed; rough"
    return passes * per_token, TOKENS_PER_QUESTION * per_token, source


def _settings(reference: str) -> PreTrainedConfig:
    """A model's settings."""
    source = find_model(reference)
    options = {"gguf_file": source.gguf_file} if source.gguf_file else {}
    return AutoConfig.from_pretrained(source.folder, **options)


def _empty_model(reference: str) -> PreTrainedModel:
    """A model without its weights."""
    with init_empty_weights():
        model = AutoModelForCausalLM.from_config(_settings(reference))
    model.tie_weights()
    return model


def _matrix_product_flops(dtype: torch.dtype) -> float:
    """Operations per second of matrix products on this machine."""
    size, rounds = 1024, 8
    matrix = torch.randn(size, size).to(dtype)
    _ = matrix @ matrix
    start = perf_counter()
    for _ in range(rounds):
        _ = matrix @ matrix
    return rounds * 2 * size**3 / (perf_counter() - start)


def _memory_gib(plan: Plan, model: str, size: Size, finished: list[CellResult]) -> float:
    """Peak memory of a process: as measured, or weights, optimizer, activations and libraries."""
    measured = [max(cell.costs["peak_memory_mib"].values()) for cell in finished if cell.log]
    if measured:
        return max(measured) / 1024
    parameters = _empty_model(model).num_parameters()
    training = plan.training
    width = {"none": choose_model_dtype(model).itemsize, "8bit": 1, "4bit": 0.6}[
        training.quantization
    ]
    weights = parameters * (16 if training.tuning == "full" else width)
    settings = _settings(model)
    tokens = size.tokens_per_text * training.batch_size / training.accumulation
    layers = 1 if training.gradient_checkpointing else settings.num_hidden_layers
    activations = tokens * layers * settings.hidden_size * ACTIVATIONS
    return (weights + activations) / 2**30 + 0.6


def _duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
