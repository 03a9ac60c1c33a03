"""The card of a Wikipedia question set: where it comes from, what was left out, and its licence."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path

from elusive.common.dataset.card import size_category
from elusive.common.dataset.dataset_statistics import PICTURE, STATISTICS, DatasetStatistics
from elusive.common.folders import write_atomically
from elusive.common.intervals import Estimate
from elusive.common.templates import render_template
from elusive.wikiqa.articles import Counts
from elusive.wikiqa.config import SOURCES, WikiqaConfig
from elusive.wikiqa.questions.exam import ExamResult

LICENCES = {"CC BY-SA 4.0": "cc-by-sa-4.0", "CC BY-SA 3.0": "cc-by-sa-3.0"}
"""Identifiers of the Hub."""


def write_card(
    config: WikiqaConfig,
    source: str,
    out: Path,
    counts: Counts,
    statistics: DatasetStatistics,
    exam: ExamResult | None,
) -> None:
    """Write README.md, the statistics and their picture."""
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
        command=command_line(config, source),
        licence=LICENCES.get(config.licence, "other"),
        counts=sorted(counts.items()),
        exam=exam,
        share=_share,
        statistics=statistics,
        size_category=size_category(statistics.documents),
    )
    write_atomically(out / "README.md", card)


def _share(estimate: Estimate) -> str:
    """A share and its interval in percent."""
    return f"{100 * estimate.mean:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


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
