"""How fast biographies are made, next to Faker per person and to writing the same bytes.

python benchmarks/biogen.py --people 100000 --people 1000000
"""

import datetime
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter

import click
import psutil
import pyarrow as pa
from faker import Faker

from elusive.biogen.biographies import build_biography_batch
from elusive.biogen.config import BiogenConfig
from elusive.biogen.people import pools
from elusive.biogen.people.draw import draw_people, iterate_numbers
from elusive.biogen.world import build_world
from elusive.common.dataset.records import SCHEMAS, Document
from elusive.common.dataset.shards import open_shard, read_batches, write_shards

SHARD = 1 << 15
FAKER_PEOPLE = 2_000
FIRST, LAST = datetime.date(1900, 1, 1), datetime.date(2005, 12, 31)
TABLES = {"corpus": SCHEMAS[Document]}


def write_shard(config: BiogenConfig, out: Path, index: int) -> int:
    """Write the biographies of one shard, without questions."""
    world = build_world(config)
    numbers = range(index * SHARD, min((index + 1) * SHARD, config.people))
    with open_shard(out, index, -(-config.people // SHARD), TABLES) as append:
        for some in iterate_numbers(numbers.start, len(numbers)):
            append("corpus", build_biography_batch(world, draw_people(world, some)))
    return len(numbers)


def generate(config: BiogenConfig, out: Path, workers: int) -> None:
    """Write all biographies: start-up of the workers, hashing and syncing included."""
    (out / ".progress").mkdir(parents=True)
    shards = list(range(-(-config.people // SHARD)))
    write_shards(partial(write_shard, config, out), shards, workers, lambda count: None)


def rewrite(batches: list[pa.RecordBatch], path: Path) -> None:
    """Write rows that are in memory, and wait until they are on the disk."""
    with pa.ipc.new_stream(str(path), TABLES["corpus"]) as writer:
        for batch in batches:
            writer.write_batch(batch)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def call_faker(count: int) -> None:
    """Draw the same fields by calling Faker for each person; no text is made."""
    faker = Faker("en_US")
    faker.seed_instance(0)
    universities, majors = pools.list_universities(), pools.read_words("majors")
    drawn = [
        (
            *(faker.first_name(), faker.first_name(), faker.last_name()),
            *(faker.date_between(FIRST, LAST), faker.city(), faker.company()),
            *(faker.random_element(universities), faker.random_element(majors)),
        )
        for _ in range(count)
    ]
    assert len(drawn) == count


def timed(call: Callable[..., object], *arguments: object) -> float:
    """Seconds of one call."""
    start = perf_counter()
    call(*arguments)
    return perf_counter() - start


def in_memory(folder: Path) -> list[pa.RecordBatch]:
    """The rows of a corpus, copied into memory."""
    batches = []
    for batch in read_batches(folder, "corpus"):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        batches += list(pa.ipc.open_stream(sink.getvalue()))
    return batches


def run_command(people: int, out: Path) -> tuple[float, int]:
    """Seconds of the whole command, and the peak of the summed memory of its processes in bytes."""
    command = [sys.executable, "-m", "elusive.cli.main", "biogen", "--people", str(people)]
    start, peak = perf_counter(), 0
    with subprocess.Popen([*command, "--middle-names", "--out", str(out)]) as process:
        while process.poll() is None:
            peak = max(peak, _memory(process.pid))
            threading.Event().wait(0.05)
    return perf_counter() - start, peak


def _memory(pid: int) -> int:
    """Resident memory of a process and all that it started, pages in common counted each time."""
    total = 0
    try:
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


@click.command()
@click.option("--people", multiple=True, type=int, default=(100_000, 1_000_000), show_default=True)
@click.option("--workers", default=len(os.sched_getaffinity(0)), show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(people: tuple[int, ...], workers: int, rounds: int) -> None:
    """Print biographies per second, ratios within each round, and peak memory."""
    faker_rate = FAKER_PEOPLE / min(timed(call_faker, FAKER_PEOPLE) for _ in range(3))
    click.echo(f"Faker per person: {faker_rate:,.0f} people/s (values only, no text)")
    root = Path(tempfile.mkdtemp(prefix="elusive-bench-"))
    for count in people:
        config = BiogenConfig(people=count, middle_names=True)
        pairs = [one_round(config, root / f"{count}-{turn}", workers) for turn in range(rounds)]
        rate = count / statistics.median(made for made, _ in pairs)
        ratio = statistics.median(made / written for made, written in pairs)
        seconds, peak = run_command(count, root / f"{count}-command")
        shutil.rmtree(root / f"{count}-command")
        click.echo(
            f"{count:,} people, medians of {rounds} rounds: {rate:,.0f} biographies/s, "
            f"{rate / faker_rate:.0f}x Faker, {ratio:.2f}x the time in which pyarrow writes them; "
            f"the whole command with questions and statistics: {seconds:.1f} s, peak memory of "
            f"all processes {peak / 2**20:.0f} MiB"
        )
    shutil.rmtree(root)


def one_round(config: BiogenConfig, folder: Path, workers: int) -> tuple[float, float]:
    """Seconds to make all biographies, and for pyarrow to write them again from memory."""
    made = timed(generate, config, folder, workers)
    batches = in_memory(folder)
    again = folder / "again.arrow"
    written = statistics.median(timed(rewrite, batches, again) for _ in range(3))
    megabytes = sum(batch.nbytes for batch in batches) / 1e6
    shutil.rmtree(folder)
    click.echo(
        f"{config.people:,} biographies in {made:.2f} s; pyarrow writes the {megabytes:.0f} MB in "
        f"{written:.2f} s: {made / written:.2f}x"
    )
    return made, written


if __name__ == "__main__":
    main()
