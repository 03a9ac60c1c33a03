"""Tables written out: for terminals, as markdown, CSV, LaTeX and Arrow."""

import csv
import io
from collections.abc import Callable
from functools import partial

import pyarrow as pa
from rich import box
from rich.console import Console
from rich.table import Table

from elusive.common.errors import unknown_name
from elusive.common.intervals import Estimate
from elusive.common.templates import escape_markdown
from elusive.evaluate.compare.table import STAGES, ArmRow, Results

WIDE = 200

Column = tuple[str, Callable[[ArmRow], str]]


def columns(found: Results) -> dict[str, list[Column]]:
    """Columns of the table that people read, in three groups; rates in percent."""
    scale, digits = (1, 2) if found.metric == "log_probability" else (100, 0)
    accuracy: list[Column] = [
        ("rank", lambda row: str(row.rank)),
        ("EM %", lambda row: _percent(row.em)),
        ("F1 %", lambda row: _percent(row.f1)),
        ("gold log-prob", lambda row: _interval(row.log_probability, 1, 2)),
    ]
    if found.baseline:
        accuracy += [
            (
                f"{found.metric} vs {found.baseline}",
                lambda row: _interval(row.difference, scale, digits) if row.difference else "",
            ),
            ("p (Holm)", lambda row: "" if row.p_value is None else f"{row.p_value:.4f}"),
            ("d_z", lambda row: "" if row.effect is None else f"{row.effect:.1f}"),
        ]
    accuracy.append(("dropped %", lambda row: f"{100 * row.drop_rate:.0f}"))
    detail: list[Column] = [
        (f"{field} EM", partial(_field_percent, field=field)) for field in found.rows[0].em_by_field
    ]
    detail += [
        ("opens %", lambda row: f"{100 * row.opens:.0f}"),
        ("contains %", lambda row: f"{100 * row.contains:.0f}"),
    ]
    if found.rows[0].known_em is not None:
        detail += [
            ("known EM %", lambda row: f"{100 * (row.known_em or 0):.0f}"),
            ("known perplexity", lambda row: f"{row.known_perplexity or 0:.2f}"),
        ]
    if any(row.chosen for row in found.rows):
        detail.append(("tries", lambda row: row.chosen))
    detail += [("seeds", lambda row: str(row.seeds)), ("people", lambda row: str(row.people))]
    costs: list[Column] = [(f"{stage} s", partial(_seconds, stage=stage)) for stage in STAGES]
    costs += [
        ("tokens/s", lambda row: f"{row.tokens_per_second:.0f}"),
        ("peak GiB", lambda row: f"{max(row.memory_mib.values()) / 1024:.1f}"),
        ("preparing/training %", lambda row: f"{100 * row.preparing:.1f}"),
        ("EM points/min", lambda row: f"{row.points_per_minute:.1f}"),
    ]
    return {"accuracy": accuracy, "detail": detail, "costs": costs}


def _field_percent(row: ArmRow, field: str) -> str:
    """Exact match of one field in percent."""
    return f"{100 * row.em_by_field[field]:.0f}"


def _seconds(row: ArmRow, stage: str) -> str:
    """Seconds of one stage, a digit more where they are few."""
    seconds = row.seconds[stage]
    return f"{seconds:.1f}" if 0 < seconds < 10 else f"{seconds:.0f}"


def table_cells(
    found: Results, groups: tuple[str, ...] = ("accuracy", "detail", "costs")
) -> tuple[list[str], list[list[str]]]:
    """Header and formatted cells of some groups of columns."""
    chosen = [column for group in groups for column in columns(found)[group]]
    header = ["arm", *(name for name, _ in chosen)]
    return header, [[row.label, *(show(row) for _, show in chosen)] for row in found.rows]


def _percent(estimate: Estimate) -> str:
    """A rate and its interval in percent."""
    return _interval(estimate, 100, 0)


def _interval(estimate: Estimate, scale: float, digits: int) -> str:
    """A mean and its interval, such as `12 [4, 22]`."""
    mean, low, high = (
        f"{round(scale * x, digits) + 0:.{digits}f}"  # plus 0: no minus before a rounded zero
        for x in (estimate.mean, estimate.low, estimate.high)
    )
    return f"{mean} [{low}, {high}]"


GROUPS = ("accuracy", "detail", "costs")


def render_markdown(found: Results, groups: tuple[str, ...] = GROUPS) -> str:
    """The table in markdown, some groups of columns or all."""
    header, body = table_cells(found, groups)
    header = [escape_markdown(name) for name in header]
    body = [[escape_markdown(label), *numbers] for label, *numbers in body]
    lines = ["| " + " | ".join(cells) + " |" for cells in [header, ["---"] * len(header), *body]]
    return "\n".join(lines) + "\n"


def render_latex(found: Results) -> str:
    """The table in LaTeX with booktabs rules, which the package booktabs brings."""
    header, body = table_cells(found)
    lines = [" & ".join(map(_latex_escaped, cells)) + r" \\" for cells in [header, *body]]
    columns = "l" + "r" * (len(header) - 1)
    needs = r"% needs \usepackage{booktabs}"
    rules = [needs, rf"\begin{{tabular}}{{{columns}}}", r"\toprule", lines[0], r"\midrule"]
    return "\n".join([*rules, *lines[1:], r"\bottomrule", r"\end{tabular}"]) + "\n"


def _latex_escaped(text: str) -> str:
    """Text with LaTeX's special signs escaped.

    >>> print(_latex_escaped("F1 % of a_b <~{c}>"))
    F1 \\% of a\\_b \\textless{}\\textasciitilde{}\\{c\\}\\textgreater{}
    """
    return text.translate(LATEX_SIGNS)


def render_csv(found: Results) -> str:
    """The table as CSV with plain numbers, intervals in columns of their own."""
    return _csv([_flat(row) for row in found.rows])


def _csv(rows: list[dict[str, object]]) -> str:
    """Rows as CSV; columns that some rows lack are empty there."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _flat(row: ArmRow) -> dict[str, object]:
    """One row with one number per column; rates in [0, 1], log-probabilities in nats."""
    flat: dict[str, object] = {"arm": row.label, "rank": row.rank}
    for name in ("em", "f1", "log_probability", "difference"):
        estimate: Estimate | None = getattr(row, name)
        for part, end in (("mean", ""), ("low", "_low"), ("high", "_high")):
            flat[name + end] = getattr(estimate, part) if estimate else None
    flat |= {"p_value": row.p_value, "effect": row.effect}
    flat |= {"opens": row.opens, "contains": row.contains}
    flat |= {f"em_{field}": value for field, value in row.em_by_field.items()}
    flat |= {"known_em": row.known_em, "known_perplexity": row.known_perplexity}
    flat |= {
        "chosen": row.chosen,
        "drop_rate": row.drop_rate,
        "seeds": row.seeds,
        "people": row.people,
    }
    flat |= {f"{stage}_seconds": seconds for stage, seconds in row.seconds.items()}
    flat |= {f"{stage}_peak_mib": mib for stage, mib in row.memory_mib.items()}
    names = ("tokens_per_second", "points_per_minute", "preparing")
    return flat | {name: getattr(row, name) for name in names}


def flat_table(found: Results) -> pa.Table:
    """The table with one number per column, as in CSV."""
    return pa.Table.from_pylist([_flat(row) for row in found.rows])


LATEX_SIGNS = str.maketrans(
    {sign: f"\\{sign}" for sign in "%_&#${}"}
    | {
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "^": r"\textasciicircum{}",
        "~": r"\textasciitilde{}",
        "\\": r"\textbackslash{}",
    }
)
NOTE = """\
95% intervals in brackets: bootstrap over people and seeds. Rank: 1 + the number of significantly
better arms ({metric}; paired permutation tests, Holm's correction). Preparing: scoring, dropping.
"""


def render_terminal(found: Results) -> str:
    """The table for a terminal: one for accuracy, one for fields, one for costs."""
    parts = [_rich_table(*table_cells(found, (group,))) for group in columns(found)]
    return "\n".join(parts) + "\n" + NOTE.format(metric=found.metric)


def _rich_table(header: list[str], body: list[list[str]]) -> str:
    """Some columns of the table, drawn with rich."""
    table = Table(box=box.SIMPLE_HEAD)
    for place, name in enumerate(header):
        table.add_column(
            name.removesuffix(" EM"), justify="right" if place else "left", no_wrap=True
        )
    for cells in body:
        table.add_row(*cells)
    console = Console(width=WIDE, file=io.StringIO(), color_system=None)
    console.print(table)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())  # type: ignore[attr-defined]


RENDERERS: dict[str, Callable[[Results], str]] = {
    "terminal": render_terminal,
    "markdown": render_markdown,
    "csv": render_csv,
    "latex": render_latex,
}


def render_tables(found: dict[str, Results], layout: str) -> str:
    """Tables of several benchmarks, each under its name, or just the one that there is.

    CSV has one header and the benchmark in its first column.

    Raises:
        InputError: no such layout.
    """
    if layout not in RENDERERS:
        raise unknown_name("format", layout, RENDERERS)
    if len(found) == 1:
        return RENDERERS[layout](next(iter(found.values())))
    if layout == "csv":
        return _csv(
            [{"benchmark": n} | _flat(row) for n, each in found.items() for row in each.rows]
        )
    title = {"markdown": "## {}\n\n", "latex": "% {}\n"}.get(layout, "{}\n")
    return "\n".join(title.format(n) + RENDERERS[layout](each) for n, each in found.items())
