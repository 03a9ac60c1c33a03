"""Make a cell: train, answer, score, and write its folder."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from peft import PeftModel

from elusive.augment.arms import OPEN_BOOK, ZERO_DELTA
from elusive.augment.training_text import AugmentSummary, TrainingTextFolder
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.dataset.records import Prediction, Question, Shot
from elusive.common.folders import create_folder, hash_parameters, is_made
from elusive.common.large.processes import (
    count_processes,
    is_first,
    report_step,
    run_in_processes,
    run_on_first,
)
from elusive.common.lm.adapters import open_adapted_model
from elusive.common.lm.loading import (
    LoadedModel,
    choose_model_dtype,
    describe_device,
    load_model,
    use_threads,
)
from elusive.common.lm.references import (
    choose_threads,
    find_model,
    hash_model_weights,
    hash_settings,
)
from elusive.common.memory import Cost, measure_cost
from elusive.common.probe.packing import find_packing
from elusive.evaluate.answering.backends import (
    Backend,
    ask_open_book,
    build_endpoint_backend,
    build_local_backend,
    find_endpoint,
)
from elusive.evaluate.answering.batches import PromptedModel
from elusive.evaluate.answering.distractors import choose_distractors
from elusive.evaluate.answering.endpoint import check_adapter_acts, find_served_model, open_adapter
from elusive.evaluate.answering.local import check_prompts_fit, check_training_acts
from elusive.evaluate.answering.prompt_format import PromptFormat
from elusive.evaluate.answering.prompts import (
    get_topic,
    render_few_shot_prefix,
    render_question,
    split_shots,
)
from elusive.evaluate.cells.adapter_card import write_adapter_card
from elusive.evaluate.cells.cell import (
    KNOWN_TEXTS,
    Cell,
    collect_parameters,
    compute_cell_id,
    select_questions,
)
from elusive.evaluate.cells.cell_folder import write_checksums
from elusive.evaluate.cells.gold import select_known_questions, write_gold_proofs
from elusive.evaluate.cells.metrics import Outcome, write_results
from elusive.evaluate.config import CellSettings, TrainingConfig, check_not_asked, check_shared
from elusive.evaluate.training.hf_trainer import OnStep
from elusive.evaluate.training.lora import Model, open_tuned_model, save_adapter
from elusive.evaluate.training.lora_targets import find_lora_targets
from elusive.evaluate.training.objectives import build_objective
from elusive.evaluate.training.rows import build_training_rows, measure_target_rates
from elusive.evaluate.training.train import LOGS, train


def make_cell(
    cell: Cell,
    dataset: DatasetFolder,
    loaded: LoadedModel | None,
    out: Path,
    on_step: OnStep = lambda: None,
    processes: int = 1,
) -> bool:
    """Train, answer, score, and write the cell's folder; return False if it already holds the cell.

    Args:
        cell: the cell to make.
        dataset: the dataset that is asked about.
        loaded: the model; None if an endpoint answers and nothing is trained, or if several
            processes load it.
        out: folder to write.
        on_step: called after every optimizer step.
        processes: number of new processes that share the model.

    Raises:
        InputError: `out` holds other files, or the inputs do not match.
        RuntimeError: one of several processes was killed.
    """
    is_shared = processes > 1 and not is_without_model(cell.train, cell.settings)
    if cell.train:
        cell.train.check_origin(dataset.content_hash)
        check_not_asked(cell.train.config.method, cell.settings.answering)
    weights, dtype = (loaded.weights_hash, loaded.model.dtype) if loaded else (None, None)
    if is_shared:
        check_shared(cell.settings.training, processes, is_trained=cell.train is not None)
        weights = hash_model_weights(cell.model)
    parameters = find_parameters(cell, dataset, weights, dtype)
    if is_made(out, "cell", parameters):
        return False
    unfinished = out.with_name(f".{out.name}.checkpoints")
    checkpoints = unfinished / compute_cell_id(parameters)  # never those of other settings
    with create_folder(out, "cell", parameters) as folder:
        if is_shared:
            inputs = (cell, dataset, folder, checkpoints)
            outcome = run_in_processes(
                processes, "weights", _compute_in_process, *inputs, on_step=on_step
            )
        elif loaded is None:
            outcome = _answer_by_endpoint(cell, dataset, cell.adapter)
        else:
            outcome = _compute(cell, dataset, loaded, folder, checkpoints, on_step)
        write_results(folder, outcome)
        write_gold_proofs(folder, dataset, parameters["answering"], cell.known)
        if (folder / "adapter").exists():
            write_adapter_card(folder, parameters, find_model(cell.model).base_name)
    shutil.rmtree(unfinished, ignore_errors=True)
    return True


def _compute_in_process(
    cell: Cell, dataset: DatasetFolder, folder: Path, checkpoints: Path
) -> Outcome:
    """Load this process's share of the model, and compute the cell's outcome with the others."""
    loaded = load_model(cell.model)
    return _compute(cell, dataset, loaded, folder, checkpoints, report_step)


def _compute(
    cell: Cell,
    dataset: DatasetFolder,
    loaded: LoadedModel,
    folder: Path,
    checkpoints: Path,
    on_step: OnStep,
) -> Outcome:
    """Train and ask the model, or only ask it."""
    threads = cell.settings.threads or choose_threads(cell.model)
    with use_threads(threads):
        if cell.train is None:
            outcome = _score_model(cell, dataset, loaded)
        else:
            maker = _Maker(cell, cell.train, dataset, loaded, folder, checkpoints)
            outcome = maker.train_and_score(on_step)
    device, count = describe_device(loaded.model.device), count_processes()
    outcome.threads, outcome.device = threads, f"{count} x {device}" if count > 1 else device
    return outcome


def is_without_model(train: object, settings: CellSettings) -> bool:
    """Whether a cell can be made without a local model."""
    return train is None and settings.answering.endpoint is not None


def find_parameters(
    cell: Cell,
    dataset: DatasetFolder,
    weights_hash: str | None,
    dtype: torch.dtype | None = None,
) -> dict[str, Any]:
    """Collect the parameters of a cell, after asking the endpoint what it serves.

    Without a hash of local weights: if the served model has its own name, `cell.model` names the
    same weights locally, and they are hashed; otherwise what the server says about its model stands
    for the weights.
    """
    endpoint = find_endpoint(cell.settings.answering, cell.model)
    served = find_served_model(endpoint.url, endpoint.model) if endpoint else None
    if weights_hash is None and not cell.settings.answering.served:
        return collect_parameters(cell, dataset, hash_parameters(served), served)
    weights = weights_hash or hash_model_weights(cell.model)
    return collect_parameters(cell, dataset, weights, served, describe_computing(cell, dtype))


def describe_computing(cell: Cell, dtype: torch.dtype | None = None) -> dict[str, Any]:
    """Describe what decides the outcome of a local model besides its weights.

    Args:
        cell: the cell.
        dtype: of the loaded model; that in which it would be loaded if None.

    Returns:
        Hash of config and tokenizer; unless a server does all the computing, also the precision,
        the number of threads and, where no settings of training are part of the id, quantization.
    """
    settings = {"settings": hash_settings(cell.model)}
    if is_without_model(cell.train, cell.settings):
        return settings
    quantization = cell.settings.training.quantization
    return settings | {
        "precision": str(dtype or choose_model_dtype(cell.model)).removeprefix("torch."),
        "threads": cell.settings.threads or choose_threads(cell.model),
        "quantization": None if cell.train or quantization == "none" else quantization,
    }


def _score_model(cell: Cell, dataset: DatasetFolder, loaded: LoadedModel) -> Outcome:
    """Ask the model before training, or with a finished adapter, or with a new one."""
    answering = cell.settings.answering
    if answering.endpoint:
        return run_on_first(lambda: _answer_by_endpoint(cell, dataset, cell.adapter))
    if cell.control == ZERO_DELTA:
        with TemporaryDirectory() as temporary:
            with open_tuned_model(loaded, cell.settings.training, cell.seed) as model:
                save_adapter(model, Path(temporary))
            with open_adapted_model(loaded, Path(temporary)) as model:
                return _answer(cell, dataset, build_local_backend(model, loaded, answering))
    if cell.adapter is None:
        return _answer(cell, dataset, build_local_backend(loaded.model, loaded, answering))
    with open_adapted_model(loaded, cell.adapter) as model:
        question = select_questions(dataset, answering)[0]
        text = render_question(question.question)
        check_training_acts(model, loaded.model, loaded.tokenizer, text)
        return _answer(cell, dataset, build_local_backend(model, loaded, answering))


def _answer_by_endpoint(cell: Cell, dataset: DatasetFolder, adapter: Path | None) -> Outcome:
    """Ask the served model, with or without an adapter."""
    endpoint = find_endpoint(cell.settings.answering, cell.model)
    assert endpoint
    if adapter is None:
        return _answer(cell, dataset, build_endpoint_backend(endpoint))
    with open_adapter(endpoint, adapter) as adapted:
        gold = select_questions(dataset, cell.settings.answering)[0].answers[0]
        check_adapter_acts(endpoint, adapted, f"{_render_probe(cell, dataset)} {gold}")
        return _answer(cell, dataset, build_endpoint_backend(adapted))


@dataclass(frozen=True)
class _Maker:
    """What making a trained cell needs."""

    cell: Cell
    text: TrainingTextFolder
    dataset: DatasetFolder
    loaded: LoadedModel
    folder: Path
    checkpoints: Path

    def train_and_score(self, on_step: OnStep) -> Outcome:
        """Train, save, and ask the trained model."""
        cell, settings, loaded = self.cell, self.cell.settings, self.loaded
        # 1) Build the rows of all epochs.
        _, solved = _split_shots(cell, self.dataset)
        objective = build_objective(settings.training, loaded)
        rows = build_training_rows(
            self.text, self.dataset, loaded, settings, cell.seed, solved, objective
        )
        if not settings.answering.endpoint:
            _check_prompts(cell, self.dataset, loaded)
        left_out = _list_left_out(loaded, settings.training)
        with open_tuned_model(loaded, settings.training, cell.seed) as model:
            # 2) Ask one question, so that a model that cannot answer fails before training.
            if not settings.answering.endpoint:
                questions = select_questions(self.dataset, settings.answering)[:1]
                backend = build_local_backend(model, loaded, settings.answering)
                _ask(cell, self.dataset, questions, backend)
            # 3) Train, from the last checkpoint if an interrupted training left one.
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            with measure_cost() as training:
                log = train(
                    model,
                    rows,  # type: ignore[arg-type]  # any sequence will do
                    settings.training,
                    cell.seed,
                    on_step,
                    objective,
                    self.checkpoints,
                    find_packing(loaded),
                )
            training.seconds = log.seconds  # including those before interruptions
            rates = measure_target_rates(self.text, self.dataset, loaded, settings.training)
            log = replace(log, targets=rates, left_out=left_out)
            if is_first() and (self.checkpoints / LOGS).exists():
                shutil.copytree(self.checkpoints / LOGS, self.folder / "logs")
            # 4) Save what was trained, after checking that it changes the model's output.
            probe = _render_probe(cell, self.dataset)
            check_training_acts(model, loaded.model, loaded.tokenizer, probe)
            if is_first():
                _save(model, loaded, self.folder)
            # 5) Ask the questions.
            if settings.answering.endpoint:
                adapter = self.folder / "adapter"
                outcome = run_on_first(lambda: _answer_by_endpoint(cell, self.dataset, adapter))
            else:
                backend = build_local_backend(model, loaded, settings.answering)
                outcome = _answer(cell, self.dataset, backend)
        outcome.log, outcome.drop_rate = log, self.text.summary.drop_rate
        outcome.costs = _collect_costs(self.text.summary) | {"training": training} | outcome.costs
        return outcome


def _list_left_out(loaded: LoadedModel, training: TrainingConfig) -> list[str]:
    if training.tuning == "full":
        return []
    return find_lora_targets(loaded.model, training.lora_targets).left_out


def _collect_costs(summary: AugmentSummary) -> dict[str, Cost]:
    return {
        stage: Cost(seconds, summary.peak_memory_mib.get(stage, 0.0))
        for stage, seconds in summary.seconds.items()
    }


def _save(model: Model, loaded: LoadedModel, folder: Path) -> None:
    if isinstance(model, PeftModel):
        save_adapter(model, folder / "adapter")
    else:
        model.save_pretrained(str(folder / "model"))
        loaded.tokenizer.save_pretrained(str(folder / "model"))
    write_checksums(folder)


def _split_shots(cell: Cell, dataset: DatasetFolder) -> tuple[list[Shot], list[Shot]]:
    return split_shots(dataset.shots, cell.settings.answering.num_shots, cell.seed)


def _render_probe(cell: Cell, dataset: DatasetFolder) -> str:
    question = select_questions(dataset, cell.settings.answering)[0]
    shots, _ = _split_shots(cell, dataset)
    return render_few_shot_prefix(shots, get_topic(question)) + render_question(question.question)


def _check_prompts(cell: Cell, dataset: DatasetFolder, loaded: LoadedModel) -> None:
    """Raise InputError, before anything is trained, if prompts exceed the model's positions."""
    answering = cell.settings.answering
    asked = [(dataset, select_questions(dataset, answering))]
    if cell.known:
        asked.append((cell.known, select_known_questions(cell.known)))
    prompts = PromptFormat(loaded.tokenizer, answering.chat_template)
    for folder, questions in asked:
        shots, _ = _split_shots(cell, folder)
        prompted = PromptedModel(loaded.model, loaded.tokenizer, prompts, shots)
        check_prompts_fit(prompted, questions)


def _answer(cell: Cell, dataset: DatasetFolder, backend: Backend) -> Outcome:
    """Ask the dataset's questions, and those about what the model knew before."""
    questions = select_questions(dataset, cell.settings.answering)
    with measure_cost() as answering:
        predictions = _ask(cell, dataset, questions, backend)
    outcome = Outcome(predictions, costs={"answering": answering})
    if cell.known:
        known_questions = select_known_questions(cell.known)
        texts = [document.text for document in cell.known.documents[:KNOWN_TEXTS]]
        outcome.known = _ask(cell, cell.known, known_questions, backend)
        outcome.known_perplexity = backend.perplexity(texts)
    return outcome


def _ask(
    cell: Cell, dataset: DatasetFolder, questions: list[Question], backend: Backend
) -> list[Prediction]:
    shots, _ = _split_shots(cell, dataset)
    facts, distractors = dataset.match_facts(), choose_distractors(questions)
    if cell.control == OPEN_BOOK and dataset is not cell.known:
        return ask_open_book(backend, questions, shots, facts, distractors, dataset.documents)
    return backend.ask(questions, shots, facts, distractors)
