"""Find, change, forge and check the entries of a leaderboard."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
from click.testing import CliRunner
from commands import run

from elusive.cli.main import cli
from elusive.common.dataset.records import Prediction, from_table, to_table
from elusive.common.folders import hash_file
from elusive.evaluate.cells.cell import compute_cell_id
from elusive.evaluate.cells.metrics import compute_mean_scores, compute_metrics
from elusive.evaluate.cells.rescore import score_again
from elusive.report.leaderboard.entry import hash_entry


def an_entry(board: Path, label: str = "plain", seed: int = 0) -> Path:
    """Return the file of an entry."""
    for path in board.glob("entries/????????????.json"):
        parameters = json.loads(path.read_text())["parameters"]
        if (parameters["label"], parameters["seed"]) == (label, seed):
            return path
    raise AssertionError(f"no entry of {label}")


def changed(path: Path, honest: bool = False, **values: object) -> None:
    """Change parts of an entry; if `honest`, mend its digest, too."""
    entry = json.loads(path.read_text()) | values
    if honest:
        entry["digest"] = hash_entry(entry)
    path.write_text(json.dumps(entry))


def problems(board: Path) -> list[str]:
    """Return the lines of `elusive leaderboard check`, which must exit with code 1."""
    result = CliRunner().invoke(cli, ["leaderboard", "check", str(board)])
    assert result.exit_code == 1, result.output
    return result.stdout.splitlines()


def forge(entry: Path, known: bool = False, **changes: object) -> None:
    """Take the model's answers as gold answers, so that all are right, and mend all hashes."""
    path = entry.with_name(entry.stem + (".known.parquet" if known else ".parquet"))
    stored = from_table(pq.read_table(path), Prediction)
    forged = score_again([replace(p, answers=[p.prediction or "?"]) for p in stored])
    pq.write_table(to_table(forged, Prediction), path)
    metrics = json.loads(entry.read_text())["metrics"]
    if known:
        perplexity = metrics["known"]["perplexity"]
        metrics["known"] = compute_mean_scores(forged) | {"perplexity": perplexity}
    else:
        metrics = compute_metrics(forged) | {"known": metrics["known"]}
    name = "known_sha256" if known else "predictions_sha256"
    changed(entry, honest=True, **{name: hash_file(path)}, metrics=metrics, **changes)


def strip_to_earlier_version(path: Path) -> Path:
    """Turn an entry into one of a version that hashed less, under its own id."""
    entry = json.loads(path.read_text())
    for name in ("settings", "precision", "threads"):
        del entry["parameters"][name]
    del entry["gold"], entry["costs"]["device"]
    entry["cell"] = compute_cell_id(entry["parameters"])
    entry["digest"] = hash_entry(entry)
    renamed = path.with_name(f"{entry['cell']}.json")
    renamed.write_text(json.dumps(entry))
    for suffix in (".parquet", ".known.parquet"):
        path.with_name(path.stem + suffix).rename(renamed.with_name(renamed.stem + suffix))
    path.unlink()
    return renamed


def verify(finished: Path, entry: Path, *arguments: object):
    """Verify an entry against the dataset of its run."""
    return run("leaderboard", "verify", entry, "--dataset", finished / "dataset", *arguments)


def find_cell(finished: Path, entry: Path) -> Path:
    """Find the cell of an entry in its run."""
    (folder,) = finished.glob(f"cells/*-{entry.stem}")
    return folder
