"""Training, answering and scoring one cell."""

import shutil
from pathlib import Path
from typing import Any

from peft import PeftModel

from elusive.augment.augment import AugmentSummary, read_summary
from elusive.common.dataset.folder import LIMIT_MARK, DatasetFolder
from elusive.common.dataset.records import Prediction, Question, Shot
from elusive.common.errors import InputError
from elusive.common.folders import already_made, checked_manifest, new_folder, parameters_hash
from elusive.common.lm.loading import LoadedModel, fixed_threads
from elusive.common.lm.references import default_threads, reference_hash
from elusive.common.memory import Cost, measured
from elusive.evaluate.answering.backends import (
    Backend,
    endpoint_backend,
    endpoint_of,
    local_backend,
)
from elusive.evaluate.answering.endpoint import check_adapter_acts, loaded_adapter, served_model
from elusive.evaluate.answering.local import Model, check_training_acts
from elusive.evaluate.answering.prompts import few_shot_prefix, question_text, split_shots, topic
from elusive.evaluate.cells.adapter_card import write_adapter_card
from elusive.evaluate.cells.cell import (
    KNOWN_QUESTIONS,
    Cell,
    asked_questions,
    cell_parameters,
    write_checksums,
)
from elusive.evaluate.cells.results import Outcome, write_results
from elusive.evaluate.config import RunSettings
from elusive.evaluate.training.rows import acting, training_rows
from elusive.evaluate.training.train import LOGS, OnStep, quiet_adapters, train, tuned_model


def run_cell(
    cell: Cell,
    dataset: DatasetFolder,
    loaded: LoadedModel | None,
    out: Path,
    on_step: OnStep = lambda: None,
) -> bool:
    """Train, answer, score, and write the cell's folder; False if it holds this cell already.

    The loaded model is None where an endpoint answers and nothing is trained.

    Raises:
        InputError: `out` holds other files, or the inputs do not fit together.
    """
    if cell.train:
        check_origin(cell.train, dataset)
    parameters = parameters_of(cell, dataset, loaded.weights_hash if loaded else None)
    if already_made(out, "cell", parameters):
        return False
    checkpoints = out.with_name(f".{out.name}.checkpoints")
    with new_folder(out, "cell", parameters) as folder:
        if loaded is None:
            outcome = _answered_by_endpoint(cell, dataset, cell.adapter)
        else:
            threads = cell.settings.threads or default_threads(cell.model)
            with fixed_threads(threads):
                if cell.train is None:
                    outcome = _scored(cell, dataset, loaded)
                else:
                    outcome = _trained(
                        cell, cell.train, dataset, loaded, folder, checkpoints, on_step
                    )
            outcome.threads = threads
        write_results(folder, outcome)
        if loaded and (folder / "adapter").exists():
            write_adapter_card(folder, parameters, loaded.source.base_name)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return True


def needs_no_model(train: Path | None, settings: RunSettings) -> bool:
    """Whether a cell can be made without a model on this machine."""
    return train is None and settings.answering.endpoint is not None


def parameters_of(cell: Cell, dataset: DatasetFolder, weights_hash: str | None) -> dict[str, Any]:
    """Parameters of a cell, after asking the endpoint what it serves.

    Without a model's hash, the weights are those that `cell.model` names where the served model has
    a name of its own; otherwise all that is known of them is what the server says.
    """
    endpoint = endpoint_of(cell.settings.answering, cell.model)
    served = served_model(endpoint.url, endpoint.model) if endpoint else None
    if weights_hash:
        weights = weights_hash
    elif cell.settings.answering.served:
        weights = reference_hash(cell.model)
    else:
        weights = parameters_hash(served)
    return cell_parameters(cell, dataset, weights, served)


def check_origin(train: Path, dataset: DatasetFolder) -> None:
    """Raise InputError unless the training text was made from this dataset and is unchanged."""
    manifest = checked_manifest(train, "training-text", "elusive augment DATASET --out DIR")
    made_from = manifest.parameters["dataset"].split(LIMIT_MARK)[0]
    if made_from != dataset.content_hash:
        raise InputError(
            f"{train} was made from another dataset: augment this dataset first, "
            "with `elusive augment DATASET --method NAME --out DIR`"
        )


def _scored(cell: Cell, dataset: DatasetFolder, loaded: LoadedModel) -> Outcome:
    """The model as it is, or with a finished adapter."""
    answering = cell.settings.answering
    if answering.endpoint:
        return _answered_by_endpoint(cell, dataset, cell.adapter)
    if cell.adapter is None:
        return _answered(cell, dataset, local_backend(loaded.model, loaded, answering))
    with quiet_adapters():
        model = PeftModel.from_pretrained(loaded.model, str(cell.adapter))
    try:
        question = asked_questions(dataset, answering)[0]
        check_training_acts(model, loaded.model, loaded.tokenizer, question_text(question.question))
        return _answered(cell, dataset, local_backend(model, loaded, answering))
    finally:
        model.unload()


def _answered_by_endpoint(cell: Cell, dataset: DatasetFolder, adapter: Path | None) -> Outcome:
    """The served model's answers, with an adapter or without."""
    endpoint = endpoint_of(cell.settings.answering, cell.model)
    assert endpoint
    if adapter is None:
        return _answered(cell, dataset, endpoint_backend(endpoint))
    with loaded_adapter(endpoint, adapter) as adapted:
        gold = asked_questions(dataset, cell.settings.answering)[0].answers[0]
        check_adapter_acts(endpoint, adapted, f"{_probe(cell, dataset)} {gold}")
        return _answered(cell, dataset, endpoint_backend(adapted))


def _trained(
    cell: Cell,
    text: Path,
    dataset: DatasetFolder,
    loaded: LoadedModel,
    folder: Path,
    checkpoints: Path,
    on_step: OnStep,
) -> Outcome:
    """The model after training, which is saved."""
    settings = cell.settings
    _, solved = _split_shots(cell, dataset)
    rows = training_rows(text, dataset, loaded, settings, cell.seed, solved)
    with tuned_model(loaded, settings.training, cell.seed) as model:
        checkpoints.mkdir(exist_ok=True)
        with measured() as training:
            log = train(
                model,
                rows,
                settings.training,
                cell.seed,
                on_step,
                **acting(text),
                checkpoints=checkpoints,
            )
        training.seconds = log.seconds  # those before an interruption included
        if (checkpoints / LOGS).exists():
            shutil.copytree(checkpoints / LOGS, folder / "logs")
        check_training_acts(model, loaded.model, loaded.tokenizer, _probe(cell, dataset))
        _save(model, loaded, folder)
        if settings.answering.endpoint:
            outcome = _answered_by_endpoint(cell, dataset, folder / "adapter")
        else:
            backend = local_backend(model, loaded, settings.answering)
            outcome = _answered(cell, dataset, backend)
    summary = read_summary(text)
    outcome.log, outcome.drop_rate = log, summary.drop_rate
    outcome.costs = _preparing(summary) | {"training": training} | outcome.costs
    return outcome


def _preparing(summary: AugmentSummary) -> dict[str, Cost]:
    """Costs of the stages that made a training text."""
    return {
        stage: Cost(seconds, summary.peak_memory_mib.get(stage, 0.0))
        for stage, seconds in summary.seconds.items()
    }


def _save(model: Model, loaded: LoadedModel, folder: Path) -> None:
    """The adapter, or the whole model with its tokenizer."""
    if isinstance(model, PeftModel):
        model.save_pretrained(str(folder / "adapter"), save_embedding_layers=False)
    else:
        model.save_pretrained(str(folder / "model"))
        loaded.tokenizer.save_pretrained(str(folder / "model"))
    write_checksums(folder)


def _split_shots(cell: Cell, dataset: DatasetFolder) -> tuple[list[Shot], list[Shot]]:
    """Shots for prompts, and those left for replay."""
    return split_shots(dataset.shots, cell.settings.answering.num_shots, cell.seed)


def _probe(cell: Cell, dataset: DatasetFolder) -> str:
    """A prompt of this cell."""
    first: Question = asked_questions(dataset, cell.settings.answering)[0]
    shots, _ = _split_shots(cell, dataset)
    return few_shot_prefix(shots, topic(first)) + question_text(first.question)


def _answered(cell: Cell, dataset: DatasetFolder, backend: Backend) -> Outcome:
    """Answers to the dataset's questions, and to those of what was known before."""
    asked = asked_questions(dataset, cell.settings.answering)
    with measured() as answering:
        predictions = _answers(cell, dataset, asked, backend)
    outcome = Outcome(predictions, costs={"answering": answering})
    if cell.known:
        questions = cell.known.questions[:KNOWN_QUESTIONS]
        texts = [document.text for document in cell.known.documents[:KNOWN_QUESTIONS]]
        outcome.known = _answers(cell, cell.known, questions, backend)
        outcome.known_perplexity = backend.perplexity(texts)
    return outcome


def _answers(
    cell: Cell, dataset: DatasetFolder, asked: list[Question], backend: Backend
) -> list[Prediction]:
    """Answers to questions of a dataset, after its own shots."""
    shots, _ = _split_shots(cell, dataset)
    return backend.ask(asked, shots, dataset.facts_by_question())
