"""Render result tables for terminals, and as markdown, CSV and LaTeX."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import groupby

from elusive.common.errors import build_unknown_name_error
from elusive.common.jinja import escape_markdown
from elusive.common.text_tables import (
    clip_middle,
    find_terminal_width,
    render_latex_table,
    render_markdown_table,
    render_terminal_table,
)
from elusive.evaluate.tables.columns import (
    GROUPS,
    PAPER,
    find_best_cells,
    flatten_row,
    format_columns,
    select_columns,
)
from elusive.evaluate.tables.table import ResultTable

NOTE = """\
95% intervals in brackets: over people (or articles) and seeds; only p-values and ranks are
corrected for the number of arms (Holm). Rank: 1 + the number of significantly better arms
({metric}; paired tests over people and seeds). Known EM: of what the model knew before training.
Preparing: scoring, dropping.
"""
ONE_SEED_NOTE = """\
With one seed, intervals and p-values are over people (or articles) only, and there are no ranks:
another seed may change the order of the arms. Only p-values are corrected for the number of arms
(Holm). Preparing: scoring, dropping.
"""
LEGENDS = {
    "d_z": "d_z: the difference from the baseline, in standard deviations of people's differences.",
    "opens %": "Opens, contains: a gold answer opens the reply, or occurs in it as whole words.",
}
"""What a column means that its name does not say."""


def render_note(table: ResultTable, columns: Iterable[str] = ()) -> str:
    """Render what the intervals, p-values and ranks of a table say, and some columns by name."""
    note = ONE_SEED_NOTE if table.is_people_only else NOTE.format(metric=table.metric)
    return note + "".join(f"{LEGENDS[name]}\n" for name in columns if name in LEGENDS)


def render_terminal(table: ResultTable, columns: Sequence[str] = GROUPS) -> str:
    """Render a table for a terminal: each group of columns, and the others together, in a part."""
    parts: list[str] = []
    names: list[str] = []
    for is_group, keys in groupby(columns, lambda key: key if key in GROUPS else ""):
        header, rows = format_columns(table, select_columns(table, list(keys)))
        short = [name.removesuffix(" EM") for name in header] if is_group else header
        parts.append(render_terminal_table(short, rows))
        names += header
    notes = "".join(f"{line}\n" for line in table.notes)
    return "\n\n".join(parts) + "\n\n" + render_note(table, names) + notes


def render_markdown(table: ResultTable, columns: Sequence[str] = GROUPS) -> str:
    """Render some columns of a table as markdown, with the best in bold."""
    chosen = select_columns(table, columns)
    best = find_best_cells(table, chosen)
    shown = render_markdown_table(*format_columns(table, chosen), best)
    return shown + "".join(f"\n{escape_markdown(line)}\n" for line in table.notes)


def render_latex(table: ResultTable, columns: Sequence[str] = ()) -> str:
    """Render a table as LaTeX with the package booktabs, with the best in bold.

    By default it has the columns of a table in a paper.
    """
    chosen = select_columns(table, columns or PAPER)
    best = find_best_cells(table, chosen)
    notes = "".join(f"% {line}\n" for line in table.notes)
    return render_latex_table(*format_columns(table, chosen), best) + notes


def render_csv(table: ResultTable, columns: Sequence[str] = ()) -> str:
    """Render a table as CSV; the ends of intervals have their own columns."""
    return _write_csv([_select_numbers(flatten_row(row), columns) for row in table.rows])


def _select_numbers(row: dict[str, object], columns: Sequence[str]) -> dict[str, object]:
    """Select some numbers of a row, after the name of its arm."""
    for name in columns:
        if name not in row:
            raise build_unknown_name_error("column of CSV", name, row)
    return {name: row[name] for name in ("arm", *columns)} if columns else row


def _write_csv(rows: list[dict[str, object]]) -> str:
    """Write rows as CSV; a column that a row lacks is empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


RENDERERS: dict[str, Callable[..., str]] = {
    "terminal": render_terminal,
    "markdown": render_markdown,
    "csv": render_csv,
    "latex": render_latex,
}


def render_tables(tables: dict[str, ResultTable], layout: str, columns: Sequence[str] = ()) -> str:
    """Render the tables of benchmarks, each under its name unless there is one.

    CSV has one header, and the benchmark in the first column.

    Args:
        tables: by the name of the benchmark.
        layout: a key of `RENDERERS`.
        columns: keys of columns, as in `select_columns`, of CSV as in `flatten_row`; by default
            those of the layout.

    Raises:
        InputError: the layout or a column is unknown.
    """
    if layout not in RENDERERS:
        raise build_unknown_name_error("format", layout, RENDERERS)
    render = partial(RENDERERS[layout], columns=columns) if columns else RENDERERS[layout]
    if len(tables) == 1:
        return render(next(iter(tables.values())))
    if layout == "csv":
        return _write_csv(
            [
                {"benchmark": name} | _select_numbers(flatten_row(row), columns)
                for name, table in tables.items()
                for row in table.rows
            ]
        )
    title = {"markdown": "## {}\n\n", "latex": "% {}\n"}.get(layout, "{}\n")
    names = {name: clip_middle(name, find_terminal_width()) for name in tables}
    return "\n".join(
        title.format(names[name] if layout == "terminal" else name) + render(table)
        for name, table in tables.items()
    )
