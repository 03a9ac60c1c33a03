"""Run the notebook as a reader would, and store its outputs in it.

python docs/run_notebook.py

This takes about ten minutes on 2 cores and writes below `runs/`. Rerun it when a cell, or what a
cell shows, has changed; `tests/project/test_notebook.py` says when.
"""

import hashlib
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "docs" / "five-arms.ipynb"
HASH = "sha256_of_executed_cells"
"""Key of the notebook's metadata, which ties its outputs to the cells that made them."""


def hash_cells(notebook: nbformat.NotebookNode) -> str:
    """Return a hash of all code in the notebook, as 64 hexadecimal digits."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


def execute(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run all cells in `folder`, and keep their outputs, except for progress and times of day."""
    client = NotebookClient(notebook, timeout=7200, resources={"metadata": {"path": str(folder)}})
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata[HASH] = hash_cells(notebook)


if __name__ == "__main__":
    committed = nbformat.read(NOTEBOOK, as_version=4)
    execute(committed, ROOT)
    nbformat.write(committed, NOTEBOOK)
