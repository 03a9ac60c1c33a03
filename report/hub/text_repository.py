"""Convert a training text to the content of a Hub repository: Parquet and a card."""

import shutil
from collections.abc import Callable
from pathlib import Path

from elusive.augment.arms import ARMS
from elusive.augment.training_text import SUMMARY, TEXTS, TrainingTextFolder
from elusive.common.folders import MANIFEST, write_atomically
from elusive.common.jinja import render_template
from elusive.report.hub.card_details import NO_DETAILS, CardDetails
from elusive.report.hub.dataset_repository import (
    SHARD_BYTES,
    render_header,
    write_config,
    write_croissant,
)
from elusive.report.hub.local_paths import leave_out_paths


def build_text_repository(
    folder: Path,
    out: Path,
    repository: str,
    details: CardDetails = NO_DETAILS,
    on_rows: Callable[[int], object] = lambda count: None,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write the content of a dataset repository with the originals and copies of one arm.

    Args:
        folder: of a training text; its scores are not published.
        out: existing folder to write to.
        repository: identifier of the repository, for the card.
        details: what the publisher says of it.
        on_rows: called with the number of rows written since the last call.
        shard_bytes: size of a Parquet file's rows in Arrow.

    Raises:
        InputError: the folder is not a finished training text, or its data files changed.
    """
    text = TrainingTextFolder(folder)
    text.verify()
    infos = {TEXTS: write_config(folder, TEXTS, out, on_rows, shard_bytes)}
    for name in (MANIFEST, SUMMARY):
        shutil.copyfile(folder / name, out / name)
    method = text.config.method
    header = details.change_header(
        {
            "pretty_name": f"Training text of the arm {method}",
            "task_categories": ["text-generation"],
            "tags": ["knowledge-acquisition"],
        },
        "pretty_name",
    )
    body = render_template(
        Path(__file__).parent / "text_card.md.j2",
        repository=repository,
        method=method,
        meaning=ARMS[method].meaning if method in ARMS else "a score of the user's own",
        config=text.config,
        summary=text.summary,
        dataset=text.parameters["dataset"],
    )
    card = f"---\n{render_header(header, infos, TEXTS)}\n---\n\n{details.change_body(body)}"
    write_atomically(out / "README.md", card)
    write_croissant(header["pretty_name"], repository, header, details, infos, out)
    leave_out_paths(out)
