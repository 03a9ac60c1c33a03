"""The notebook: its cells run as written at a smaller size, and its stored outputs are theirs."""

from collections.abc import Iterator

import nbformat
import pytest
from run_notebook import HASH, NOTEBOOK, execute, hash_cells

SMALLER = """
PEOPLE, SEEDS, COPIES, EPOCHS = 3, [0, 1], 1, 1
"""
ARMS = ("untrained", "plain", "random", "contrast", "depth-contrast", "permute")


@pytest.fixture(scope="module")
def stored() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (settings,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    settings.source += SMALLER
    execute(notebook, tmp_path_factory.mktemp("notebook"))
    return notebook


def list_code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def find_output(notebook: nbformat.NotebookNode, source: str) -> str:
    """What the cell whose source contains `source` prints and shows as text."""
    (cell,) = (cell for cell in list_code_cells(notebook) if source in cell.source)
    return "".join(
        output.get("text") or output["data"].get("text/markdown", "") for output in cell.outputs
    )


def list_kinds(notebook: nbformat.NotebookNode) -> Iterator[list[str]]:
    """The kinds of the outputs of every code cell, such as image/png."""
    for cell in list_code_cells(notebook):
        yield [
            kind
            for output in cell.outputs
            for kind in sorted(output.get("data", [output.get("name", output.output_type)]))
        ]


def read_table(notebook: nbformat.NotebookNode) -> tuple[list[str], set[str]]:
    """The columns and the arms of the table."""
    header, _, *rows = [
        [entry.strip() for entry in line.strip("|").split("|")]
        for line in find_output(notebook, "render_tables").splitlines()
        if line.startswith("|")
    ]
    return header, {row[0] for row in rows}


def test_the_notebook_has_a_table_of_its_five_arms_with_ranks(executed: nbformat.NotebookNode):
    columns, arms = read_table(executed)
    assert arms == set(ARMS)
    assert {"rank", "EM %", "forced choice %"} <= set(columns)


def test_the_stored_outputs_are_those_of_the_stored_cells(stored: nbformat.NotebookNode):
    assert stored.metadata[HASH] == hash_cells(stored), (
        "cells changed since their outputs were stored: run `python docs/run_notebook.py`"
    )


def test_the_stored_outputs_are_such_as_the_code_makes_today(
    stored: nbformat.NotebookNode, executed: nbformat.NotebookNode
):
    assert list(list_kinds(stored)) == list(list_kinds(executed))
    assert read_table(stored) == read_table(executed)
    biography = "generate_biographies(plan.dataset)"
    assert find_output(stored, biography) == find_output(executed, biography)


def test_a_changed_cell_is_noticed(stored: nbformat.NotebookNode):
    changed = nbformat.from_dict(stored.copy())
    changed.cells = [*stored.cells, nbformat.v4.new_code_cell("print(1)")]
    assert hash_cells(changed) != stored.metadata[HASH]
