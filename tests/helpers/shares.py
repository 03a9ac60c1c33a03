"""Commands whose shards several tasks write, and what they leave."""

import subprocess
import sys
from pathlib import Path

from grids import STARTED

from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset

NUM_SHARDS = 3


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
