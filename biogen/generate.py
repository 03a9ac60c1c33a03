"""Write a biography dataset as a folder, shard by shard."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from elusive.biogen.biographies import build_biography_batch
from elusive.biogen.card import write_card
from elusive.biogen.compiled_config import compile_config
from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.draw import compute_shot_numbers, draw_people, iterate_numbers
from elusive.biogen.questions import build_question_batch, build_shot_batch
from elusive.common.dataset.dataset_statistics import compute_dataset_statistics
from elusive.common.dataset.records import SCHEMAS, Document, Question, Shot
from elusive.common.dataset.shards import (
    claim_folder,
    count_missing,
    finish_folder,
    is_written,
    open_shard,
    write_shards,
)
from elusive.common.dataset.shared_work import Share, SharedWork

SHARD_DOCUMENTS = 1 << 15
"""Documents per shard, the most that each worker loses when a run is killed."""

PEOPLE_TABLES = {"corpus": SCHEMAS[Document], "questions": SCHEMAS[Question]}
SHOT_TABLES = {"shots": SCHEMAS[Shot]}


LATER_SETTINGS = ("repeat_name",)
"""Settings that datasets of earlier versions do not record; they had the default."""


def collect_parameters(config: BiogenConfig) -> dict[str, Any]:
    """Collect what decides a dataset, so that a folder of an earlier version is still known."""
    defaults = type(config).model_fields
    idle = {name for name in LATER_SETTINGS if getattr(config, name) == defaults[name].default}
    return {"generator": "biogen", **config.model_dump(mode="json", exclude=idle)}


def generate_dataset(
    config: BiogenConfig,
    out: Path,
    workers: int = 1,
    on_people: Callable[[int], object] = lambda count: None,
    share: Share | None = None,
) -> bool:
    """Write the dataset of `config` to `out`, unless `out` holds it already.

    Finished shards can be read while others are written, and they are kept if the run is
    interrupted: the same call resumes after them.

    Args:
        config: settings that decide the content.
        out: folder to write.
        workers: number of processes; the bytes written do not depend on it.
        on_people: called with the number of people written since the last call.
        share: has the shards written by several tasks, each with as many processes; the bytes
            written do not depend on it, either.

    Returns:
        Whether anything was written.

    Raises:
        InputError: there are not enough names, fields and templates do not fit the config, or
            `out` holds something else.
    """
    compile_config(config)  # reports errors before anything is written
    parameters = collect_parameters(config)
    with claim_folder(out, "dataset", parameters) as is_mine:
        if is_mine:
            write_card(config, out)  # it says that the dataset is not finished
            _write_shots(config, out)
            if share:
                share(_build_work(config, out, workers))
            else:
                _write_people(config, out, workers, on_people=on_people)
            write_card(config, out, compute_dataset_statistics(out, config.fields))
            finish_folder(out, "dataset", parameters, PEOPLE_TABLES | SHOT_TABLES)
    return is_mine


def _build_work(config: BiogenConfig, out: Path, workers: int) -> SharedWork:
    missing = partial(count_missing, out, len(_split_people(config)), tuple(PEOPLE_TABLES))
    return SharedWork(out, "shard", partial(_write_people, config, out, workers), missing)


def _write_people(
    config: BiogenConfig,
    out: Path,
    workers: int,
    task: int = 0,
    tasks: int = 1,
    on_people: Callable[[int], object] = lambda count: None,
) -> None:
    """Write the shards `task`, `task + tasks` and so on that are missing."""
    shards = _split_people(config)
    count, mine = len(shards), range(task, len(shards), tasks)
    missing = [index for index in mine if not is_written(out, index, count, PEOPLE_TABLES)]
    on_people(sum(len(shards[i]) for i in mine) - sum(len(shards[i]) for i in missing))
    write_shards(partial(_write_shard, config, out), missing, workers, on_people)


def _split_people(config: BiogenConfig) -> list[range]:
    size = max(1, SHARD_DOCUMENTS // config.documents_per_person)
    end = config.start + config.people
    return [range(begin, min(begin + size, end)) for begin in range(config.start, end, size)]


def _write_shard(config: BiogenConfig, out: Path, index: int) -> int:
    """Write biographies and questions of the people of one shard; return the number of people."""
    compiled, shards = compile_config(config), _split_people(config)
    shard = shards[index]
    with open_shard(out, index, len(shards), PEOPLE_TABLES) as append:
        for numbers in iterate_numbers(shard.start, len(shard)):
            people = draw_people(compiled, numbers)
            append("corpus", build_biography_batch(compiled, people))
            append("questions", build_question_batch(compiled, people))
    return len(shard)


def _write_shots(config: BiogenConfig, out: Path) -> None:
    if is_written(out, 0, 1, SHOT_TABLES):
        return
    compiled = compile_config(config)
    with open_shard(out, 0, 1, SHOT_TABLES) as append:
        append(
            "shots",
            build_shot_batch(compiled, draw_people(compiled, compute_shot_numbers(compiled))),
        )
