"""Grids and shards that are made on a cluster while things go wrong, as they are made locally."""

import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from commands import write_grid_plan

from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset

PATIENCE = 300
NUM_SHARDS = 3
STARTED: list[subprocess.Popen] = []
DIVERGING = {"method": "plain", "label": "diverging", "training": {"learning_rate": 1e30}}
LONG = {"epochs": 8, "batch_size": 1, "checkpoint_minutes": 1e-6, "format_replay": 2}


def write_long_plan(folder: Path, model_folder: Callable[..., Path], **changes: object) -> Path:
    """Write a plan of two cells of some seconds, which save each step, and one that fails."""
    options = {"training": LONG, "seeds": [0], "untrained": False}
    arms = ["plain", "random", DIVERGING]
    return write_grid_plan(folder, model_folder, arms=arms, **options | changes)


def start_run(plan: Path, out: Path, *options: object) -> subprocess.Popen:
    """Start `elusive run` in a process of its own."""
    code = "from elusive.cli.main import main; main()"
    command = [sys.executable, "-c", code, "run", plan, "--out", out, *options]
    with out.with_suffix(".txt").open("a") as log:
        STARTED.append(subprocess.Popen([*map(str, command)], stdout=log, stderr=log))
    return STARTED[-1]


def end_started() -> None:
    """End what a test that failed has left."""
    while STARTED:
        kill(STARTED.pop())


def read_failures(out: Path) -> dict[str, str]:
    """Error of each cell that failed."""
    records = [json.loads(path.read_text()) for path in out.glob("failed/*.json")]
    return {record["cell"]: record["error"] for record in records}


def read_results(out: Path) -> list[dict[str, str]]:
    """Rows of the table, without what they cost."""
    with (out / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{name: row[name] for name in ("arm", "em", "f1", "log_probability")} for row in rows]


def read_outcomes(out: Path) -> dict[str, bytes]:
    """Answers and adapters of every cell, as bytes."""
    paths = [
        *out.glob("cells/[!.]*/predictions.parquet"),
        *out.glob("cells/*/adapter/*.safetensors"),
    ]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}


def list_hidden(out: Path) -> list[str]:
    """Names of what unfinished cells have left, such as the checkpoints of one that failed."""
    return sorted(path.name for path in out.glob("cells/.*"))


def wait_until(condition: Callable[[], object], process: subprocess.Popen | None = None) -> None:
    """Wait until something is the case; the process must not end before."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "patience is at an end"
        assert process is None or process.poll() is None, "the command has ended"
        time.sleep(0.02)


def find_checkpoints(out: Path, arm: str) -> list[Path]:
    """Checkpoints of an arm's cell that are complete."""
    return sorted(out.glob(f"cells/.{arm}-*.checkpoints/*/checkpoint-*/trainer_state.json"))


def find_processes(marks: dict[str, str]) -> Iterator[int]:
    """Numbers of the Python processes that have these environment variables."""
    wanted = {f"{name}={value}".encode() for name, value in marks.items()}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found = set((folder / "environ").read_bytes().split(b"\0"))
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if wanted <= found and b"python" in command.split(b"\0")[0]:
            yield int(folder.name)


def kill(process: subprocess.Popen) -> None:
    """Kill a process as the system does when its memory is used up."""
    process.kill()
    process.wait()


def write_people(folder: Path) -> Path:
    """Write a dataset whose training text has three shards."""
    config = BiogenConfig(people=9000, fields=("company",), middle_names=True, num_shot_people=2)
    generate_dataset(config, folder)
    return folder


def read_tables(out: Path) -> dict[str, bytes]:
    """All files of a folder but the times that it took."""
    files = {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    return {name: content for name, content in files.items() if name != "summary.json"}


def start_command(out: Path, *words: object) -> subprocess.Popen:
    """Start a command that writes to a folder in a process of its own."""
    code = "from elusive.cli.main import main; main()"
    words = (*words, "--out", out)
    with out.with_suffix(".txt").open("a") as log:
        command = [sys.executable, "-c", code, *map(str, words)]
        STARTED.append(subprocess.Popen(command, stdout=log, stderr=log))
    return STARTED[-1]
