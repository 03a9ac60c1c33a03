"""The card of a biography dataset: what it is, what is in it, and how to make it again."""

import json
import math
from pathlib import Path

import yaml

from elusive.biogen.biographies import biographies
from elusive.biogen.config import BiogenConfig
from elusive.biogen.questions import questions
from elusive.biogen.world import build_world
from elusive.common.dataset.card import size_category
from elusive.common.dataset.dataset_statistics import PICTURE, STATISTICS, DatasetStatistics
from elusive.common.folders import write_atomically
from elusive.common.templates import render_template

OWN_FIELDS = "own_fields.yaml"


def write_card(
    config: BiogenConfig, out: Path, statistics: DatasetStatistics | None = None
) -> None:
    """Write README.md and, once there are statistics, those with their picture.

    Before, the card says that the dataset is being written; `datasets` finds its tables all the
    same.
    """
    if statistics:
        from elusive.common.dataset.statistics_plot import draw_statistics

        numbers = statistics.as_json() | {"pool_bits": pool_bits(config)}
        write_atomically(out / STATISTICS, json.dumps(numbers, indent=2) + "\n")
        title = f"{statistics.entities:,} people, {statistics.documents:,} biographies"
        draw_statistics(statistics, out / PICTURE, title)
    if config.own_fields:
        fields = [f.model_dump(mode="json", exclude_defaults=True) for f in config.own_fields]
        text = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
        write_atomically(out / OWN_FIELDS, text)
    write_atomically(out / "README.md", render_card(config, statistics))


def render_card(config: BiogenConfig, statistics: DatasetStatistics | None) -> str:
    """The card as markdown with the Hub's YAML header."""
    num_documents = config.people * config.documents_per_person
    return render_template(
        Path(__file__).parent / "card.md.j2",
        config=config,
        command=command_line(config),
        statistics=statistics,
        example=next(biographies(config)),
        asked=next(questions(config), None),
        num_documents=num_documents,
        pool_bits=pool_bits(config),
        size_category=size_category(num_documents),
    )


def pool_bits(config: BiogenConfig) -> dict[str, float]:
    """Bits that the generator draws per person: for the name and for each field.

    What follows from something else, such as the company's city, has none; a pair of siblings
    share their names, so a relation has none either.
    """
    world = build_world(config)
    bits = {"name": math.log2(world.names.num_people())}
    for field, count in zip(world.fields, world.values.count, strict=True):
        free = not (field.relation or field.depends_on)
        bits[field.name] = math.log2(count) if free else 0.0
    return bits


def command_line(config: BiogenConfig) -> str:
    """The command that makes this dataset; settings that have their default are left out."""
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
    defaults = {"people": config.people, "seed": config.seed}
    given = " ".join(flags)
    for name, value in reversed(defaults.items()):
        if f"--{name} " not in f"{given} ":
            flags.insert(0, f"--{name} {value}")
    return " ".join(["elusive biogen", *flags, "--out DIR"])
