"""What the report page shows of a run's training texts: clues kept, and texts to look at."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from elusive.augment.augment import load_scores
from elusive.augment.config import AugmentConfig
from elusive.augment.look import augment_command, page_nonce, page_of_scores, render_page
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.errors import InputError
from elusive.common.folders import checked_manifest
from elusive.evaluate.cells.cell import CellResult
from elusive.evaluate.compare.figure_data import gains, texts_by_hash
from elusive.report.page.data import numbers

NUM_DOCUMENTS = 6
NUM_COPIES = 3
NO_RUN = "the page was made from cells alone, without the run folder that holds their texts"
MADE_BY = "elusive augment DATASET --method NAME --out DIR"


def gain_data(
    named: dict[str, list[CellResult]], dataset: DatasetFolder, run: Path
) -> dict[str, Any]:
    """Clue recall of every dropping arm and field against its gain, or why there is none."""
    try:
        found = gains(named, dataset, run)
    except InputError as reason:
        return {"why": str(reason)}
    correlations = [
        {
            "metric": one.metric,
            "pearson": numbers(one.pearson),
            "spearman": numbers(one.spearman),
        }
        for one in found.correlations
    ]
    return {"points": [asdict(row) for row in found.rows], "correlations": correlations}


def viewer_data(
    named: dict[str, list[CellResult]], dataset: DatasetFolder, folder: Path, run: Path
) -> dict[str, Any]:
    """The page of `elusive look` on the texts that the arms were trained on, or why there is none.

    Scores are those that a run keeps beside its texts, and copies follow from them, so no model is
    asked.

    Args:
        named: cells by arm.
        dataset: that the texts were made from.
        folder: of the dataset.
        run: folder that holds the texts.
    """
    texts = texts_by_hash(run)
    found = {
        arm: texts.get(cells[0].parameters["train"])
        for arm, cells in named.items()
        if cells[0].parameters["train"]
    }
    stored = {arm: path for arm, path in found.items() if path}
    if not stored:
        return {"why": f"{run.name} holds no training texts of these cells"}
    documents = dataset.training_documents()[:NUM_DOCUMENTS]
    configs = [_config(path) for path in stored.values()]
    scored = []
    for path in stored.values():
        scores = load_scores(path)
        scored.append([scores[document.doc_id] for document in documents])
    page = page_of_scores(documents, configs, scored)
    for arm, label in zip(page["arms"], stored, strict=True):
        arm["method"] = label
    commands = [augment_command(folder, config, len(documents)) for config in configs]
    page |= {"dataset": dataset.name, "commands": commands}
    return {"html": render_page(page), "nonce": page_nonce(page)}


def _config(folder: Path) -> AugmentConfig:
    """How a training text was made, with as many copies as are shown."""
    parameters = checked_manifest(folder, "training-text", MADE_BY).parameters
    known = {key: parameters[key] for key in AugmentConfig.model_fields if key in parameters}
    copies = min(NUM_COPIES, parameters["copies"])
    return AugmentConfig.model_validate(known | {"copies": copies})
