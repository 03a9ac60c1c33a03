"""What a grid survives: kills at random moments, a full disk, damaged files.

A small grid runs once to its end. Then the same grid is killed with SIGKILL at 20 random moments
and finished; runs into a disk that is full, and is finished when there is room; loses and gets
broken files, and is run again. Every time all cells have to hold the same predictions, byte for
byte.

    python benchmarks/survival.py [--kills 20] [--seed 0]
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

PLAN = {
    "dataset": {"people": 6, "start": 8000, "dev_rate": 0},
    "model": "nano-large",
    "arms": ["plain", "random", "permute"],
    "augment": {"copies": 3},
    "training": {"epochs": 1, "checkpoint_minutes": 0.01},
    "seeds": [0, 1],
}


def command(plan: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "elusive.cli.main", "run", str(plan), "--out", str(out)]


def finish(plan: Path, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(plan, out), capture_output=True, text=True, check=False)


def answers(out: Path) -> dict[str, bytes]:
    """Predictions of every finished cell."""
    return {p.parent.name: p.read_bytes() for p in out.glob("cells/[!.]*/predictions.parquet")}


def compare(what: str, out: Path, whole: dict[str, bytes]) -> None:
    """Say whether all cells are as in the uninterrupted run; end if they are not."""
    found = answers(out)
    same = sum(found.get(name) == content for name, content in whole.items())
    leftovers = len(list(out.glob("cells/.*")))
    print(f"{what}: {same} of {len(whole)} cells equal byte for byte, {leftovers} leftovers")
    if found != whole or leftovers:
        sys.exit("the grid did not survive")


def killed(plan: Path, out: Path, whole: dict[str, bytes], kills: int, seconds: float) -> None:
    """Kill the grid at random moments; start it anew whenever it gets through."""
    done, finished, moments = 0, 0, []
    while done < kills:
        process = subprocess.Popen(
            command(plan, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            moment = random.uniform(0, seconds)
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            done += 1
            moments.append((round(moment, 1), len(answers(out))))
        else:
            compare(f"finished between kills, after {done}", out, whole)
            finished += 1
            shutil.rmtree(out)
    print("killed after seconds, with so many cells finished:", *moments)
    print(f"{done} kills; the grid got through {finished} times between them")


@contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[bool]:
    """A disk of a size, mounted at `folder`; False where that is not allowed."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)]
    mounted = subprocess.run(["mount", *options], check=False, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=False)


def full(plan: Path, disk: Path, whole: dict[str, bytes], kib: int) -> None:
    """Run into a full disk, make room, finish."""
    with small_disk(disk, kib) as mounted:
        if not mounted:
            print("full disk: not tried, mounting one needs root")
            return
        out = disk / "out"
        failed = finish(plan, out)
        last = (failed.stderr.strip().splitlines() or [""])[-1]
        print(f"full disk of {kib} KiB: exit code {failed.returncode}, {len(answers(out))} cells")
        print(f"  {last}")
        if failed.returncode == 0 or "No space left on device" not in last:
            sys.exit("the full disk was not noticed, or not said in one line")
        subprocess.run(["mount", "-o", f"remount,size={8 * kib}k", str(disk)], check=True)
        again = finish(plan, out)
        if again.returncode:
            sys.exit(again.stderr)
        compare("finished once there was room", out, whole)


def damaged(plan: Path, out: Path, whole: dict[str, bytes]) -> None:
    """Break a file of each of three cells, and a training text."""
    cells = sorted(out.glob("cells/[!.]*"))
    (cells[0] / "predictions.parquet").write_bytes(b"\0" * 100)
    (cells[1] / "metrics.json").unlink()
    (cells[2] / "manifest.json").write_text("{")
    next(out.glob("train/*/texts/*.arrow")).write_bytes(b"nothing")
    again = finish(plan, out)
    if again.returncode:
        sys.exit(again.stderr)
    for line in again.stderr.splitlines():
        if "damaged" in line:
            print(f"  {line.replace(str(out), 'OUT')}")
    compare("three damaged cells", out, whole)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        plan = root / "plan.yaml"
        plan.write_text(yaml.safe_dump(PLAN))
        start = time.perf_counter()
        first = finish(plan, root / "whole")
        seconds = time.perf_counter() - start
        if first.returncode:
            sys.exit(first.stderr)
        whole = answers(root / "whole")
        print(f"uninterrupted: {len(whole)} cells, {seconds:.0f} s")
        killed(plan, root / "out", whole, options.kills, seconds)
        if finish(plan, root / "out").returncode:
            sys.exit("the killed grid cannot be finished")
        compare("finished after the last kill", root / "out", whole)
        damaged(plan, root / "out", whole)
        size = sum(p.stat().st_size for p in (root / "whole").rglob("*") if p.is_file())
        full(plan, root / "disk", whole, int(0.6 * size / 1024))


if __name__ == "__main__":
    main()
