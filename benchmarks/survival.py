"""What a grid survives: kills at random moments, a full disk, damaged files.

A small grid first runs to its end. Then the same grid is killed with SIGKILL at 20 random moments
and finished; it fills a disk, and is finished once there is room; it loses files, gets broken ones,
and is run again. Every time, all cells must hold the same predictions, byte for byte.

python benchmarks/survival.py --kills 20 --seed 0
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


def build_command(plan: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "elusive.cli.main", "run", str(plan), "--out", str(out)]


def run_grid(plan: Path, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(build_command(plan, out), capture_output=True, text=True, check=False)


def read_answers(out: Path) -> dict[str, bytes]:
    """Read the predictions of every finished cell."""
    return {p.parent.name: p.read_bytes() for p in out.glob("cells/[!.]*/predictions.parquet")}


def check_cells(title: str, out: Path, whole: dict[str, bytes]) -> None:
    """Print how many cells are as in the uninterrupted run; exit if some are not."""
    answers = read_answers(out)
    num_same = sum(answers.get(name) == content for name, content in whole.items())
    num_leftovers = len(list(out.glob("cells/.*")))
    print(f"{title}: {num_same} of {len(whole)} cells equal, {num_leftovers} leftover files")
    if answers != whole or num_leftovers:
        sys.exit("the grid did not survive")


def try_kills(plan: Path, out: Path, whole: dict[str, bytes], kills: int, seconds: float) -> None:
    """Kill the grid at random moments; delete its folder whenever it finishes in between."""
    num_finished, moments = 0, []
    while len(moments) < kills:
        process = subprocess.Popen(
            build_command(plan, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            moment = random.uniform(0, seconds)
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            moments.append((round(moment, 1), len(read_answers(out))))
        else:
            check_cells(f"finished after {len(moments)} kills", out, whole)
            num_finished += 1
            shutil.rmtree(out)
    print("kills as (seconds after the start, finished cells):", *moments)
    print(f"{kills} kills; the grid finished {num_finished} times between them")


@contextmanager
def mount_small_disk(folder: Path, kib: int) -> Iterator[bool]:
    """Mount a disk of a given size at `folder`; yield False if that is not allowed."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)]
    mounted = subprocess.run(["mount", *options], check=False, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=False)


def try_full_disk(plan: Path, disk: Path, whole: dict[str, bytes], kib: int) -> None:
    """Fill a disk, make room, and finish."""
    with mount_small_disk(disk, kib) as mounted:
        if not mounted:
            print("full disk: not tried, because mounting one needs root")
            return
        out = disk / "out"
        failed = run_grid(plan, out)
        error = (failed.stderr.strip().splitlines() or [""])[-1]
        num_cells = len(read_answers(out))
        print(f"full disk of {kib} KiB: exit code {failed.returncode}, {num_cells} cells")
        print(f"  {error}")
        if failed.returncode == 0 or "No space left on device" not in error:
            sys.exit("the full disk was not noticed, or not reported in one line")
        subprocess.run(["mount", "-o", f"remount,size={8 * kib}k", str(disk)], check=True)
        resumed = run_grid(plan, out)
        if resumed.returncode:
            sys.exit(resumed.stderr)
        check_cells("finished once there was room", out, whole)


def try_damage(plan: Path, out: Path, whole: dict[str, bytes]) -> None:
    """Break a file of each of three cells, and a training text; run the grid again."""
    cells = sorted(out.glob("cells/[!.]*"))
    (cells[0] / "predictions.parquet").write_bytes(b"\0" * 100)
    (cells[1] / "metrics.json").unlink()
    (cells[2] / "manifest.json").write_text("{")
    next(out.glob("train/*/texts/*.arrow")).write_bytes(b"nothing")
    resumed = run_grid(plan, out)
    if resumed.returncode:
        sys.exit(resumed.stderr)
    for line in resumed.stderr.splitlines():
        if "damaged" in line:
            print(f"  {line.replace(str(out), 'OUT')}")
    check_cells("finished after damage to three cells", out, whole)


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
        uninterrupted = run_grid(plan, root / "whole")
        seconds = time.perf_counter() - start
        if uninterrupted.returncode:
            sys.exit(uninterrupted.stderr)
        whole = read_answers(root / "whole")
        print(f"uninterrupted: {len(whole)} cells, {seconds:.0f} s")
        try_kills(plan, root / "out", whole, options.kills, seconds)
        if run_grid(plan, root / "out").returncode:
            sys.exit("the killed grid cannot be finished")
        check_cells("finished after the last kill", root / "out", whole)
        try_damage(plan, root / "out", whole)
        size = sum(p.stat().st_size for p in (root / "whole").rglob("*") if p.is_file())
        try_full_disk(plan, root / "disk", whole, int(0.6 * size / 1024))


if __name__ == "__main__":
    main()
