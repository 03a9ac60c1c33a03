"""Tables of results: one row per arm, every number with its interval."""

import csv
import html
import io
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from rich import box
from rich.console import Console
from rich.table import Table

from elusive.augment.config import METHOD_NAMES
from elusive.common.errors import InputError, unknown_name
from elusive.common.folders import parameters_hash
from elusive.common.intervals import Estimate, mean_over_entities
from elusive.evaluate.cell import CellResult, load_cell
from elusive.evaluate.comparisons import Comparison, against, shared_ranks
from elusive.evaluate.config import UNTRAINED

STAGES = ("scoring", "dropping", "training", "answering")
METRICS = ("em", "f1", "log_probability")
BASELINES = ("random", "plain")
"""Arms that others are compared with unless another is named, the first that is there."""
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
    known_em: float | None
    """Exact match on what the model knew before; None if it was not asked."""
    known_perplexity: float | None
    drop_rate: float
    """Mean share of tokens dropped from a copy."""
    seconds: dict[str, float]
    """Mean seconds per cell of scoring, dropping, training and answering."""
    memory_mib: dict[str, float]
    """Largest peak memory of each stage over the cells, in MiB."""
    tokens_per_second: float
    """Of training; 0 where nothing was trained."""
    points_per_minute: float
    """EM points per minute of preparing the text and training; 0 where nothing was trained."""
    preparing: float
    """Seconds of scoring and dropping as a share of those of training; 0 likewise."""
    rank: int = 1
    """1 plus the number of significantly better arms."""
    difference: Estimate | None = None
    """From the baseline; None for the baseline itself."""
    p_value: float | None = None
    """Of that difference, corrected for the number of arms."""
    effect: float | None = None
    """Cohen's d_z of that difference."""


@dataclass(frozen=True)
class Results:
    """A table: its rows, and what they were compared by."""

    rows: list[ArmRow]
    metric: str
    baseline: str | None


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


def benchmarks(cells: list[CellResult]) -> dict[str, list[CellResult]]:
    """Cells by what their arms can be compared on: one dataset, one model, one way of asking.

    The name of each is `dataset, model`, with a number where two are called alike.
    """
    groups: dict[str, list[CellResult]] = defaultdict(list)
    for cell in cells:
        deciding = ("dataset", "weights", "answering", "scoring")
        groups[parameters_hash([cell.parameters.get(name) for name in deciding])].append(cell)
    named: dict[str, list[CellResult]] = {}
    for members in groups.values():
        parameters = members[0].parameters
        name = f"{parameters['dataset_name']}, {parameters['model']}"
        named[_free_name(name, named)] = members
    return named


def results(cells: list[CellResult], baseline: str | None = None, metric: str = "em") -> Results:
    """One row per arm, in the order of the methods' list, with ranks and comparisons.

    Cells of one label but with other settings are different arms, told apart by a number.

    Args:
        cells: of all arms.
        baseline: arm that the others are compared with; by default random, or else plain.
        metric: what arms are ranked and compared by: em, f1 or log_probability.

    Raises:
        InputError: arms that answered different questions or unequally many seeds; no such arm or
            metric.
    """
    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS)
    named = named_cells(cells)
    first = next(iter(named))
    for name, members in named.items():
        if _asked(members) != _asked(named[first]):
            raise InputError(
                f"arms {first!r} and {name!r} differ in questions or seeds, so they cannot share "
                "a table: finish the run with `elusive run PLAN --out DIR`"
            )
    if baseline is not None and baseline not in named:
        raise unknown_name("baseline", baseline, named)
    baseline = baseline or next((name for name in BASELINES if name in named), None)
    ranks = shared_ranks(named, metric)
    compared = against(named, baseline, metric) if baseline else {}
    rows = [_arm_row(name, members) for name, members in named.items()]
    return Results([_compared(row, ranks, compared) for row in rows], metric, baseline)


def _compared(
    row: ArmRow, ranks: dict[str, int], compared: dict[str, tuple[Comparison, float]]
) -> ArmRow:
    """A row with its rank, and its difference from the baseline."""
    row = replace(row, rank=ranks[row.label])
    if row.label not in compared:
        return row
    comparison, p_value = compared[row.label]
    return replace(row, difference=comparison.difference, p_value=p_value, effect=comparison.effect)


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
        named[_free_name(members[0].parameters["label"], named)] = members
    return named


def _free_name(name: str, taken: Iterable[str]) -> str:
    """The name, with a number where it is taken.

    >>> _free_name("plain", ["plain", "random"])
    'plain (2)'
    """
    same = sum(other == name or other.startswith(f"{name} (") for other in taken)
    return f"{name} ({same + 1})" if same else name


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
    pairs = [(cell.parameters["seed"], p) for cell in cells for p in cell.predictions]
    seeds, predictions = [seed for seed, _ in pairs], [p for _, p in pairs]
    entities = [prediction.entity for prediction in predictions]
    by_field: dict[str, list[float]] = defaultdict(list)
    for prediction in predictions:
        by_field[prediction.field].append(prediction.em)

    def estimate(column: str) -> Estimate:
        return mean_over_entities([getattr(p, column) for p in predictions], entities, seeds)

    seconds = {
        stage: _mean(cell.costs["seconds"].get(stage, 0.0) for cell in cells) for stage in STAGES
    }
    preparing, training = seconds["scoring"] + seconds["dropping"], seconds["training"]
    em = estimate("em")
    known = [cell.metrics["known"] for cell in cells if "known" in cell.metrics]
    return ArmRow(
        label=label,
        seeds=len(cells),
        people=len(set(entities)),
        em=em,
        f1=estimate("f1"),
        log_probability=estimate("log_probability"),
        opens=_mean(p.opens for p in predictions),
        contains=_mean(p.contains for p in predictions),
        em_by_field={field: _mean(values) for field, values in by_field.items()},
        known_em=_mean(each["em"] for each in known) if known else None,
        known_perplexity=_mean(each["perplexity"] for each in known) if known else None,
        drop_rate=_mean(cell.costs["drop_rate"] for cell in cells),
        seconds=seconds,
        memory_mib={
            stage: max(cell.costs["peak_memory_mib"].get(stage, 0.0) for cell in cells)
            for stage in STAGES
        },
        tokens_per_second=_mean(cell.costs["training_tokens"] for cell in cells) / training
        if training
        else 0.0,
        points_per_minute=6000 * em.mean / (preparing + training) if training else 0.0,
        preparing=preparing / training if training else 0.0,
    )


def _mean(numbers: Iterable[float]) -> float:
    """Mean of some numbers."""
    return float(np.mean(list(numbers)))


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
        f"{scale * x:.{digits}f}" for x in (estimate.mean, estimate.low, estimate.high)
    )
    return f"{mean} [{low}, {high}]"


GROUPS = ("accuracy", "detail", "costs")


def render_markdown(found: Results, groups: tuple[str, ...] = GROUPS) -> str:
    """The table in markdown, some groups of columns or all."""
    header, body = table_cells(found, groups)
    header = [markdown_text(name) for name in header]
    body = [[markdown_text(label), *numbers] for label, *numbers in body]
    lines = ["| " + " | ".join(cells) + " |" for cells in [header, ["---"] * len(header), *body]]
    return "\n".join(lines) + "\n"


def markdown_text(text: str) -> str:
    """Text that markdown shows as it is, in one line: no HTML, link, image, code or table sign.

    >>> markdown_text("<b>|x")
    '&lt;b&gt;\\\\|x'
    """
    signs = "".join("\\" + sign if sign in "\\`*[]|" else sign for sign in " ".join(text.split()))
    return html.escape(signs, quote=False)


def render_latex(found: Results) -> str:
    """The table in LaTeX with booktabs rules."""
    header, body = table_cells(found)
    lines = [" & ".join(map(_latex_escaped, cells)) + r" \\" for cells in [header, *body]]
    columns = "l" + "r" * (len(header) - 1)
    rules = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", lines[0], r"\midrule"]
    return "\n".join([*rules, *lines[1:], r"\bottomrule", r"\end{tabular}"]) + "\n"


def _latex_escaped(text: str) -> str:
    """Text with LaTeX's special signs escaped."""
    return "".join("\\" + sign if sign in "%_&#$" else sign for sign in text)


def render_csv(found: Results) -> str:
    """The table as CSV with plain numbers, intervals in columns of their own."""
    file = io.StringIO()
    flat = [_flat(row) for row in found.rows]
    writer = csv.DictWriter(file, fieldnames=list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
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
    flat |= {"drop_rate": row.drop_rate, "seeds": row.seeds, "people": row.people}
    flat |= {f"{stage}_seconds": seconds for stage, seconds in row.seconds.items()}
    flat |= {f"{stage}_peak_mib": mib for stage, mib in row.memory_mib.items()}
    names = ("tokens_per_second", "points_per_minute", "preparing")
    return flat | {name: getattr(row, name) for name in names}


def flat_table(found: Results) -> pa.Table:
    """The table with one number per column, as in CSV."""
    return pa.Table.from_pylist([_flat(row) for row in found.rows])


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
