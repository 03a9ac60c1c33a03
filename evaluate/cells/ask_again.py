"""Compute a cell's answers again, from the parameters that its folder or its entry states."""

import random
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from elusive.augment.arms import OPEN_BOOK
from elusive.augment.training_text import TrainingTextFolder
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.dataset.records import Prediction, Question
from elusive.common.errors import InputError
from elusive.common.lm.adapters import open_adapted_model
from elusive.common.lm.loading import LoadedModel, describe_device, load_model, use_threads
from elusive.common.lm.references import (
    choose_threads,
    hash_adapter,
    hash_model_weights,
    hash_settings,
)
from elusive.evaluate.answering.backends import ask_open_book, build_local_backend
from elusive.evaluate.answering.distractors import choose_distractors
from elusive.evaluate.answering.predictions import group_by_topic
from elusive.evaluate.answering.prompt_format import PromptFormat
from elusive.evaluate.answering.prompts import split_shots
from elusive.evaluate.cells.cell import Cell, select_questions
from elusive.evaluate.cells.cell_folder import load_cell
from elusive.evaluate.cells.make_cell import make_cell
from elusive.evaluate.config import AnsweringConfig, CellSettings, TrainingConfig


@dataclass(frozen=True)
class Again:
    """What a cell is computed again with."""

    dataset: DatasetFolder
    model: str
    """Reference of the model, whose weights must be the cell's."""
    adapter: Path | None = None
    """The trained adapter."""
    train: Path | None = None
    """The training text, to train again where there is no adapter."""


def answer_again(
    parameters: dict[str, Any],
    again: Again,
    num_questions: int,
    seed: int,
    on_progress: Callable[[int], object] = lambda count: None,
) -> tuple[list[Prediction], str]:
    """Answer a sample of a cell's questions again; where the cell is trained again, all of them.

    Args:
        parameters: of the cell.
        again: what it is computed with.
        num_questions: size of the sample.
        seed: of the sample.
        on_progress: called with the number of questions answered, or with 1 per training step.

    Returns:
        The answers, and the device that computed them.

    Raises:
        InputError: dataset, model, adapter or text are not those of the cell, or one is missing.
    """
    _check(parameters, again)
    training = parameters["training"]
    loaded = load_cell_model(parameters, again.model)
    device = describe_device(loaded.model.device)
    if training and not again.adapter:
        return _train_again(parameters, again, loaded, lambda: on_progress(1)), device
    answering = read_answering(parameters)
    questions = _sample_questions(again.dataset, answering, loaded, num_questions, seed)
    shots, _ = split_shots(again.dataset.shots, answering.num_shots, parameters["seed"])
    facts, answers = again.dataset.match_facts(), []
    distractors = choose_distractors(select_questions(again.dataset, answering))
    is_open_book = parameters.get("control") == OPEN_BOOK
    threads = parameters.get("threads") or choose_threads(again.model)
    adapted = open_adapted_model(loaded, again.adapter) if again.adapter else None
    with use_threads(threads), adapted or nullcontext(loaded.model) as model:
        backend = build_local_backend(model, loaded, answering)
        for members in group_by_topic(questions).values():
            if is_open_book:
                documents = again.dataset.documents
                answers += ask_open_book(backend, members, shots, facts, distractors, documents)
            else:
                answers += backend.ask(members, shots, facts, distractors)
            on_progress(len(members))
    return answers, device


def load_cell_model(parameters: dict[str, Any], reference: str) -> LoadedModel:
    """Load a model in the precision in which a cell used it."""
    quantization = (parameters["training"] or parameters).get("quantization") or "none"
    precision = parameters.get("precision")
    return load_model(reference, getattr(torch, precision) if precision else None, quantization)


def read_answering(parameters: dict[str, Any]) -> AnsweringConfig:
    """Read how a cell's questions were asked, for a model of this process."""
    known = AnsweringConfig.model_fields
    settings = {name: value for name, value in parameters["answering"].items() if name in known}
    return AnsweringConfig.model_validate(settings | {"served": None, "endpoint": None})


def _check(parameters: dict[str, Any], again: Again) -> None:
    """Raise InputError unless everything is what the cell was made with."""
    given = {
        "dataset": again.dataset.content_hash,
        "weights": hash_model_weights(again.model),
        "settings": hash_settings(again.model) or None,
        "adapter": hash_adapter(again.adapter) if again.adapter else None,
        "train": TrainingTextFolder(again.train).content_hash if again.train else None,
    }
    options = {"weights": "model", "settings": "model"}
    for name, value in given.items():
        wanted = parameters.get(name)
        if value and wanted and value != wanted:
            raise InputError(
                f"--{options.get(name, name)}: has {name} {value[:12]}, the entry {wanted[:12]}: "
                f"name the {options.get(name, name)} that the cell was made with"
            )
    if parameters.get("adapter") and not again.adapter:
        raise InputError("the cell scored a finished adapter: name it with --adapter DIR")
    training = parameters["training"]
    if training is None:
        if again.train or (again.adapter and not parameters.get("adapter")):
            raise InputError("the cell was not trained: leave out --adapter and --train")
    elif training.get("tuning") == "full" and not again.train:
        raise InputError("the cell trained all weights: train it again with --train TEXT")
    elif not (again.adapter or again.train):
        raise InputError(
            "the cell was trained: name its adapter with --adapter DIR, or its training text with "
            "--train DIR to train it again"
        )


def _sample_questions(
    dataset: DatasetFolder,
    answering: AnsweringConfig,
    loaded: LoadedModel,
    num_questions: int,
    seed: int,
) -> list[Question]:
    """Sample questions, and add the longest gold answer of each topic in the sample.

    It decides how many tokens an answer to its topic may have.
    """
    questions = select_questions(dataset, answering)
    prompts = PromptFormat(loaded.tokenizer, answering.chat_template)

    def count_tokens(question: Question) -> int:
        return max(map(prompts.count_answer_tokens, question.answers))

    chosen = random.Random(seed).sample(questions, min(num_questions, len(questions)))
    ids = {question.question_id for question in chosen}
    for members in group_by_topic(questions).values():
        if any(question.question_id in ids for question in members):
            ids.add(max(members, key=count_tokens).question_id)
    return [question for question in questions if question.question_id in ids]


def _train_again(
    parameters: dict[str, Any], again: Again, loaded: LoadedModel, on_step: Callable[[], object]
) -> list[Prediction]:
    """Make the whole cell again in a temporary folder."""
    assert again.train
    settings = CellSettings(
        training=TrainingConfig.model_validate(
            parameters["training"] | {"reference": parameters.get("reference_model")}
        ),
        answering=read_answering(parameters),
        threads=parameters.get("threads"),
    )
    text = TrainingTextFolder(again.train)
    cell = Cell(parameters["label"], text, again.model, parameters["seed"], settings)
    with tempfile.TemporaryDirectory(prefix="elusive-again-") as folder:
        out = Path(folder) / "cell"
        make_cell(cell, again.dataset, loaded, out, on_step)
        return load_cell(out).predictions
