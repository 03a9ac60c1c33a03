"""Columns of result tables: formatted for people, and one number each for files.

To add a column, add its number to `ArmRow` in `table.py`, and show it here: in `build_columns` for
people, in `flatten_row` for CSV, Arrow and the leaderboard's Parquet file.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial

import pyarrow as pa

from elusive.common.errors import build_unknown_name_error
from elusive.common.intervals import Estimate, format_estimate
from elusive.evaluate.compare.metrics import METRICS, Metric
from elusive.evaluate.tables.table import STAGES, ArmRow, ResultTable

GROUPS = ("accuracy", "detail", "costs")
TARGETS = ("values", "names", "relations")
"""Kinds of tokens whose predicted share is shown."""
SMALLEST_P = 0.0001
"""Smaller p-values are printed as being smaller."""
UNVERIFIED = " *"
"""Mark of log-probabilities and forced choices on a leaderboard that nobody has computed again."""

HIGHEST = ("EM %", "F1 %", "gold log-prob", "forced choice %", "known EM %")
"""Columns of which the highest number is the best, as in those of single fields."""
OPTIONAL = (
    *("rank", "forced-choice", "difference", "p-holm", "d_z", "known-em", "known-perplexity"),
    *("tries", "verified", "value-targets", "name-targets", "relation-targets"),
)
"""Keys of columns that only some tables have."""
PAPER = (
    *("rank", "em", "f1", "gold-log-prob", "forced-choice", "difference", "p-holm"),
    *("known-em", "dropped", "exposures"),
)
"""Columns of a table in a paper, by their keys; `difference` is the one from the baseline."""

Column = tuple[str, Callable[[ArmRow], str]]


def build_columns(table: ResultTable) -> dict[str, list[Column]]:
    """Build the columns for people, in three groups; rates are in percent."""
    groups = (_build_accuracy(table), _build_detail(table), _build_costs())
    return dict(zip(GROUPS, groups, strict=True))


def _build_accuracy(table: ResultTable) -> list[Column]:
    metric = METRICS[table.metric]
    accuracy: list[Column] = [] if table.is_people_only else [("rank", lambda row: str(row.rank))]
    accuracy += [
        ("EM %", partial(_format_metric, name="em")),
        ("F1 %", partial(_format_metric, name="f1")),
        ("gold log-prob", partial(_format_unproven, name="log_probability")),
    ]
    if any(row.forced_choice for row in table.rows):
        accuracy.append(("forced choice %", partial(_format_unproven, name="forced_choice")))
    if table.baseline:
        accuracy += [
            (
                f"{table.metric} vs {table.baseline}",
                lambda row: _format(row.difference, metric),
            ),
            ("p (Holm)", lambda row: "" if row.p_value is None else format_p_value(row.p_value)),
            ("d_z", lambda row: "" if row.effect is None else f"{row.effect:.1f}"),
        ]
    if any(row.known_em is not None for row in table.rows):
        accuracy.append(("known EM %", lambda row: _format_known(row.known_em, 100, 0)))
    accuracy += [
        ("dropped %", lambda row: f"{100 * row.drop_rate:.0f}"),
        ("exposures", format_exposures),
    ]
    if any(row.chosen for row in table.rows):
        accuracy.append(("tries", lambda row: row.chosen))
    if any(row.verified for row in table.rows):
        accuracy.append(("verified", lambda row: row.verified))
    return accuracy


def format_p_value(p_value: float) -> str:
    """Return a p-value as text, which is never 0.

    >>> format_p_value(0.02), format_p_value(5e-6)
    ('0.0200', '<.0001')
    """
    return f"{p_value:.4f}" if p_value >= SMALLEST_P else f"<{SMALLEST_P:.4f}".replace("0.", ".")


def _format_known(value: float | None, scale: float, digits: int) -> str:
    """Return a number as text; empty if the cells were not asked."""
    return "" if value is None else f"{scale * value:.{digits}f}"


def _build_detail(table: ResultTable) -> list[Column]:
    detail: list[Column] = [
        (f"{field} EM", partial(_format_field, field=field)) for field in table.rows[0].em_by_field
    ]
    if len(table.rows[0].em_by_kind) > 1:
        detail += [
            (f"{kind} questions EM", partial(_format_kind, kind=kind))
            for kind in table.rows[0].em_by_kind
        ]
    if any(share < 1 for row in table.rows for share in row.targets.values()):
        detail += [
            (f"{name[:-1]} targets %", partial(_format_target, name=name)) for name in TARGETS
        ]
    detail += [
        ("opens %", lambda row: f"{100 * row.opens:.0f}"),
        ("contains %", lambda row: f"{100 * row.contains:.0f}"),
    ]
    if any(row.known_perplexity is not None for row in table.rows):
        detail.append(("known perplexity", lambda row: _format_known(row.known_perplexity, 1, 2)))
    detail += [
        ("seeds", lambda row: str(row.seeds)),
        ("people", lambda row: str(row.people)),
        ("questions", lambda row: f"{row.questions:.0f}"),
    ]
    return detail


def _build_costs() -> list[Column]:
    return [
        *((f"{stage} s", partial(_format_seconds, stage=stage)) for stage in STAGES),
        ("tokens/s", lambda row: f"{row.tokens_per_second:.0f}"),
        ("peak GiB", lambda row: f"{max(row.memory_mib.values()) / 1024:.1f}"),
        ("preparing/training %", lambda row: f"{100 * row.preparing:.1f}"),
        ("EM points/min", lambda row: f"{row.points_per_minute:.1f}"),
    ]


def format_exposures(row: ArmRow) -> str:
    """Format how often training showed each document, and whether only tokens are equal."""
    if row.exposures is None:
        return ""
    return f"{row.exposures} in tokens" if row.equal_tokens else str(row.exposures)


def is_unverified(row: ArmRow) -> bool:
    """Whether a leaderboard has cells of this arm that nobody has computed again."""
    done, _, total = row.verified.partition(" of ")
    return bool(row.verified) and done != total


def _format_metric(row: ArmRow, name: str) -> str:
    return _format(getattr(row, name), METRICS[name])


def _format(estimate: Estimate | None, metric: Metric) -> str:
    """Format a metric's estimate or difference; empty if there is none."""
    return format_estimate(estimate, metric.scale, metric.digits) if estimate else ""


def _format_unproven(row: ArmRow, name: str) -> str:
    """Format what no text of an answer proves, with a mark if nobody has computed it again."""
    shown = _format_metric(row, name)
    return shown + UNVERIFIED * (bool(shown) and is_unverified(row))


def _format_field(row: ArmRow, field: str) -> str:
    return f"{100 * row.em_by_field[field]:.0f}"


def _format_kind(row: ArmRow, kind: str) -> str:
    return f"{100 * row.em_by_kind[kind]:.0f}"


def _format_target(row: ArmRow, name: str) -> str:
    return f"{100 * row.targets[name]:.0f}" if name in row.targets else ""


def _format_seconds(row: ArmRow, stage: str) -> str:
    """Format the seconds of a stage; fewer than ten get a decimal."""
    seconds = row.seconds[stage]
    return f"{seconds:.1f}" if 0 < seconds < 10 else f"{seconds:.0f}"


def format_cells(
    table: ResultTable, groups: tuple[str, ...] = GROUPS
) -> tuple[list[str], list[list[str]]]:
    """Format the header and rows of some groups of columns."""
    columns = build_columns(table)
    return format_columns(table, [column for group in groups for column in columns[group]])


def format_columns(
    table: ResultTable, columns: Sequence[Column]
) -> tuple[list[str], list[list[str]]]:
    """Format the header and rows of some columns, after the names of the arms."""
    header = ["arm", *(name for name, _ in columns)]
    return header, [[row.label, *(show(row) for _, show in columns)] for row in table.rows]


def select_columns(table: ResultTable, keys: Sequence[str]) -> list[Column]:
    """Select columns by key, in the order of the keys.

    A key is the column's name in lower case without signs, such as `em` for `EM %`, or the name of
    a group: accuracy, detail, costs. `difference` is the difference from the baseline. A column
    that other tables have, such as `rank` where there are several seeds, is left out.

    Raises:
        InputError: no table has such a column.
    """
    groups = build_columns(table)
    by_key = {build_key(name): (name, show) for group in groups.values() for name, show in group}
    versus = [key for key in by_key if "-vs-" in key]
    chosen: list[Column] = []
    for key in keys:
        if key in groups:
            chosen += groups[key]
        elif key == "difference" and versus:
            chosen.append(by_key[versus[0]])
        elif build_key(key) in by_key:
            chosen.append(by_key[build_key(key)])
        elif key not in OPTIONAL:
            raise build_unknown_name_error("column", key, [*groups, *by_key])
    return chosen


def build_key(name: str) -> str:
    """Build the key of a column from its name.

    >>> [build_key(name) for name in ("EM %", "p (Holm)", "birth_date EM", "tokens/s")]
    ['em', 'p-holm', 'birth_date-em', 'tokens-s']
    """
    return re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-")


def find_best_cells(table: ResultTable, columns: Sequence[Column]) -> set[tuple[int, int]]:
    """Find row and column of the best cells of accuracy: the highest mean, with all that equal it.

    The model before training competes in what it knew before, too.
    """
    best = set()
    for index, (name, show) in enumerate(columns, 1):
        if name in HIGHEST or name.endswith(" EM"):
            cells = [show(row) for row in table.rows]
            means = [float(cell.split()[0]) if cell else float("-inf") for cell in cells]
            best |= {(row, index) for row, mean in enumerate(means) if mean == max(means)}
    return best if len(table.rows) > 1 else set()


def flatten_row(row: ArmRow) -> dict[str, object]:
    """Flatten a row to one number per column; rates are in [0, 1], log-probabilities in nats."""
    flat: dict[str, object] = {"arm": row.label, "rank": row.rank}
    for name in (*METRICS, "difference"):
        estimate: Estimate | None = getattr(row, name)
        for part, suffix in (("mean", ""), ("low", "_low"), ("high", "_high")):
            flat[name + suffix] = getattr(estimate, part) if estimate else None
    flat |= {"p_value": row.p_value, "effect": row.effect}
    flat |= {"opens": row.opens, "contains": row.contains}
    flat |= {f"em_{field}": value for field, value in row.em_by_field.items()}
    if len(row.em_by_kind) > 1:
        flat |= {f"em_{kind}_questions": value for kind, value in row.em_by_kind.items()}
    flat |= {f"predicted_{name}": row.targets.get(name) for name in TARGETS}
    flat |= {"known_em": row.known_em, "known_perplexity": row.known_perplexity}
    flat |= {
        "exposures": row.exposures,
        "training_tokens": row.training_tokens,
        "equal_tokens": row.equal_tokens,
        "verified": row.verified,
        "chosen": row.chosen,
        "drop_rate": row.drop_rate,
        "seeds": row.seeds,
        "people": row.people,
        "questions": row.questions,
    }
    flat |= {f"{stage}_seconds": seconds for stage, seconds in row.seconds.items()}
    flat |= {f"{stage}_peak_mib": mib for stage, mib in row.memory_mib.items()}
    names = ("tokens_per_second", "points_per_minute", "preparing")
    return flat | {name: getattr(row, name) for name in names}


def build_arrow_table(table: ResultTable) -> pa.Table:
    """Build an Arrow table with one number per column, as in CSV."""
    return pa.Table.from_pylist([flatten_row(row) for row in table.rows])
