"""What the report page shows of a run's training texts: kept clues, and the texts themselves."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from elusive.augment.look_page import (
    build_look_page,
    compute_nonce,
    render_augment_command,
    render_look_page,
)
from elusive.augment.training_text import find_training_texts
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.errors import InputError
from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.compare.clue_gains import measure_gains
from elusive.report.page.benchmark_data import list_numbers

NUM_DOCUMENTS = 6
NUM_COPIES = 3
NO_RUN = "the page was made from cells alone, without the run folder that holds their texts"


def build_gain_data(
    arms: dict[str, list[CellResult]], dataset: DatasetFolder, run: Path
) -> dict[str, Any]:
    """Measure clue recall against gain of dropping arms by field, or say why it is missing."""
    try:
        gains = measure_gains(arms, dataset, run)
    except InputError as reason:
        return {"why": str(reason)}
    correlations = [
        {
            "metric": correlation.metric,
            "pearson": list_numbers(correlation.pearson),
            "spearman": list_numbers(correlation.spearman),
        }
        for correlation in gains.correlations
    ]
    return {"points": [asdict(row) for row in gains.rows], "correlations": correlations}


def build_viewer_data(
    arms: dict[str, list[CellResult]], dataset: DatasetFolder, folder: Path, run: Path
) -> dict[str, Any]:
    """Build a page like that of `elusive look` for the arms' texts, or say why it is missing.

    The scores come from the run's folder and the copies follow from them, so no model is needed.

    Args:
        arms: cells by arm.
        dataset: the dataset that the texts were made from.
        folder: of the dataset.
        run: folder that holds the texts.
    """
    by_hash = find_training_texts(run)
    texts = {
        arm: by_hash[cells[0].parameters["train"]]
        for arm, cells in arms.items()
        if cells[0].parameters["train"] in by_hash
    }
    if not texts:
        return {"why": f"{run.name} holds no training texts of these cells"}
    documents = dataset.select_training_documents()[:NUM_DOCUMENTS]
    configs = [
        text.config.model_copy(update={"copies": min(NUM_COPIES, text.config.copies)})
        for text in texts.values()
    ]
    all_scores = [text.read_scores() for text in texts.values()]
    scored = [[scores[document.doc_id] for document in documents] for scores in all_scores]
    sources = [text.get_sources(documents) for text in texts.values()]
    page = build_look_page(documents, configs, scored, sources=sources)
    for arm, label in zip(page["arms"], texts, strict=True):
        arm["method"] = label
    commands = [render_augment_command(folder, config, len(documents)) for config in configs]
    page |= {"dataset": dataset.name, "commands": commands}
    return {"html": render_look_page(page), "nonce": compute_nonce(page)}
