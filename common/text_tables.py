"""Tables of formatted cells as text: for terminals, markdown and LaTeX."""

import io
import re
import shutil
import textwrap
from collections.abc import Iterator, Set

from rich import box
from rich.console import Console
from rich.table import Table
from tabulate import tabulate

from elusive.common.jinja import escape_markdown

GAP = 3
"""Columns between two cells: what `rich` puts around each of them."""
LEAST_NAME = 16
"""Least width of a name in the first column of a narrow table."""
LATEX_SIGNS = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"},
    **{"<": r"\ensuremath{<}", ">": r"\ensuremath{>}"},
}

Header = list[str]
Rows = list[list[str]]
Marks = Set[tuple[int, int]]
"""Row and column of cells that are shown in bold."""
NONE: Marks = frozenset()


def find_terminal_width() -> int:
    """Return the columns of the terminal; 80 if the output goes to a file or a pipe."""
    return shutil.get_terminal_size().columns


def clip_middle(text: str, width: int) -> str:
    """Return a text of at most `width` characters, from whose middle the rest is cut.

    >>> clip_middle("/home/me/models/Qwen3-8B", 15)
    '/home/m…wen3-8B'
    """
    if len(text) <= width:
        return text
    kept = max(width - 1, 2)
    return f"{text[: kept // 2]}…{text[len(text) - (kept - kept // 2) :]}"


def clip_names(names: list[str], width: int) -> list[str]:
    """Clip names to a width, unless different names would look the same.

    >>> clip_names(["restate by attention again", "restate"], 14)
    ['restat…n again', 'restate']
    >>> clip_names(["restate by attention again", "restate by position again"], 14)
    ['restate by attention again', 'restate by position again']
    """
    clipped = [clip_middle(name, width) for name in names]
    return clipped if len({*clipped}) == len({*names}) else names


def render_terminal_table(header: Header, rows: Rows, width: int | None = None) -> str:
    """Render a table for a terminal; the first column is left-aligned, the others right-aligned.

    Columns that do not fit continue in further tables below, which repeat the first column. Names
    in the first column, and words of the header, that would take more than a third of the width
    are clipped in the middle, unless different names would look the same.

    Args:
        header: names of the columns.
        rows: cells.
        width: of the terminal; by default that of the one in use.
    """
    width = width or find_terminal_width()
    longest = max(LEAST_NAME, width // 3)
    names = clip_names([row[0] for row in rows], longest)
    header = [" ".join(clip_middle(word, longest) for word in name.split()) for name in header]
    parts = []
    for columns in _split_columns(header, rows, width - GAP - max(map(len, [*names, header[0]]))):
        body = [[name, *(row[i] for i in columns)] for name, row in zip(names, rows, strict=True)]
        parts.append(_render_part([header[0], *(header[i] for i in columns)], body, width))
    return "\n\n".join(parts)


def _split_columns(header: Header, rows: Rows, width: int) -> Iterator[list[int]]:
    """Split the columns after the first into groups that fit beside it."""
    group: list[int] = []
    used = 0
    for index in range(1, len(header)):
        cells = max((len(row[index]) for row in rows), default=0)
        needed = GAP + max(cells, *map(len, header[index].split()))
        if group and used + needed > width:
            yield group
            group, used = [], 0
        group.append(index)
        used += needed
    yield group


def _render_part(header: Header, rows: Rows, width: int) -> str:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(header):
        cells = max((len(row[index]) for row in rows), default=0)
        lines = textwrap.wrap(name, max(cells, *map(len, name.split())), break_on_hyphens=False)
        table.add_column("\n".join(lines), justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    file = io.StringIO()
    # A single column may be wider than the terminal; it is then not cut. Labels are no markup.
    plain = Console(width=max(width, 200), file=file, color_system=None, markup=False, emoji=False)
    plain.print(table)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines() if line.strip())


def render_markdown_table(header: Header, rows: Rows, marks: Marks = NONE) -> str:
    """Render a table in markdown; names in the header and in the first column are escaped."""
    names = [escape_markdown(name) for name in header]
    shown = [[escape_markdown(row[0]), *row[1:]] for row in rows]
    body = _mark_cells(shown, marks, "**{}**")
    return tabulate(body, names, tablefmt="github", disable_numparse=True) + "\n"


def render_latex_table(header: Header, rows: Rows, marks: Marks = NONE) -> str:
    """Render a table in LaTeX with the rules of the package booktabs."""
    shown = [[escape_latex(cell) for cell in row] for row in rows]
    body = _mark_cells(shown, marks, r"\textbf{{{}}}")
    lines = [" & ".join(row) + r" \\" for row in ([*map(escape_latex, header)], *body)]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
            *(r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"),
            r"\end{tabular}" + "\n",
        ]
    )


def escape_latex(text: str) -> str:
    r"""Escape the signs that LaTeX reads as commands, and set minus signs.

    >>> escape_latex("known_EM %: -1.5")
    'known\\_EM \\%: $-$1.5'
    """
    escaped = "".join(LATEX_SIGNS.get(sign, sign) for sign in text)
    return re.sub(r"(?<![\w.])-(?=[\d.])", "$-$", escaped)


def _mark_cells(rows: Rows, marks: Marks, bold: str) -> Rows:
    def mark(cell: str) -> str:
        number = cell.removesuffix(" *")  # a sign that refers to a note stays outside
        return bold.format(number) + cell[len(number) :]

    return [
        [mark(cell) if (r, c) in marks else cell for c, cell in enumerate(row)]
        for r, row in enumerate(rows)
    ]
