"""Tables of results: one row per arm, every number with its interval."""

import csv
import io
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from elusive.augment.config import METHOD_NAMES
from elusive.common.errors import InputError
from elusive.common.folders import parameters_hash
from elusive.common.intervals import Estimate, mean_over_entities
from elusive.evaluate.cell import CellResult, load_cell
from elusive.evaluate.config import UNTRAINED

STAGES = ("scoring", "dropping", "training", "answering")
WIDE = 200


@dataclass(frozen=True)
class ArmRow:
    """Results of one arm, all its seeds together."""

    label: str
    seeds: int
    people: int
    em: Estimate
    f1: Estimate
    log_probability: Estimate
    opens: float
    contains: float
    em_by_field: dict[str, float]
    drop_rate: float
    """Mean share of tokens dropped from a copy."""
    seconds: dict[str, float]
    """Mean seconds per cell of scoring, dropping, training and answering."""


def find_cells(folder: Path) -> list[CellResult]:
    """All finished cells of a run folder, or the one cell that the folder is.

    Raises:
        InputError: there are none, or one is damaged.
    """
    if not folder.is_dir():
        raise InputError(f"no run folder at {folder}: make one with `elusive run PLAN --out DIR`")
    if (folder / "predictions.parquet").exists():
        return [load_cell(folder)]
    cells = sorted(path.parent for path in folder.glob("cells/*/manifest.json"))
    cells = [path for path in cells if not path.name.startswith(".")]
    if not cells:
        raise InputError(f"{folder} holds no finished cells: run `elusive run PLAN --out {folder}`")
    return [load_cell(path) for path in cells]


def arm_rows(cells: list[CellResult]) -> list[ArmRow]:
    """One row per arm, in the order of the methods' list.

    Cells of one label but with other settings are different arms, told apart by a number.

    Raises:
        InputError: arms that answered different questions or unequally many seeds.
    """
    named = named_cells(cells)
    first = next(iter(named))
    for name, members in named.items():
        if _asked(members) != _asked(named[first]):
            raise InputError(
                f"arms {first!r} and {name!r} differ in questions or seeds, so they cannot share "
                "a table: finish the run with `elusive run PLAN --out DIR`"
            )
    return [_arm_row(name, members) for name, members in named.items()]


def complete_arms(cells: list[CellResult]) -> list[CellResult]:
    """The cells of the arms that have as many seeds as any arm has."""
    named = named_cells(cells)
    most = max(map(len, named.values()))
    return [cell for members in named.values() if len(members) == most for cell in members]


def named_cells(cells: list[CellResult]) -> dict[str, list[CellResult]]:
    """Cells by the name of their arm; cells that differ in the seed only are together."""
    groups: dict[str, list[CellResult]] = defaultdict(list)
    order = [UNTRAINED, *METHOD_NAMES]
    places = {name: place for place, name in enumerate(order)}

    def place(cell: CellResult) -> int:
        return places.get(cell.parameters["augment"]["method"], len(order))  # own arms last

    for cell in sorted(cells, key=place):
        groups[_arm_key(cell)].append(cell)
    named: dict[str, list[CellResult]] = {}
    for members in groups.values():
        label = members[0].parameters["label"]
        same = sum(name == label or name.startswith(f"{label} (") for name in named)
        named[f"{label} ({same + 1})" if same else label] = members
    return named


def _arm_key(cell: CellResult) -> str:
    """Equal for cells that differ in nothing but their seeds."""
    kept = {key: value for key, value in cell.parameters.items() if key not in ("seed", "train")}
    augment = {key: value for key, value in kept["augment"].items() if key != "seed"}
    return parameters_hash(kept | {"augment": augment})


def _asked(cells: list[CellResult]) -> list[tuple[int, str]]:
    """Seed and question of every prediction, sorted."""
    return sorted(
        (cell.parameters["seed"], p.question_id) for cell in cells for p in cell.predictions
    )


def _arm_row(label: str, cells: list[CellResult]) -> ArmRow:
    """Results of the cells of one arm."""
    predictions = [prediction for cell in cells for prediction in cell.predictions]
    entities = [prediction.entity for prediction in predictions]
    by_field: dict[str, list[float]] = defaultdict(list)
    for prediction in predictions:
        by_field[prediction.field].append(prediction.em)

    def estimate(column: str) -> Estimate:
        return mean_over_entities([getattr(p, column) for p in predictions], entities)

    return ArmRow(
        label=label,
        seeds=len(cells),
        people=len(set(entities)),
        em=estimate("em"),
        f1=estimate("f1"),
        log_probability=estimate("log_probability"),
        opens=float(np.mean([p.opens for p in predictions])),
        contains=float(np.mean([p.contains for p in predictions])),
        em_by_field={field: float(np.mean(values)) for field, values in by_field.items()},
        drop_rate=float(np.mean([cell.costs["drop_rate"] for cell in cells])),
        seconds={stage: _mean_cost(cells, stage) for stage in STAGES},
    )


def _mean_cost(cells: list[CellResult], name: str) -> float:
    """Mean of one cost over the cells."""
    return float(np.mean([cell.costs["seconds"].get(name, 0.0) for cell in cells]))


def table_cells(rows: list[ArmRow]) -> tuple[list[str], list[list[str]]]:
    """Header and formatted cells of the table that people read; rates in percent."""
    fields = list(rows[0].em_by_field)
    header = ["arm", "EM %", "F1 %", "gold log-prob", "opens %", "contains %"]
    header += [f"{field} EM" for field in fields] + ["dropped %", "seeds", "people"]
    header += [f"{stage} s" for stage in STAGES]
    body = []
    for row in rows:
        cells = [
            row.label,
            _percent(row.em),
            _percent(row.f1),
            _interval(row.log_probability, 1, 2),
        ]
        cells += [f"{100 * row.opens:.0f}", f"{100 * row.contains:.0f}"]
        cells += [f"{100 * row.em_by_field[field]:.0f}" for field in fields]
        cells += [f"{100 * row.drop_rate:.0f}", str(row.seeds), str(row.people)]
        body.append(cells + [f"{row.seconds[stage]:.0f}" for stage in STAGES])
    return header, body


def _percent(estimate: Estimate) -> str:
    """A rate and its interval in percent."""
    return _interval(estimate, 100, 0)


def _interval(estimate: Estimate, scale: float, digits: int) -> str:
    """A mean and its interval, such as `12 [4, 22]`."""
    mean, low, high = (
        f"{scale * x:.{digits}f}" for x in (estimate.mean, estimate.low, estimate.high)
    )
    return f"{mean} [{low}, {high}]"


def render_markdown(rows: list[ArmRow]) -> str:
    """The table in markdown."""
    header, body = table_cells(rows)
    lines = ["| " + " | ".join(cells) + " |" for cells in [header, ["---"] * len(header), *body]]
    return "\n".join(lines) + "\n"


def render_latex(rows: list[ArmRow]) -> str:
    """The table in LaTeX with booktabs rules."""
    header, body = table_cells(rows)
    lines = [" & ".join(map(_latex_escaped, cells)) + r" \\" for cells in [header, *body]]
    columns = "l" + "r" * (len(header) - 1)
    rules = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", lines[0], r"\midrule"]
    return "\n".join([*rules, *lines[1:], r"\bottomrule", r"\end{tabular}"]) + "\n"


def _latex_escaped(text: str) -> str:
    """Text with LaTeX's special signs escaped."""
    return "".join("\\" + sign if sign in "%_&#$" else sign for sign in text)


def render_csv(rows: list[ArmRow]) -> str:
    """The table as CSV with plain numbers, intervals in columns of their own."""
    file = io.StringIO()
    flat = [_flat(row) for row in rows]
    writer = csv.DictWriter(file, fieldnames=list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return file.getvalue()


def _flat(row: ArmRow) -> dict[str, object]:
    """One row with one number per column; rates in [0, 1], log-probabilities in nats."""
    flat: dict[str, object] = {"arm": row.label}
    for name in ("em", "f1", "log_probability"):
        estimate: Estimate = getattr(row, name)
        flat |= {name: estimate.mean, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    flat |= {"opens": row.opens, "contains": row.contains}
    flat |= {f"em_{field}": value for field, value in row.em_by_field.items()}
    flat |= {"drop_rate": row.drop_rate, "seeds": row.seeds, "people": row.people}
    return flat | {f"{stage}_seconds": seconds for stage, seconds in row.seconds.items()}


def render_terminal(rows: list[ArmRow]) -> str:
    """The table for a terminal: one for accuracy, one for fields and costs."""
    header, body = table_cells(rows)
    accuracy = [0, 1, 2, 3, 4, 5, header.index("dropped %")]
    rest = [index for index in range(len(header)) if index == 0 or index not in accuracy]
    parts = [_rich_table(header, body, accuracy), _rich_table(header, body, rest)]
    return "\n".join(parts) + "\n95% intervals in brackets: bootstrap over people.\n"


def _rich_table(header: list[str], body: list[list[str]], columns: list[int]) -> str:
    """Some columns of the table, drawn with rich."""
    table = Table(box=box.SIMPLE_HEAD)
    for index in columns:
        table.add_column(
            header[index].removesuffix(" EM"), justify="right" if index else "left", no_wrap=True
        )
    for cells in body:
        table.add_row(*(cells[index] for index in columns))
    console = Console(width=WIDE, file=io.StringIO(), color_system=None)
    console.print(table)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())  # type: ignore[attr-defined]


RENDERERS: dict[str, Callable[[list[ArmRow]], str]] = {
    "terminal": render_terminal,
    "markdown": render_markdown,
    "csv": render_csv,
    "latex": render_latex,
}
