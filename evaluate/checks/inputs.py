"""Faults of a plan or a cell that can be found without PyTorch, which takes seconds to load."""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute creates its functions when it is imported)

from pathlib import Path

import pyarrow.compute as pc

from elusive.augment.training_text import TrainingTextFolder
from elusive.biogen.compiled_config import compile_config
from elusive.biogen.config import BiogenConfig
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.errors import InputError
from elusive.common.folders import check_no_other_files
from elusive.common.lm.references import (
    check_model_exists,
    find_model,
    find_weight_files,
    hash_adapter,
)
from elusive.evaluate.answering.prompts import split_shots
from elusive.evaluate.cells.cell import build_no_questions_error
from elusive.evaluate.config import AnsweringConfig, CellSettings
from elusive.evaluate.plans import Plan, Source


def check_plan_inputs(plan: Plan) -> None:
    """Raise InputError if a dataset or a model that every cell needs is missing or wrong."""
    for source in plan.sources.values():
        _check_source(source, plan.answering)
    if plan.known:
        _check_source(plan.known)
    for model in plan.trained:
        check_model_exists(model)


def check_cell_inputs(
    dataset: Path,
    train: Path | None,
    model: str,
    settings: CellSettings,
    out: Path,
    known: Path | None = None,
    adapter: Path | None = None,
) -> None:
    """Raise InputError if a folder or the model of a cell is missing or wrong."""
    if train and adapter:
        raise InputError(
            "train and adapter cannot be combined: give a text to train on or a finished adapter"
        )
    check_no_other_files(out)
    _check_source(dataset, settings.answering)
    if known:
        DatasetFolder(known)
    if train:
        TrainingTextFolder(train)
    if adapter:
        hash_adapter(adapter)
    if train or not settings.answering.endpoint:
        find_weight_files(find_model(model))


def _check_source(source: Source, answering: AnsweringConfig | None = None) -> None:
    """Raise InputError unless a dataset is there or can be generated, with what is asked of it."""
    if isinstance(source, BiogenConfig):
        compile_config(source)
        return
    folder = DatasetFolder(source)
    if not answering:
        return
    split_shots(folder.shots, answering.num_shots, seed=0)
    if answering.split != "all" and not any(
        pc.any(pc.equal(batch.column("split"), answering.split)).as_py()
        for batch in folder.iterate_questions()
    ):
        raise build_no_questions_error(answering.split)
