"""Peak memory and time of the commands that read or write a whole corpus, by the number of people.

Memory is the resident memory of a command and its children, pages of mapped files included. Each
output is deleted once nothing needs it any more, and --out is empty in the end.

python benchmarks/memory.py --people 20000 --people 100000 --out /tmp/memory
"""

import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from time import perf_counter

import click
import psutil

DATA = "data"
POLL_SECONDS = 0.2
"""Time between two looks at a long command; short ones are looked at more often."""
STEPS: dict[str, tuple[str, ...]] = {
    "biogen": ("biogen", "--middle-names", "--people", "{people}", "--out", "{data}"),
    "augment, random": ("augment", "{data}", "--method", "random", "--out", "{out}"),
    "augment, permute": ("augment", "{data}", "--method", "permute", "--out", "{out}"),
    "augment, first 10": (
        *("augment", "{data}", "--method", "random", "--limit", "10"),
        *("--out", "{out}"),
    ),
    "check": ("check", "{data}"),
    "publish --dry-run": ("publish", "{data}", "--to", "an/example", "--dry-run", "--out", "{out}"),
    "export, lm-eval": ("export", "{data}", "--format", "lm-eval", "--out", "{out}"),
    "export, squad": ("export", "{data}", "--format", "squad", "--out", "{out}"),
}
"""Each command; `{data}` is the dataset and `{out}` what is deleted afterwards."""


def run_step(words: tuple[str, ...]) -> tuple[float, float, int]:
    """Run a command; return its seconds, its seconds of processor time and its peak memory."""
    command = [sys.executable, "-m", "elusive.cli.main", *words]
    start, peak, busy = perf_counter(), 0, 0.0
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors) as process,
    ):
        while process.poll() is None:
            memory, times = measure_tree(process.pid)
            peak, busy = max(peak, memory), max(busy, times)
            threading.Event().wait(min(POLL_SECONDS, 0.02 + (perf_counter() - start) / 100))
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"{' '.join(words)}: {errors.read().decode()[-400:]}")
    return perf_counter() - start, busy, peak


def measure_tree(pid: int) -> tuple[int, float]:
    """Return the resident memory and the processor time of a process and its children."""
    memory, busy = 0, 0.0
    try:
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            memory += process.memory_info().rss
            busy += sum(process.cpu_times()[:2])
    except psutil.NoSuchProcess:
        pass
    return memory, busy


@click.command()
@click.option("--people", multiple=True, type=int, default=(20_000, 100_000), show_default=True)
@click.option("--step", "steps", multiple=True, help="Run only these steps, and biogen.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to work in.")
def main(people: tuple[int, ...], steps: tuple[str, ...], out: Path) -> None:
    """Print one row per number of people and command."""
    click.echo("| people | command | MiB | seconds | of processor time |\n|---|---|---|---|---|")
    for count in people:
        data, scratch = out / DATA, out / "out"
        for name, words in STEPS.items():
            if steps and name not in (*steps, "biogen"):
                continue
            values = {"people": count, "data": data, "out": scratch}
            seconds, busy, peak = run_step(tuple(word.format(**values) for word in words))
            click.echo(f"| {count:,} | {name} | {peak >> 20:,} | {seconds:.1f} | {busy:.1f} |")
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.unlink(missing_ok=True)
        shutil.rmtree(data)


if __name__ == "__main__":
    main()
