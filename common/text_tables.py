"""Tables of formatted cells as text: for terminals, markdown and LaTeX."""

import io

from rich import box
from rich.console import Console
from rich.table import Table
from tabulate import tabulate

from elusive.common.jinja import escape_markdown

WIDTH = 200
"""Columns of a terminal that tables are laid out for."""

Header = list[str]
Rows = list[list[str]]


def render_terminal_table(header: Header, rows: Rows) -> str:
    """Render a table for a terminal; the first column is left-aligned, the others right-aligned."""
    table = Table(box=box.SIMPLE_HEAD)
    for index, name in enumerate(header):
        table.add_column(name, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    file = io.StringIO()
    Console(width=WIDTH, file=file, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def render_markdown_table(header: Header, rows: Rows) -> str:
    """Render a table in markdown; names in the header and in the first column are escaped."""
    names = [escape_markdown(name) for name in header]
    body = [[escape_markdown(row[0]), *row[1:]] for row in rows]
    return tabulate(body, names, tablefmt="github", disable_numparse=True) + "\n"


def render_latex_table(header: Header, rows: Rows) -> str:
    """Render a table in LaTeX with the rules of the package booktabs."""
    alignment = ["left", *["right"] * (len(header) - 1)]
    table = tabulate(
        rows, header, tablefmt="latex_booktabs", disable_numparse=True, colalign=alignment
    )
    return r"% needs \usepackage{booktabs}" + "\n" + table + "\n"
