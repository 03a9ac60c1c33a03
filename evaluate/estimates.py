"""What a plan would run, and about what it would cost, before anything is made."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from accelerate import init_empty_weights
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from elusive.biogen.biographies import biographies
from elusive.biogen.config import BiogenConfig
from elusive.biogen.questions import questions
from elusive.common.dataset import load_dataset_folder
from elusive.common.errors import InputError
from elusive.common.models import find_model, tokenizer_of, usual_dtype
from elusive.common.records import Document, Question
from elusive.evaluate.cell import CellResult, num_steps
from elusive.evaluate.config import UNTRAINED, Plan
from elusive.evaluate.power import design_line
from elusive.evaluate.table import find_cells

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
    people: int


def render_estimate(plan: Plan, out: Path) -> str:
    """The cells of a plan, what is finished of them, and what the others would cost.

    Raises:
        InputError: the dataset or the model is wrong.
    """
    documents, asked = _content(plan)
    size = _size(plan, documents, asked)
    finished = _finished(out)
    training, answering, source = _rates(plan, size, finished)
    lines = []
    left = 0.0
    arms = [*([None] if plan.untrained else []), *plan.arms]
    for seed in plan.seeds:
        for arm in arms:
            label = arm.name if arm else UNTRAINED
            texts = size.texts * (1 + arm.copies) if arm else 0
            steps = num_steps(texts, plan.training) if arm else 0
            tokens = texts * plan.training.epochs * size.tokens_per_text
            seconds = tokens * training + size.questions * answering
            done = any(
                cell.parameters["label"] == label and cell.parameters["seed"] == seed
                for cell in finished
            )
            left += 0 if done else seconds
            state = "there" if done else f"about {_duration(seconds)}"
            lines.append(f"{label}-seed{seed}: {steps} steps, {tokens:,.0f} tokens, {state}")
    per_person = max(1, round(size.questions / max(1, size.people)))
    missing = sum("about" in line for line in lines)
    lines.append(f"{len(lines)} cells, {missing} to run: about {_duration(left)} ({source})")
    lines.append(f"memory: about {_memory_gib(plan, size, finished):.1f} GiB a process")
    lines.append("design: " + design_line(size.people, per_person, len(arms), len(plan.seeds)))
    return "\n".join(lines) + "\n"


def _content(plan: Plan) -> tuple[list[Document], list[Question]]:
    """Documents to train on and questions to ask."""
    if isinstance(plan.dataset, BiogenConfig):
        documents, found = list(biographies(plan.dataset)), list(questions(plan.dataset))
    else:
        folder = load_dataset_folder(plan.dataset)
        documents, found = folder.documents, folder.questions
    split = plan.answering.split
    asked = [each for each in found if split in ("all", each.split)][: plan.answering.limit]
    if not asked:
        raise InputError(f"the dataset has no {split} questions: choose --split all or add people")
    return [each for each in documents if each.split == "train"], asked


def _size(plan: Plan, documents: list[Document], asked: list[Question]) -> Size:
    """How much there is to read and to answer."""
    tokenizer = tokenizer_of(plan.model)
    sample = documents[:SAMPLED_TEXTS]
    lengths = [len(tokenizer(document.text)["input_ids"]) + 1 for document in sample]
    mean = sum(lengths) / max(1, len(lengths))
    people = len({question.entity for question in asked})
    return Size(len(documents), mean, len(asked), people)


def _finished(out: Path) -> list[CellResult]:
    """The finished cells of a run."""
    try:
        return find_cells(out)
    except InputError:
        return []


def _rates(plan: Plan, size: Size, finished: list[CellResult]) -> tuple[float, float, str]:
    """Seconds per trained token and per answered question, and how that is known."""
    trained = [cell for cell in finished if cell.log]
    if trained:
        training = median(
            c.costs["seconds"]["training"] / c.costs["training_tokens"] for c in trained
        )
        answering = median(c.costs["seconds"]["answering"] / c.costs["questions"] for c in trained)
        return training, answering, f"from {len(trained)} finished cells"
    parameters = _empty_model(plan.model).num_parameters()
    flops = EFFICIENCY * _matrix_product_flops(usual_dtype(plan.model))
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


def _memory_gib(plan: Plan, size: Size, finished: list[CellResult]) -> float:
    """Peak memory of a process: as measured, or weights, optimizer, activations and libraries."""
    measured = [max(cell.costs["peak_memory_mib"].values()) for cell in finished if cell.log]
    if measured:
        return max(measured) / 1024
    parameters = _empty_model(plan.model).num_parameters()
    training = plan.training
    width = {"none": usual_dtype(plan.model).itemsize, "8bit": 1, "4bit": 0.6}[
        training.quantization
    ]
    weights = parameters * (16 if training.tuning == "full" else width)
    settings = _settings(plan.model)
    tokens = size.tokens_per_text * training.batch_size / training.accumulation
    layers = 1 if training.gradient_checkpointing else settings.num_hidden_layers
    activations = tokens * layers * settings.hidden_size * ACTIVATIONS
    return (weights + activations) / 2**30 + 0.6


def _duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
