"""Measure how fast biographies are generated, next to Faker and to writing the same bytes.

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
from elusive.biogen.compiled_config import compile_config
from elusive.biogen.config import BiogenConfig
from elusive.biogen.people import pools
from elusive.biogen.people.draw import draw_people, iterate_numbers
from elusive.common.dataset.records import SCHEMAS, Document
from elusive.common.dataset.shards import open_shard, read_batches, write_shards

SHARD = 1 << 15
FAKER_PEOPLE = 2_000
FIRST, LAST = datetime.date(1900, 1, 1), datetime.date(2005, 12, 31)
TABLES = {"corpus": SCHEMAS[Document]}


def write_shard(config: BiogenConfig, out: Path, index: int) -> int:
    """Write the biographies of one shard, without questions; return the number of people."""
    compiled = compile_config(config)
    numbers = range(index * SHARD, min((index + 1) * SHARD, config.people))
    with open_shard(out, index, -(-config.people // SHARD), TABLES) as append:
        for batch in iterate_numbers(numbers.start, len(numbers)):
            append("corpus", build_biography_batch(compiled, draw_people(compiled, batch)))
    return len(numbers)


def generate(config: BiogenConfig, out: Path, workers: int) -> None:
    """Write all biographies; this includes starting the workers, hashing and syncing."""
    (out / ".progress").mkdir(parents=True)
    shards = list(range(-(-config.people // SHARD)))
    write_shards(partial(write_shard, config, out), shards, workers, lambda count: None)


def rewrite(batches: list[pa.RecordBatch], path: Path) -> None:
    """Write rows from memory, and wait until they are on the disk."""
    with pa.ipc.new_stream(str(path), TABLES["corpus"]) as writer:
        for batch in batches:
            writer.write_batch(batch)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def call_faker(count: int) -> None:
    """Draw the same fields by calling Faker for each person, without building texts."""
    faker = Faker("en_US")
    faker.seed_instance(0)
    universities, majors = pools.list_universities(), pools.read_words("majors")
    people = [
        (
            *(faker.first_name(), faker.first_name(), faker.last_name()),
            *(faker.date_between(FIRST, LAST), faker.city(), faker.company()),
            *(faker.random_element(universities), faker.random_element(majors)),
        )
        for _ in range(count)
    ]
    assert len(people) == count


def time_call(call: Callable[..., object], *arguments: object) -> float:
    """Return the seconds that one call takes."""
    start = perf_counter()
    call(*arguments)
    return perf_counter() - start


def read_into_memory(folder: Path) -> list[pa.RecordBatch]:
    """Read the rows of a corpus, copied into memory."""
    batches = []
    for batch in read_batches(folder, "corpus"):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        batches += list(pa.ipc.open_stream(sink.getvalue()))
    return batches


def run_command(people: int, out: Path) -> tuple[float, int]:
    """Run the whole command; return its seconds and the peak memory of its processes in bytes."""
    command = [sys.executable, "-m", "elusive.cli.main", "biogen", "--people", str(people)]
    start, peak = perf_counter(), 0
    with subprocess.Popen([*command, "--middle-names", "--out", str(out)]) as process:
        while process.poll() is None:
            peak = max(peak, _measure_memory(process.pid))
            threading.Event().wait(0.05)
    return perf_counter() - start, peak


def _measure_memory(pid: int) -> int:
    """Return the resident memory of a process and its children; shared pages count each time."""
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
    faker_rate = FAKER_PEOPLE / min(time_call(call_faker, FAKER_PEOPLE) for _ in range(3))
    click.echo(f"Faker per person: {faker_rate:,.0f} people/s (values only, no text)")
    root = Path(tempfile.mkdtemp(prefix="elusive-bench-"))
    for count in people:
        config = BiogenConfig(people=count, middle_names=True)
        pairs = [run_round(config, root / f"{count}-{index}", workers) for index in range(rounds)]
        rate = count / statistics.median(generating for generating, _ in pairs)
        ratio = statistics.median(generating / writing for generating, writing in pairs)
        seconds, peak = run_command(count, root / f"{count}-command")
        shutil.rmtree(root / f"{count}-command")
        click.echo(
            f"{count:,} people, medians of {rounds} rounds: {rate:,.0f} biographies/s, "
            f"{rate / faker_rate:.0f}x Faker, {ratio:.2f}x the time in which pyarrow writes them; "
            f"the whole command with questions and statistics: {seconds:.1f} s, peak memory of "
            f"all processes {peak / 2**20:.0f} MiB"
        )
    shutil.rmtree(root)


def run_round(config: BiogenConfig, folder: Path, workers: int) -> tuple[float, float]:
    """Return the seconds to generate all biographies, and to write them again from memory."""
    generating = time_call(generate, config, folder, workers)
    batches = read_into_memory(folder)
    copy = folder / "copy.arrow"
    writing = statistics.median(time_call(rewrite, batches, copy) for _ in range(3))
    megabytes = sum(batch.nbytes for batch in batches) / 1e6
    shutil.rmtree(folder)
    click.echo(
        f"{config.people:,} biographies in {generating:.2f} s; pyarrow writes the "
        f"{megabytes:.0f} MB in {writing:.2f} s: {generating / writing:.2f}x"
    )
    return generating, writing


if __name__ == "__main__":
    main()
