"""Convert a run to the content of a Hub repository: adapters, answers, metrics and a card.

The layout is that of a run folder, `cells/NAME/...`, so `elusive table` reads a downloaded copy,
and PEFT loads an adapter with `subfolder="cells/NAME/adapter"`.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResultEntry, HfApi, ModelCardData, eval_result_entries_to_yaml
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from elusive.augment.arms import OPEN_BOOK
from elusive.common.content_hash import ROWS
from elusive.common.dataset.folder import LIMIT_MARK
from elusive.common.errors import InputError
from elusive.common.folders import MANIFEST, write_atomically
from elusive.common.jinja import render_template
from elusive.common.lm.references import find_hub_id
from elusive.evaluate.cells.adapter_card import render_adapter_card, render_base_argument
from elusive.evaluate.cells.cell_folder import CHECKSUMS, CellResult, find_cells
from elusive.evaluate.cells.gold import GOLD, find_proven_part
from elusive.evaluate.cells.metrics import compute_mean_scores
from elusive.evaluate.compare.groups import group_benchmarks
from elusive.evaluate.tables.columns import format_cells
from elusive.evaluate.tables.table import build_comparable_table
from elusive.report.hub.card_details import NO_DETAILS, CardDetails
from elusive.report.hub.dataset_repository import TASKS, parse_content_hash
from elusive.report.hub.local_paths import leave_out_paths

CELL_FILES = (
    MANIFEST,
    "metrics.json",
    "costs.json",
    "training_log.json",
    CHECKSUMS,
    "predictions.parquet",
    "known.parquet",
    GOLD,
)
CELL_FOLDERS = ("adapter", "model")
PLAN = "plan.yaml"
ROUNDING = 1e-6
"""Largest difference between two sums of the same scores."""
RESULTS = ".eval_results"
OWNED = ("cells/", f"{RESULTS}/", "README.md", PLAN)
"""Files of the repository that publishing may delete; all others stay."""


@dataclass(frozen=True)
class PublishedDataset:
    """A dataset on the Hub that cells were measured on."""

    repository: str
    revision: str
    """Commit of the dataset."""
    content_hash: str
    """Content hash of the folder that was published."""


def load_published_dataset(repository: str, api: HfApi | None = None) -> PublishedDataset:
    """Load what identifies a dataset that `elusive publish` put on the Hub.

    Raises:
        InputError: there is no such dataset, or `elusive publish` did not make it.
    """
    api = api or HfApi()
    try:
        commit = api.dataset_info(repository).sha or ""
        path = api.hf_hub_download(repository, MANIFEST, repo_type="dataset", revision=commit)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            f"--dataset: cannot read {MANIFEST} of {repository!r} on the Hub "
            f"({type(error).__name__}): publish it with `elusive publish DATASET --to {repository}`"
        ) from None
    content_hash = parse_content_hash(Path(path).read_text(encoding="utf-8"))
    if content_hash is None:
        raise InputError(
            f"--dataset: `elusive publish` did not make {repository!r}: publish the dataset first"
        )
    return PublishedDataset(repository, commit, content_hash)


def assume_published_dataset(run: Path, repository: str) -> PublishedDataset:
    """Return what a dataset on the Hub is if a run was measured on it; the Hub is not asked.

    Raises:
        InputError: there are no finished cells, or one is damaged.
    """
    return PublishedDataset(repository, "main", _origin(find_cells(run)[0]))


def build_run_repository(
    run: Path,
    out: Path,
    repository: str,
    dataset: PublishedDataset | None = None,
    on_cell: Callable[[int], object] = lambda count: None,
    details: CardDetails = NO_DETAILS,
) -> tuple[int, int]:
    """Write the content of a model repository.

    Args:
        run: folder of a run, or of one cell.
        out: existing folder to write to.
        repository: identifier of the repository, for the cards.
        dataset: published dataset that the cells were measured on; without it, no results for the
            Hub's leaderboards are written.
        on_cell: called with the number of cells written since the last call.
        details: what the publisher says of it.

    Returns:
        Number of cells, and number of results for the Hub's leaderboards.

    Raises:
        InputError: there are no finished cells, one is damaged or has metrics that its answers do
            not give, or none was measured on `dataset`.
    """
    cells = find_cells(run)
    if dataset and not any(_origin(cell) == dataset.content_hash for cell in cells):
        raise InputError(
            f"--dataset: no cell of {run} was measured on {dataset.repository} (content hash "
            f"{dataset.content_hash[:12]}): name the dataset that the run was measured on"
        )
    for cell in cells:
        _check_metrics(cell)
    for cell in cells:
        _copy_cell(cell, out / "cells" / cell.folder.name, repository)
        on_cell(1)
    if (run / PLAN).exists():
        shutil.copyfile(run / PLAN, out / PLAN)
    num_results = _write_hub_results(cells, out / RESULTS, dataset) if dataset else 0
    card = _card(cells, repository, dataset, num_results, details)
    write_atomically(out / "README.md", card)
    leave_out_paths(out)
    return len(cells), num_results


def _check_metrics(cell: CellResult) -> None:
    """Raise InputError unless a cell's answers give its metrics."""
    for name, mean in compute_mean_scores(cell.predictions).items():
        stored = cell.metrics.get(name)
        if stored is not None and abs(stored - mean) > ROUNDING:
            raise InputError(
                f"{cell.folder}: metrics.json says {name} {stored}, but the answers give "
                f"{mean:.4g}: restore the file, or make the cell again"
            )


def _copy_cell(cell: CellResult, out: Path, repository: str) -> None:
    """Copy a cell's files, and give its adapter a card that says how to load it from the Hub."""
    out.mkdir(parents=True)
    for name in CELL_FILES:
        if (cell.folder / name).exists():
            shutil.copyfile(cell.folder / name, out / name)
    for name in CELL_FOLDERS:
        if (cell.folder / name).exists():
            shutil.copytree(cell.folder / name, out / name)
    if (out / "adapter").exists():
        location = f'"{repository}", subfolder="cells/{cell.folder.name}/adapter"'
        card = render_adapter_card(cell.parameters, cell.metrics, _base(cell), location)
        write_atomically(out / "adapter" / "README.md", card)


def _base(cell: CellResult) -> str:
    """Name of the base model; if the cell has an adapter, the name that PEFT loads it by."""
    path = cell.folder / "adapter" / "adapter_config.json"
    if not path.exists():
        return cell.parameters["model"]
    return json.loads(path.read_text(encoding="utf-8"))["base_model_name_or_path"]


def _origin(cell: CellResult) -> str:
    """Content hash of the whole dataset of a cell, which may have been measured on a part of it."""
    return cell.parameters["dataset"].split(LIMIT_MARK)[0]


def _write_hub_results(cells: list[CellResult], folder: Path, dataset: PublishedDataset) -> int:
    """Write a file for each cell that has a result for the Hub's leaderboards; return how many."""
    hub_results = {
        cell.folder.name: hub_result
        for cell in cells
        if (hub_result := build_hub_result(cell, dataset))
    }
    if hub_results:
        folder.mkdir()
    for name, hub_result in hub_results.items():
        text = yaml.safe_dump(eval_result_entries_to_yaml([hub_result]), sort_keys=False)
        write_atomically(folder / f"{name}.yaml", text)
    return len(hub_results)


def build_hub_result(cell: CellResult, dataset: PublishedDataset) -> EvalResultEntry | None:
    """Build the result of a cell for the Hub's leaderboards: its exact match, in [0, 1].

    Returns:
        None if the cell did not answer exactly the questions of one split of the published dataset
        closed-book, because its exact match is then not comparable.
    """
    answering = cell.parameters["answering"]
    if cell.parameters["dataset"] != dataset.content_hash:
        return None
    if find_proven_part(answering) != ROWS or answering["split"] not in TASKS:
        return None
    if cell.parameters.get("control") == OPEN_BOOK:
        return None
    return EvalResultEntry(
        dataset_id=dataset.repository,
        task_id=TASKS[answering["split"]],
        value=round(cell.metrics["em"], 4),
        dataset_revision=dataset.revision,
        notes=f"exact match, {answering['num_shots']} shots, {_base(cell)} {_treatment(cell)}",
    )


def _treatment(cell: CellResult) -> str:
    """What was done to the base model before it was asked."""
    parameters = cell.parameters
    if cell.log:
        return f"trained on the arm {parameters['label']}, seed {parameters['seed']}"
    if "adapter" in parameters:
        return f"with a finished adapter, {parameters['label']} ({parameters['adapter'][:12]})"
    return "without training"


def _card(
    cells: list[CellResult],
    repository: str,
    dataset: PublishedDataset | None,
    num_results: int,
    details: CardDetails,
) -> str:
    bases = sorted({_base(cell) for cell in cells if cell.log})
    on_hub = [hub_id for base in bases if (hub_id := find_hub_id(base))]
    data = ModelCardData(
        library_name="peft",
        pipeline_tag="text-generation",
        base_model=on_hub or None,
        datasets=[dataset.repository] if dataset else None,
        **details.change_header({"tags": ["knowledge-learning", "closed-book-qa"]}, None),
    )
    body = render_template(
        Path(__file__).parent / "run_card.md.j2",
        repository=repository,
        tables={name: _table(members) for name, members in group_benchmarks(cells).items()},
        cells=[_describe(cell) for cell in cells],
        example=next((c.folder.name for c in cells if (c.folder / "adapter").exists()), None),
        load_base=render_base_argument(bases[0]) if bases else None,
        dataset=dataset,
        num_results=num_results,
    )
    return f"---\n{data.to_yaml()}\n---\n\n{details.change_body(body)}"


def _describe(cell: CellResult) -> dict[str, Any]:
    saved = next((name for name in CELL_FOLDERS if (cell.folder / name).exists()), "")
    return {"name": cell.folder.name, "base": _base(cell), "saved": saved, **cell.metrics}


def _table(cells: list[CellResult]) -> dict[str, Any]:
    """The table of comparable cells, or the reason why there is none."""
    try:
        table = build_comparable_table(cells)
        header, rows = format_cells(table, ("accuracy",))
    except InputError as error:
        return {"reason": str(error)}
    return {"header": header, "rows": rows, "left_out": table.left_out}
