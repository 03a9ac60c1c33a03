"""Convert a leaderboard to two Hub repositories: a static Space with its page, and its entries.

The dataset repository is a leaderboard's folder itself, so a downloaded copy can be checked, built
and added to; the Space is what visitors open.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCardData, SpaceCardData

from elusive.common.folders import MANIFEST, write_atomically
from elusive.common.jinja import render_template
from elusive.report.leaderboard.board import ENTRIES, SCHEMA
from elusive.report.leaderboard.board_settings import (
    SETTINGS,
    BoardSettings,
    load_board_settings,
    render_board_settings,
)
from elusive.report.leaderboard.build import MARKDOWN, PAGE, TABLE, build_board

SPACE, DATASET = "space", "dataset"
"""Folders of the two repositories' content."""
OWNED = {
    SPACE: ("README.md", PAGE, "style.css", MARKDOWN, TABLE, MANIFEST),
    DATASET: ("README.md", SCHEMA, SETTINGS, MARKDOWN, TABLE, MANIFEST),
}
"""Files of each repository that publishing may delete. Entries are not among them: a pull request
may have added some on the Hub that this folder does not hold. `style.css` is the Hub's own, which a
new static Space has."""
ADDRESS = "https://huggingface.co"


def build_board_repositories(
    board: Path,
    out: Path,
    repository: str,
    metric: str = "em",
    on_entry: Callable[[], object] = lambda: None,
    datasets: Sequence[Path] = (),
) -> int:
    """Write the content of a Space and of a dataset repository of the same name.

    Args:
        board: folder of the leaderboard.
        out: existing folder; gets the folders `space` and `dataset`.
        repository: identifier of both repositories, for their cards.
        metric: metric that ranks the arms: as in `build_table`.
        on_entry: called after each entry is read.
        datasets: folders of datasets, with which gold answers are compared.

    Returns:
        Number of entries.

    Raises:
        InputError: `elusive leaderboard check` finds a problem, or there is no such metric.
    """
    # 1) The page and the tables, which say where to submit.
    settings = load_board_settings(board)
    if settings.submit_to is None:
        settings = settings.model_copy(update={"submit_to": f"{ADDRESS}/datasets/{repository}"})
    count = 0

    def add_entry() -> None:
        nonlocal count
        count += 1
        on_entry()

    build_board(board, out / SPACE, metric, add_entry, datasets, settings)
    # 2) The entries, as a leaderboard's folder with the tables beside them.
    (out / DATASET).mkdir()
    names = shutil.ignore_patterns(".*")
    shutil.copytree(board / ENTRIES, out / DATASET / ENTRIES, ignore=names)
    shutil.copyfile(board / SCHEMA, out / DATASET / SCHEMA)
    write_atomically(out / DATASET / SETTINGS, render_board_settings(settings))
    for name in (MARKDOWN, TABLE):
        shutil.copyfile(out / SPACE / name, out / DATASET / name)
    # 3) Their cards, and the mark by which `elusive publish` knows its own repositories.
    values = {"title": settings.title, "about": settings.about, "repository": repository}
    for part, data in _build_headers(settings, repository).items():
        template = Path(__file__).parent / f"{part}_card.md.j2"
        text = render_template(template, header=data.to_yaml(), entries=count, **values)
        write_atomically(out / part / "README.md", text)
        manifest = {"kind": "leaderboard", "entries": count, "elusive": version("elusive")}
        write_atomically(out / part / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    return count


def _build_headers(settings: BoardSettings, repository: str) -> dict[str, Any]:
    tags = ["elusive", "leaderboard", "knowledge-learning", "closed-book-qa"]
    configs = [
        {"config_name": "leaderboard", "default": True, "data_files": TABLE},
        # The names of entries have 12 characters; those of other Parquet files have more.
        {"config_name": "answers", "data_files": f"{ENTRIES}/{'?' * 12}.parquet"},
    ]
    return {
        SPACE: SpaceCardData(
            title=settings.title,
            emoji="\N{BAR CHART}",
            colorFrom="blue",
            colorTo="green",
            sdk="static",
            app_file=PAGE,
            pinned=False,
            datasets=[repository],
            tags=tags,
        ),
        DATASET: DatasetCardData(
            pretty_name=settings.title,
            task_categories=["question-answering"],
            tags=tags,
            configs=configs,
        ),
    }
