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
from elusive.common.text.counts import format_count
from elusive.wikiqa.articles import Counts
from elusive.wikiqa.config import UNKNOWN_LICENCE, WIKIPEDIA_LICENCE, WikiqaConfig
from elusive.wikiqa.left_out import LEFT_OUT, list_left_out
from elusive.wikiqa.questions.exam import ExamResult

LICENCES = {
    WIKIPEDIA_LICENCE: "cc-by-sa-4.0",
    "CC BY-SA 3.0": "cc-by-sa-3.0",
    UNKNOWN_LICENCE: "unknown",
}
"""The Hub's identifiers of licenses."""

MOST_LEFT_OUT = 50
"""Reasons that the card lists; statistics.json has all."""


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

    left_out = list_left_out(counts)
    others = [(name, number) for name, number in sorted(counts.items()) if LEFT_OUT not in name]
    ordered = dict(others) | {f"{LEFT_OUT}{name}": number for name, number in left_out}
    numbers = statistics.as_json() | {"read_and_left_out": ordered}
    numbers |= {"exam": asdict(exam) if exam else None}
    write_atomically(out / STATISTICS, json.dumps(numbers, indent=2) + "\n")
    articles = format_count(statistics.entities, "article")
    paragraphs = format_count(statistics.documents, "paragraph")
    draw_statistics(statistics, out / PICTURE, f"{articles}, {paragraphs}")
    card = render_template(
        Path(__file__).parent / "card.md.j2",
        config=config,
        source=source,
        title="Questions about " if config.is_own_text else "Wikipedia questions from ",
        command=build_command_line(config, source),
        licence=LICENCES.get(config.licence or UNKNOWN_LICENCE, "other"),
        counts=others,
        left_out=left_out,
        most_left_out=MOST_LEFT_OUT,
        exam=exam,
        share=partial(format_estimate, scale=100, digits=1),
        statistics=statistics,
        size_category=find_size_category(statistics.documents),
    )
    write_atomically(out / "README.md", card)


def build_command_line(config: WikiqaConfig, source: str) -> str:
    """Build the command that makes this dataset, without the settings that have their default."""
    kind = config.source
    words = ["elusive", "wikiqa"]
    for name in [path.name for path in config.dump] or [source]:
        words += [f"--{kind}", name]
    left_out = {kind} | ({"licence"} if config.has_default_licence else set())
    for name, setting in config.model_dump(exclude_defaults=True, exclude=left_out).items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(setting, bool):
            words.append(flag)
        elif name == "endpoint":
            words += [flag, "URL"]  # its address is nobody else's
        elif isinstance(setting, Path):
            words += [flag, setting.resolve().name]
        else:
            values = setting if isinstance(setting, tuple) else [setting]
            words += [word for value in values for word in (flag, str(value))]
    return shlex.join([*words, "--out", "DIR"])
