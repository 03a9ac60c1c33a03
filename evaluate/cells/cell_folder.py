"""Read finished cells from their folders."""

import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from elusive.common.dataset.records import Prediction, from_table
from elusive.common.errors import InputError
from elusive.common.folders import MANIFEST, Folder, hash_file, write_atomically
from elusive.evaluate.cells.gold import GOLD

PREDICTIONS, KNOWN = "predictions.parquet", "known.parquet"
CHECKSUMS = "weights.sha256"
"""Hashes of trained weights, in the format of `sha256sum --check`."""


@dataclass(frozen=True)
class Trust:
    """What a leaderboard knows of an entry besides its parameters and results."""

    gold: bool
    """Whether questions and gold answers are proven to be those of the datasets."""
    verified: bool
    """Whether its answers were computed again and agree."""
    submitted_by: str | None = None
    """Name of the submitter."""
    submitted: str = ""
    """Day of submission, as in 2026-01-31."""


@dataclass(frozen=True)
class CellResult:
    """A finished cell."""

    folder: Path
    parameters: dict[str, Any]
    predictions: list[Prediction]
    known: list[Prediction]
    """Answers about what the model knew before; empty if it was not asked."""
    metrics: dict[str, Any]
    costs: dict[str, Any]
    log: dict[str, Any] | None
    """None where nothing was trained."""
    versions: dict[str, str] = field(default_factory=dict)
    """Versions of the packages that made it."""
    gold: dict[str, Any] = field(default_factory=dict)
    """Proofs that its gold answers are those of its datasets; see `gold.py`."""
    trust: Trust | None = None
    """What a leaderboard could check; None elsewhere."""


class CellFolder(Folder):
    """The folder of a finished cell."""

    kind = "cell"
    made_by = "elusive evaluate DATASET --out DIR"
    needs = ("label", "seed", "dataset", "augment", "model", "weights", "answering", "scoring")

    def load(self) -> CellResult:
        """Read the cell.

        Raises:
            InputError: a file is broken, or the predictions changed since they were written.
        """
        self.verify()
        try:
            contents = {
                name: json.loads((self.path / f"{name}.json").read_text(encoding="utf-8"))
                for name in ("costs", "metrics", "training_log")
            }
            answers = {
                # Unlike `read_table`, this does not import `pyarrow.dataset`.
                name: from_table(pq.ParquetFile(self.path / name).read(), Prediction)
                for name in (PREDICTIONS, KNOWN)
                if (self.path / name).exists()
            }
            predictions = answers[PREDICTIONS]
            gold = self.path / GOLD
            proofs = json.loads(gold.read_text(encoding="utf-8")) if gold.exists() else {}
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise InputError(
                f"{self.path}: a file of the cell is broken ({type(error).__name__}: {error}): "
                "rerun its plan, or `elusive evaluate` with another --out"
            ) from None
        return CellResult(
            folder=self.path,
            parameters=self.parameters,
            predictions=predictions,
            known=answers.get(KNOWN, []),
            metrics=contents["metrics"],
            costs=contents["costs"],
            log=contents["training_log"],
            versions=self.manifest.versions,
            gold=proofs,
        )


def load_cell(folder: Path) -> CellResult:
    """Read a finished cell.

    Raises:
        InputError: the folder is not a cell, a file is broken, or the predictions changed since
            they were written.
    """
    return CellFolder(folder).load()


def list_cells(run: Path) -> list[Path]:
    """List the folders of the cells that are finished; there may be none."""
    return sorted(path.parent for path in run.glob(f"cells/[!.]*/{MANIFEST}"))


def list_sound_cells(run: Path) -> list[CellResult]:
    """Read the finished cells of a run; there may be none, and damaged ones are left out."""
    cells = []
    for path in list_cells(run):
        with suppress(InputError):
            cells.append(load_cell(path))
    return cells


def find_cell_paths(folder: Path) -> list[Path]:
    """Find the folders of all finished cells of a run, or the folder itself if it is a cell.

    Raises:
        InputError: there are no finished cells.
    """
    if not folder.is_dir():
        raise InputError(f"no run folder at {folder}: make one with `elusive run PLAN --out DIR`")
    if (folder / PREDICTIONS).exists():
        return [folder]
    paths = list_cells(folder)
    if not paths:
        raise InputError(
            f"{folder} holds no finished cells: name the DIR of `elusive run PLAN --out DIR`"
        )
    return paths


def find_cells(folder: Path) -> list[CellResult]:
    """Read all finished cells of a run, or the cell itself if the folder is one.

    Raises:
        InputError: there are no finished cells, or a cell is damaged.
    """
    return [load_cell(path) for path in find_cell_paths(folder)]


def write_checksums(folder: Path) -> None:
    """Write the hashes of the weights in a cell's folder."""
    paths = sorted(folder.glob("*/*.safetensors"))
    lines = [f"{hash_file(path)}  {path.relative_to(folder).as_posix()}\n" for path in paths]
    write_atomically(folder / CHECKSUMS, "".join(lines))


def check_weights(folder: Path) -> None:
    """Compare a cell's trained weights with their hashes; missing weights are allowed.

    Raises:
        InputError: a file changed since it was written.
    """
    if not (folder / CHECKSUMS).exists():
        return
    for line in (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines():
        digest, name = line.split("  ", 1)
        if (folder / name).exists() and hash_file(folder / name) != digest:
            raise InputError(
                f"{folder / name} changed since it was trained: rerun its plan, or remove the file "
                "if you need only the answers"
            )
