"""Render result tables for terminals, and as markdown, CSV and LaTeX."""

import csv
import io
from collections.abc import Callable

from elusive.common.errors import build_unknown_name_error
from elusive.common.jinja import escape_markdown
from elusive.common.text_tables import (
    render_latex_table,
    render_markdown_table,
    render_terminal_table,
)
from elusive.evaluate.compare.table import ResultTable
from elusive.evaluate.compare.table_columns import GROUPS, flatten_row, format_cells

NOTE = """\
95% intervals in brackets: over people and seeds. Rank: 1 + the number of significantly better
arms ({metric}; paired tests over people and seeds, Holm). Preparing: scoring, dropping.
"""
ONE_SEED_NOTE = """\
With one seed, intervals and p-values are over people only, and there are no ranks: another seed
may change the order of the arms. Preparing: scoring, dropping.
"""


def render_note(table: ResultTable) -> str:
    """Render what the intervals, p-values and ranks of a table say."""
    return ONE_SEED_NOTE if table.is_people_only else NOTE.format(metric=table.metric)


def render_terminal(table: ResultTable) -> str:
    """Render a table for a terminal, in three parts: accuracy, detail and costs."""
    parts = []
    for group in GROUPS:
        header, rows = format_cells(table, (group,))
        parts.append(render_terminal_table([name.removesuffix(" EM") for name in header], rows))
    end = _end(table.differences) + _end(table.warning)
    return "\n".join(parts) + "\n" + render_note(table) + end


def _end(line: str) -> str:
    return f"{line}\n" if line else ""


def render_markdown(table: ResultTable, groups: tuple[str, ...] = GROUPS) -> str:
    """Render some groups of a table's columns as markdown."""
    shown = render_markdown_table(*format_cells(table, groups))
    lines = filter(None, (table.differences, table.warning))
    return shown + "".join(_end(f"\n{escape_markdown(line)}") for line in lines)


def render_latex(table: ResultTable) -> str:
    """Render a table as LaTeX with the package booktabs."""
    lines = filter(None, (table.differences, table.warning))
    return render_latex_table(*format_cells(table)) + "".join(_end(f"% {line}") for line in lines)


def render_csv(table: ResultTable) -> str:
    """Render a table as CSV; the ends of intervals have their own columns."""
    return _write_csv([flatten_row(row) for row in table.rows])


def _write_csv(rows: list[dict[str, object]]) -> str:
    """Write rows as CSV; a column that a row lacks is empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


RENDERERS: dict[str, Callable[[ResultTable], str]] = {
    "terminal": render_terminal,
    "markdown": render_markdown,
    "csv": render_csv,
    "latex": render_latex,
}


def render_tables(tables: dict[str, ResultTable], layout: str) -> str:
    """Render the tables of benchmarks, each under its name unless there is only one.

    CSV has one header, and the benchmark in the first column.

    Raises:
        InputError: the layout is unknown.
    """
    if layout not in RENDERERS:
        raise build_unknown_name_error("format", layout, RENDERERS)
    if len(tables) == 1:
        return RENDERERS[layout](next(iter(tables.values())))
    if layout == "csv":
        return _write_csv(
            [
                {"benchmark": name} | flatten_row(row)
                for name, table in tables.items()
                for row in table.rows
            ]
        )
    title = {"markdown": "## {}\n\n", "latex": "% {}\n"}.get(layout, "{}\n")
    return "\n".join(
        title.format(name) + RENDERERS[layout](table) for name, table in tables.items()
    )
