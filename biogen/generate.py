"""A biography dataset as a folder, written shard by shard."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from elusive.biogen.biographies import biography_batch
from elusive.biogen.card import write_card
from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.draw import draw_people, people_ranges, shot_numbers
from elusive.biogen.questions import question_batch, shot_batch
from elusive.biogen.world import build_world
from elusive.common.dataset.dataset_statistics import dataset_statistics
from elusive.common.dataset.records import SCHEMAS, Document, Question, Shot
from elusive.common.dataset.shards import (
    claimed_folder,
    finish_folder,
    is_written,
    run_all,
    shard_writer,
)

SHARD_DOCUMENTS = 1 << 15
"""Documents per shard: what a killed run loses at most, for each worker."""

PEOPLE_TABLES = {"corpus": SCHEMAS[Document], "questions": SCHEMAS[Question]}
SHOT_TABLES = {"shots": SCHEMAS[Shot]}


def generate_dataset(
    config: BiogenConfig,
    out: Path,
    workers: int = 1,
    on_people: Callable[[int], object] = lambda count: None,
) -> bool:
    """Write the dataset of `config` to `out`; False if `out` holds it already.

    Finished shards can be read while the others are written, and are kept when the run is
    interrupted: the same call goes on from there.

    Args:
        config: what decides the content.
        out: folder to write.
        workers: processes; the bytes written do not depend on them.
        on_people: called with the number of people written since the last call.

    Raises:
        InputError: what the config asks for cannot be had, or `out` holds something else.
    """
    build_world(config)  # what is wrong is said before anything is written
    parameters = {"generator": "biogen", **config.model_dump(mode="json")}
    with claimed_folder(out, "dataset", parameters) as is_mine:
        if is_mine:
            _write_tables(config, out, workers, on_people)
            write_card(config, out, dataset_statistics(out, config.fields))
            finish_folder(out, "dataset", parameters, PEOPLE_TABLES | SHOT_TABLES)
    return is_mine


def _write_tables(
    config: BiogenConfig, out: Path, workers: int, on_people: Callable[[int], object]
) -> None:
    """Write what is missing of the tables, beneath a card that says so."""
    write_card(config, out)
    _write_shots(config, out)
    count = len(_shards(config))
    missing = [n for n in range(count) if not is_written(out, n, count, PEOPLE_TABLES)]
    on_people(config.people - sum(len(_shards(config)[n]) for n in missing))
    run_all(partial(_write_shard, config, out), missing, workers, on_people)


def _shards(config: BiogenConfig) -> list[range]:
    """The people of each shard."""
    size = max(1, SHARD_DOCUMENTS // config.documents_per_person)
    end = config.start + config.people
    return [range(begin, min(begin + size, end)) for begin in range(config.start, end, size)]


def _write_shard(config: BiogenConfig, out: Path, index: int) -> int:
    """Write biographies and questions of one shard's people; how many people."""
    world, shards = build_world(config), _shards(config)
    mine = shards[index]
    with shard_writer(out, index, len(shards), PEOPLE_TABLES) as append:
        for numbers in people_ranges(mine.start, len(mine)):
            people = draw_people(world, numbers)
            append("corpus", biography_batch(world, people))
            append("questions", question_batch(world, people))
    return len(mine)


def _write_shots(config: BiogenConfig, out: Path) -> None:
    """Write the solved questions about people outside the corpus."""
    if is_written(out, 0, 1, SHOT_TABLES):
        return
    world = build_world(config)
    with shard_writer(out, 0, 1, SHOT_TABLES) as append:
        append("shots", shot_batch(world, draw_people(world, shot_numbers(world))))
