"""The card of a biography dataset: its content, its statistics, and the command that builds it."""

import json
import math
from pathlib import Path

import yaml

from elusive.biogen.biographies import generate_biographies
from elusive.biogen.compiled_config import compile_config
from elusive.biogen.config import BiogenConfig
from elusive.biogen.questions import generate_questions
from elusive.common.dataset.card import find_size_category
from elusive.common.dataset.dataset_statistics import PICTURE, STATISTICS, DatasetStatistics
from elusive.common.folders import write_atomically
from elusive.common.jinja import render_template
from elusive.common.text.counts import format_count

OWN_FIELDS = "own_fields.yaml"
"""File in the dataset folder that keeps the user's own fields."""


def write_card(
    config: BiogenConfig, out: Path, statistics: DatasetStatistics | None = None
) -> None:
    """Write README.md and, once there are statistics, the statistics with their picture.

    Without statistics, the card says that the dataset is being written; `datasets` finds its tables
    nonetheless.
    """
    if statistics:
        from elusive.common.dataset.statistics_plot import draw_statistics

        numbers = statistics.as_json() | {"pool_bits": compute_pool_bits(config)}
        write_atomically(out / STATISTICS, json.dumps(numbers, indent=2) + "\n")
        people = format_count(statistics.entities, "person")
        biographies = format_count(statistics.documents, "biography")
        draw_statistics(statistics, out / PICTURE, f"{people}, {biographies}")
    if config.own_fields:
        fields = [f.model_dump(mode="json", exclude_defaults=True) for f in config.own_fields]
        text = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
        write_atomically(out / OWN_FIELDS, text)
    write_atomically(out / "README.md", render_card(config, statistics))


def render_card(config: BiogenConfig, statistics: DatasetStatistics | None) -> str:
    """Render the card as markdown with the Hub's YAML header."""
    num_documents = config.people * config.documents_per_person
    return render_template(
        Path(__file__).parent / "card.md.j2",
        config=config,
        command=build_command_line(config),
        statistics=statistics,
        example=next(generate_biographies(config)),
        question=next(generate_questions(config), None),
        num_documents=num_documents,
        pool_bits=compute_pool_bits(config),
        size_category=find_size_category(num_documents),
    )


def compute_pool_bits(config: BiogenConfig) -> dict[str, float]:
    """Compute the bits that the generator draws per person, for the name and for each field.

    A field that follows from another, such as the company's city, has none. Neither has a relation,
    which follows from the person's number.
    """
    compiled = compile_config(config)
    bits = {"name": math.log2(compiled.names.num_people)}
    for field, pieces in zip(compiled.fields, compiled.values.pieces, strict=True):
        is_free = not (field.relation or field.depends_on)
        bits[field.name] = math.log2(len(pieces)) if is_free else 0.0
    return bits


def build_command_line(config: BiogenConfig) -> str:
    """Return the command that builds this dataset, without settings that have their default."""
    flags = []
    for name, setting in config.model_dump(exclude_defaults=True, exclude={"own_fields"}).items():
        flag = name.replace("_", "-")
        if isinstance(setting, bool):
            flags.append(f"--{flag}" if setting else f"--no-{flag}")
        else:
            values = setting if isinstance(setting, tuple) else [setting]
            flags += [f"--{flag} {value}" for value in values]
    if config.own_fields:
        flags.append(f"--field-file {OWN_FIELDS}")
    # The command gives people and seed even if they have their defaults.
    for name, value in (("seed", config.seed), ("people", config.people)):
        if not any(flag.startswith(f"--{name} ") for flag in flags):
            flags.insert(0, f"--{name} {value}")
    return " ".join(["elusive biogen", *flags, "--out DIR"])
