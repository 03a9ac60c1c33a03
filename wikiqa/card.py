"""The card of a Wikipedia question set: its source and license, and what was left out."""

import json
import shlex
from dataclasses import asdict
from functools import partial
from pathlib import Path

from elusive.common.dataset.card import find_size_category
from elusive.common.dataset.dataset_statistics import PICTURE, STATISTICS, DatasetStatistics
from elusive.common.folders import write_atomically
from elusive.common.intervals import format_estimate
from elusive.common.jinja import render_template
from elusive.wikiqa.articles import Counts
from elusive.wikiqa.config import SOURCES, WikiqaConfig
from elusive.wikiqa.questions.exam import ExamResult

LICENCES = {"CC BY-SA 4.0": "cc-by-sa-4.0", "CC BY-SA 3.0": "cc-by-sa-3.0"}
"""The Hub's identifiers of licenses."""


def write_card(
    config: WikiqaConfig,
    source: str,
    out: Path,
    counts: Counts,
    statistics: DatasetStatistics,
    exam: ExamResult | None,
) -> None:
    """Write README.md, the statistics and their plot."""
    from elusive.common.dataset.statistics_plot import draw_statistics

    numbers = statistics.as_json() | {"read_and_left_out": dict(sorted(counts.items()))}
    numbers |= {"exam": asdict(exam) if exam else None}
    write_atomically(out / STATISTICS, json.dumps(numbers, indent=2) + "\n")
    title = f"{statistics.entities:,} articles, {statistics.documents:,} paragraphs"
    draw_statistics(statistics, out / PICTURE, title)
    card = render_template(
        Path(__file__).parent / "card.md.j2",
        config=config,
        source=source,
        command=build_command_line(config, source),
        licence=LICENCES.get(config.licence, "other"),
        counts=sorted(counts.items()),
        exam=exam,
        share=partial(format_estimate, scale=100, digits=1),
        statistics=statistics,
        size_category=find_size_category(statistics.documents),
    )
    write_atomically(out / "README.md", card)


def build_command_line(config: WikiqaConfig, source: str) -> str:
    """Build the command that makes this dataset, without the settings that have their default."""
    (kind,) = [name for name in SOURCES if getattr(config, name)]
    words = ["elusive", "wikiqa"]
    for name in [path.name for path in config.dump] or [source]:
        words += [f"--{kind}", name]
    for name, setting in config.model_dump(exclude_defaults=True, exclude={kind}).items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(setting, bool):
            words.append(flag)
        else:
            values = setting if isinstance(setting, tuple) else [setting]
            words += [word for value in values for word in (flag, str(value))]
    return shlex.join([*words, "--out", "DIR"])
