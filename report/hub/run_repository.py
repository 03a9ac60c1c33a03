"""A run as the content of a Hub repository: adapters, answers, metrics, and a card of all arms.

The layout is that of a run folder, `cells/NAME/...`: what is downloaded is a run that `elusive
table` reads, and PEFT loads an adapter with `subfolder="cells/NAME/adapter"`.
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

from elusive.common.dataset.folder import LIMIT_MARK
from elusive.common.errors import InputError
from elusive.common.folders import MANIFEST, write_atomically
from elusive.common.templates import render_template
from elusive.evaluate.cells.adapter_card import adapter_card
from elusive.evaluate.cells.cell import CHECKSUMS, CellResult
from elusive.evaluate.compare.table import benchmarks, complete_arms, find_cells, results
from elusive.evaluate.compare.table_columns import table_cells
from elusive.report.hub.dataset_repository import TASKS, published_manifest

CELL_FILES = (
    MANIFEST,
    "metrics.json",
    "costs.json",
    "training_log.json",
    CHECKSUMS,
    "predictions.parquet",
    "known.parquet",
)
CELL_FOLDERS = ("adapter", "model")
PLAN = "plan.yaml"
RESULTS = ".eval_results"
OWNED = ("cells/", f"{RESULTS}/", "README.md", PLAN)
"""Files of the repository that a publish may delete; others are left alone."""


@dataclass(frozen=True)
class PublishedDataset:
    """The dataset of the Hub that cells were measured on."""

    repository: str
    revision: str
    """Its commit."""
    content_hash: str
    """Of the folder that it was made from."""


def published_dataset(repository: str, api: HfApi | None = None) -> PublishedDataset:
    """A dataset that `elusive publish` put on the Hub.

    Raises:
        InputError: it is not there, or was not made by `elusive publish`.
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
    found = published_manifest(Path(path).read_text(encoding="utf-8"))
    if found is None:
        raise InputError(f"--dataset: {repository!r} is no dataset of `elusive publish`")
    return PublishedDataset(repository, commit, found)


def build_run_repository(
    run: Path,
    out: Path,
    repository: str,
    dataset: PublishedDataset | None = None,
    on_cell: Callable[[int], object] = lambda count: None,
) -> tuple[int, int]:
    """Write the content of a Hub model to `out`; numbers of cells, and of results for leaderboards.

    Args:
        run: a run folder, or one cell.
        out: folder to write to, which exists.
        repository: its id, for the cards.
        dataset: that the cells were measured on, where it is published; without it there are no
            results for leaderboards.
        on_cell: called with the number of cells written since the last call.

    Raises:
        InputError: no finished cells, a damaged one, or none that was measured on that dataset.
    """
    cells = find_cells(run)
    if dataset and not any(_origin(cell) == dataset.content_hash for cell in cells):
        raise InputError(
            f"--dataset: no cell of {run} was measured on {dataset.repository}, whose content "
            f"hash is {dataset.content_hash[:12]}: name the dataset of the run"
        )
    for cell in cells:
        _copy_cell(cell, out / "cells" / cell.folder.name, repository)
        on_cell(1)
    if (run / PLAN).exists():
        shutil.copyfile(run / PLAN, out / PLAN)
    entries = {cell.folder.name: entry_of(cell, dataset) for cell in cells} if dataset else {}
    written = {name: entry for name, entry in entries.items() if entry}
    if written:
        (out / RESULTS).mkdir()
    for name, entry in written.items():
        text = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False)
        write_atomically(out / RESULTS / f"{name}.yaml", text)
    write_atomically(out / "README.md", _card(cells, repository, dataset, len(written)))
    return len(cells), len(written)


def _copy_cell(cell: CellResult, out: Path, repository: str) -> None:
    """A cell's files, and its adapter with a card that says where it is."""
    out.mkdir(parents=True)
    for name in CELL_FILES:
        if (cell.folder / name).exists():
            shutil.copyfile(cell.folder / name, out / name)
    for name in CELL_FOLDERS:
        if (cell.folder / name).exists():
            shutil.copytree(cell.folder / name, out / name)
    if (out / "adapter").exists():
        location = f'"{repository}", subfolder="cells/{cell.folder.name}/adapter"'
        card = adapter_card(cell.parameters, cell.metrics, _base(cell), location)
        write_atomically(out / "adapter" / "README.md", card)


def _base(cell: CellResult) -> str:
    """Name of the model that was trained, for other tools where there is an adapter."""
    path = cell.folder / "adapter" / "adapter_config.json"
    if not path.exists():
        return cell.parameters["model"]
    return json.loads(path.read_text(encoding="utf-8"))["base_model_name_or_path"]


def _origin(cell: CellResult) -> str:
    """Content hash of the dataset that a cell was measured on, the whole of which it may not be."""
    return cell.parameters["dataset"].split(LIMIT_MARK)[0]


def entry_of(cell: CellResult, dataset: PublishedDataset) -> EvalResultEntry | None:
    """A cell's exact match as the Hub's leaderboards read it, in [0, 1].

    None where the cell did not answer all questions of one split of the published dataset, so that
    its number stands for something else.
    """
    answering = cell.parameters["answering"]
    if cell.parameters["dataset"] != dataset.content_hash:
        return None
    if answering["limit"] is not None or answering["split"] not in TASKS:
        return None
    return EvalResultEntry(
        dataset_id=dataset.repository,
        task_id=TASKS[answering["split"]],
        value=round(cell.metrics["em"], 4),
        dataset_revision=dataset.revision,
        notes=f"exact match, {answering['num_shots']} shots, {_base(cell)} trained on the arm "
        f"{cell.parameters['label']}, seed {cell.parameters['seed']}"
        if cell.log
        else f"exact match, {answering['num_shots']} shots, {_base(cell)} as it is",
    )


def _card(
    cells: list[CellResult], repository: str, dataset: PublishedDataset | None, num_entries: int
) -> str:
    """The card of the repository."""
    bases = sorted({_base(cell) for cell in cells if cell.log})
    # Of the names that models have here, only those of the Hub have one slash and no dot first.
    on_hub = [name for name in bases if name.count("/") == 1 and not name.startswith((".", "/"))]
    data = ModelCardData(
        library_name="peft",
        pipeline_tag="text-generation",
        base_model=on_hub or None,
        datasets=[dataset.repository] if dataset else None,
        tags=["elusive", "knowledge-learning", "closed-book-qa"],
    )
    return render_template(
        Path(__file__).parent / "run_card.md.j2",
        header=data.to_yaml(),
        repository=repository,
        tables={name: _table(members) for name, members in benchmarks(cells).items()},
        cells=[_line(cell) for cell in cells],
        example=next((c.folder.name for c in cells if (c.folder / "adapter").exists()), None),
        base=bases[0] if bases else None,
        dataset=dataset,
        num_entries=num_entries,
    )


def _line(cell: CellResult) -> dict[str, Any]:
    """What the card says of one cell."""
    saved = next((name for name in CELL_FOLDERS if (cell.folder / name).exists()), "")
    return {"name": cell.folder.name, "base": _base(cell), "saved": saved, **cell.metrics}


def _table(cells: list[CellResult]) -> dict[str, Any]:
    """The table of some comparable cells, or why there is none."""
    kept = complete_arms(cells)
    try:
        header, rows = table_cells(results(kept), ("accuracy",))
    except InputError as error:
        return {"reason": str(error), "left_out": 0}
    return {"header": header, "rows": rows, "left_out": len(cells) - len(kept)}
