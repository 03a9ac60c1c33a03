"""The card of a Wikipedia question set: where it comes from, what was left out, and its licence."""

import json
import shlex
from pathlib import Path

from elusive.common.cards import render_template, size_category
from elusive.common.dataset_statistics import PICTURE, STATISTICS, DatasetStatistics
from elusive.common.folders import write_atomically
from elusive.wikiqa.articles import Counts
from elusive.wikiqa.config import SOURCES, WikiqaConfig

LICENCES = {"CC BY-SA 4.0": "cc-by-sa-4.0", "CC BY-SA 3.0": "cc-by-sa-3.0"}
"""Identifiers of the Hub."""


def write_card(
    config: WikiqaConfig, source: str, out: Path, counts: Counts, statistics: DatasetStatistics
) -> None:
    """Write README.md, the statistics and their picture."""
    from elusive.common.pictures import draw_statistics

    numbers = statistics.as_json() | {"read_and_left_out": dict(sorted(counts.items()))}
    write_atomically(out / STATISTICS, json.dumps(numbers, indent=2) + "\n")
    title = f"{statistics.entities:,} articles, {statistics.documents:,} paragraphs"
    draw_statistics(statistics, out / PICTURE, title)
    card = render_template(
        Path(__file__).parent,
        config=config,
        source=source,
        command=command_line(config, source),
        licence=LICENCES.get(config.licence, "other"),
        counts=sorted(counts.items()),
        statistics=statistics,
        size_category=size_category(statistics.documents),
    )
    write_atomically(out / "README.md", card)


def command_line(config: WikiqaConfig, source: str) -> str:
    """The command that makes this dataset; settings that have their default are left out."""
    (kind,) = [name for name in SOURCES if getattr(config, name) is not None]
    words = ["elusive", "wikiqa", f"--{kind}", source]
    for name, setting in config.model_dump(exclude_defaults=True, exclude={kind}).items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(setting, bool):
            words.append(flag)
        else:
            for value in setting if isinstance(setting, tuple) else [setting]:
                words += [flag, str(value)]
    return shlex.join([*words, "--out", "DIR"])
