"""The notebook: its cells run as written, with smaller settings."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "five-arms.ipynb"
SMALLER = """
PEOPLE, SEEDS, COPIES, EPOCHS = 3, [0], 1, 1
"""


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (settings,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    settings.source += SMALLER
    folder = tmp_path_factory.mktemp("notebook")
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def test_the_notebook_ends_with_a_table_of_its_five_arms(executed: nbformat.NotebookNode):
    printed = "".join(
        output.get("text", "")
        for cell in executed.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.get("name") == "stdout"
    )
    for arm in ("untrained", "plain", "random", "contrast", "depth-contrast", "permute"):
        assert f" {arm}" in printed or f"\n{arm}" in printed, arm
    assert "rank" in printed or "one seed" in printed
